//! `connection`.

use lanrage_ipc::method::ConnectionGet;
use lanrage_ipc::model::{Connection, ConnectionState};
use lanrage_ipc::params::Empty;

use super::daemon::Daemon;
use super::exit::Failure;

#[derive(Debug, Default, clap::Subcommand)]
pub(super) enum Command {
    /// Show it, as without a command
    #[default]
    Show,
}

impl Command {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        match self {
            Self::Show => daemon.connect()?.show::<ConnectionGet>(&Empty {}, |page, connection| {
                let since = page.date(connection.since);
                page.fields([("state", describe(connection)), ("since", since)]);
            }),
        }
    }
}

/// A connection in words.
pub(super) fn describe(connection: &Connection) -> String {
    match connection.state {
        ConnectionState::Local => "local: the daemon needs no control server".to_owned(),
        state => format!("{state:?}"),
    }
}
