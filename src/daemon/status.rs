//! Status of the daemon for its service manager.

use lanrage_ipc::model::{Connection, ConnectionState};
use tokio::sync::watch;

use crate::os::notify;

/// Reports each change of the connection, while there may be one.
pub(super) async fn follow(place: String, mut connection: watch::Receiver<Option<Connection>>) {
    let mut told = String::new();
    while connection.changed().await.is_ok() {
        let status = words(&place, connection.borrow_and_update().as_ref());
        if status != told {
            told.clone_from(&status);
            // An unresponsive service manager delays this task alone.
            tokio::task::spawn_blocking(move || notify::status(&status)).await.ok();
        }
    }
}

/// Returns the daemon's address and the state of its connection, in words.
pub(super) fn words(place: &str, connection: Option<&Connection>) -> String {
    let url = connection.and_then(|connection| connection.server_url.as_deref());
    let (Some(Connection { state, last_error, .. }), Some(url)) = (connection, url) else {
        return format!("local mode, serving {place}");
    };
    let status = match state {
        ConnectionState::Online => "online at",
        ConnectionState::Connecting => "connecting to",
        _ => "without",
    };
    let why = match (state, last_error) {
        (ConnectionState::Online, _) | (_, None) => String::new(),
        (_, Some(why)) => format!(" ({why})"),
    };
    format!("{status} {url}{why}, serving {place}")
}
