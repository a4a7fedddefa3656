//! `status`.

use std::time::Duration;

use lanrage_ipc::method::StatusGet;
use lanrage_ipc::params::Empty;
use lanrage_ipc::results::{Recovery, StatusResult, StoreStatus};

use super::connection::describe;
use super::daemon::{Daemon, Program};
use super::exit::Failure;
use super::output::{Page, span};

pub(super) fn run(daemon: &Daemon) -> Result<(), Failure> {
    let mut session = daemon.connect()?;
    let program = session.program;
    session.show::<StatusGet>(&Empty {}, |page, status| show(page, status, program))
}

fn show(page: &mut Page, status: &StatusResult, program: Program) {
    let up = span(Duration::from_millis(status.uptime_ms));
    let mut fields = vec![("version", format!("{}, up {up}", status.version))];
    match program {
        Program::Daemon => fields.extend([
            ("mode", status.mode.to_string()),
            ("connection", describe(&status.connection)),
        ]),
        Program::Server => fields.push(("mode", "control server".to_owned())),
    }
    fields.extend([
        ("parties", status.parties.to_string()),
        ("peers", status.peers.to_string()),
        ("clients", status.clients.to_string()),
        ("state", store(&status.store)),
    ]);
    page.fields(fields);
    if let Some(error) = &status.store.last_error {
        page.line(format_args!("warning: the state can't be written: {error}"));
    }
    if let Some(recovery) = &status.store.recovery {
        warn_of(page, recovery);
    }
}

fn store(store: &StoreStatus) -> String {
    let commit = match store.last_commit_ms {
        Some(millis) => format!("last commit took {millis} ms"),
        None => "nothing committed yet".to_owned(),
    };
    match store.pending {
        0 => format!("{} ({commit})", store.path),
        pending => format!("{} ({commit}, {pending} to write)", store.path),
    }
}

fn warn_of(page: &mut Page, recovery: &Recovery) {
    let found = page.date(recovery.at);
    let came = match &recovery.restored_from {
        Some(backup) => format!("the backup {backup} took its place"),
        None => "there was no good backup: the state began empty".to_owned(),
    };
    page.line(format_args!(
        "warning: the state was found damaged on {found}: {}; {came}",
        recovery.reason
    ));
    for file in &recovery.set_aside {
        page.line(format_args!("  set aside: {file}"));
    }
}
