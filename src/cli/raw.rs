//! `raw`.

use super::daemon::Daemon;
use super::exit::Failure;
use super::input::Json;

#[derive(Debug, clap::Args)]
pub(super) struct Raw {
    /// The method, such as status.get
    method: String,
    /// Its params: a JSON object; - reads it from standard input
    #[arg(default_value = "{}", allow_negative_numbers = true)]
    params: Json,
}

impl Raw {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        let params = self.params.read()?;
        let result = daemon.connect()?.ask_raw(&self.method, params.get())?;
        daemon.output.print_json(result.get())
    }
}
