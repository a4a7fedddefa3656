//! `completions`.

use clap_complete::Shell;
use serde::Serialize;

use super::exit::Failure;
use super::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Serialize)]
struct Script {
    shell: String,
    script: String,
}

impl Completions {
    pub(super) fn run(self, command: &mut clap::Command, output: Output) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "lanragectl", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        if output.json {
            return output.document(&Script { shell: self.shell.to_string(), script });
        }
        output.print(&script)
    }
}
