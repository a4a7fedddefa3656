//! `connection …`.

use std::time::Duration;

use lanrage_ipc::method::{ConnectionGet, ConnectionRetry, ConnectionSet};
use lanrage_ipc::model::{Connection, ConnectionState};
use lanrage_ipc::params::{ConnectionSetParams, Empty};

use super::daemon::{Daemon, Program};
use super::exit::Failure;
use super::output::{Page, span};
use crate::server_url::{BadServerUrl, ServerUrl};

#[derive(Debug, Default, clap::Subcommand)]
pub(super) enum Command {
    /// Show it, as without a command
    #[default]
    Show,
    /// Follow another control server, or none; the daemon keeps to it when it
    /// starts again
    Set {
        /// The server's URL, such as `https://lan.example.org`, or local for none
        // Checked later: a usage error would repeat it, and it may have a password.
        #[arg(required_unless_present = "local")]
        url: Option<String>,
        /// Follow none: the parties are this machine's own
        #[arg(long, conflicts_with = "url")]
        local: bool,
    },
    /// Try to reach the control server at once
    Retry,
}

impl Command {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        match self {
            Self::Show => {
                let mut session = daemon.connect()?;
                let program = session.program;
                session.show::<ConnectionGet>(&Empty {}, |page, connection| match program {
                    Program::Daemon => show(page, connection),
                    Program::Server => page.line("a control server, which follows no other"),
                })
            }
            Self::Set { url, .. } => {
                let url = url.filter(|url| url != "local").map(|url| read(&url)).transpose()?;
                let params = ConnectionSetParams { server_url: url.map(|url| url.to_string()) };
                daemon.connect()?.show::<ConnectionSet>(&params, show)
            }
            Self::Retry => daemon.connect()?.show::<ConnectionRetry>(&Empty {}, show),
        }
    }
}

/// Parses the URL of a control server.
pub(super) fn read(url: &str) -> Result<ServerUrl, Failure> {
    url.parse().map_err(|why: BadServerUrl| {
        Failure::usage(format!("URL: {why}"), "write it as https://lan.example.org")
    })
}

fn show(page: &mut Page, connection: &Connection) {
    let mut fields = vec![("state", state(connection))];
    fields.extend(connection.server_url.clone().map(|url| ("server", url)));
    fields.extend(connection.proxy.clone().map(|proxy| ("proxy", proxy)));
    fields.push(("since", page.date(connection.since)));
    if connection.attempt > 0 {
        fields.push(("attempt", connection.attempt.to_string()));
    }
    fields.extend(connection.retry_in_ms.map(|due| ("next attempt", soon(due))));
    fields.extend(connection.last_error.clone().map(|error| ("last error", error)));
    page.fields(fields);
}

/// Returns the state of a connection: its word on the wire, and its meaning.
fn state(connection: &Connection) -> String {
    let word = connection.state;
    match connection.state {
        ConnectionState::Local => format!("{word}: the daemon needs no control server"),
        ConnectionState::Connecting => format!("{word}: the first attempt is under way"),
        ConnectionState::Online => format!("{word}: the server answers"),
        ConnectionState::Reconnecting => format!("{word}: the server does not answer now"),
        ConnectionState::Fallback => {
            format!("{word}: the daemon works as in local mode, and looks now and then")
        }
        ConnectionState::AuthFailed => {
            format!(
                "{word}: the server does not let the daemon in; it waits for `lanragectl connection retry`"
            )
        }
        ConnectionState::Stopping => format!("{word}: the daemon is stopping"),
        ConnectionState::Unknown => format!("{word}: a state that is newer than this program"),
    }
}

/// Returns a connection in words, on one line.
pub(super) fn describe(connection: &Connection) -> String {
    let url = connection.server_url.as_deref().unwrap_or("the control server");
    let due = connection.retry_in_ms.map(soon);
    let mut words = match (connection.state, &due) {
        (ConnectionState::Connecting, _) => format!("connecting to {url}"),
        (ConnectionState::Online, _) => return format!("online at {url}"),
        (ConnectionState::Reconnecting, _) => format!("reconnecting to {url}"),
        (ConnectionState::Fallback, _) => format!("fallback to local mode from {url}"),
        (ConnectionState::AuthFailed, _) => format!("auth_failed: not let in by {url}"),
        _ => return state(connection),
    };
    if let Some(due) = due {
        words.push_str(&format!(", next attempt {due}"));
    }
    match &connection.last_error {
        Some(error) => format!("{words}: {error}"),
        None => words,
    }
}

/// Returns the time until then, in whole seconds.
fn soon(millis: u64) -> String {
    format!("in {}", span(Duration::from_secs(millis.div_ceil(1000))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn connection(state: &str, retry_in_ms: Option<u64>, last_error: Option<&str>) -> Connection {
        let url = (state != "local").then_some("http://h:8667");
        let connection = json!({
            "state": state, "server_url": url, "since": "2026-01-02T03:04:05Z", "attempt": 2,
            "retry_in_ms": retry_in_ms, "last_error": last_error,
        });
        serde_json::from_value(connection).unwrap()
    }

    #[test]
    fn every_connection_state_is_described() {
        let refused = Some("connection refused");
        for (connection, words) in [
            (connection("local", None, None), "local: the daemon needs no control server"),
            (connection("connecting", None, None), "connecting to http://h:8667"),
            (connection("online", None, refused), "online at http://h:8667"),
            (
                connection("reconnecting", Some(1_001), refused),
                "reconnecting to http://h:8667, next attempt in 2s: connection refused",
            ),
            (
                connection("fallback", Some(60_000), refused),
                "fallback to local mode from http://h:8667, next attempt in 1m: connection refused",
            ),
            (
                connection("auth_failed", None, Some("no")),
                "auth_failed: not let in by http://h:8667: no",
            ),
            (connection("stopping", None, None), "stopping: the daemon is stopping"),
            (
                connection("dreaming", None, None),
                "unknown: a state that is newer than this program",
            ),
        ] {
            assert_eq!(describe(&connection), words);
            let word = words.split([':', ' ']).next().unwrap();
            assert!(state(&connection).starts_with(&format!("{word}: ")), "{words}");
        }
    }

    #[test]
    fn error_about_an_invalid_url_does_not_repeat_it() {
        let Err(Failure::Error(_, report)) = read("http://ann:hunter2@h") else { panic!("taken") };
        let report = serde_json::to_string(&report).unwrap();
        assert!(report.contains("no password") && !report.contains("hunter2"), "{report}");
        assert_eq!(read("http://h/").unwrap().to_string(), "http://h");
    }
}
