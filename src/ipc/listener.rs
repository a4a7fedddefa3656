//! Acceptance and admission of connections.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use lanrage_ipc::envelope::reply_line;
use lanrage_ipc::results::Role;
use lanrage_ipc::{ErrorCode, Reply, RpcError};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::IpcServer;
use super::budget::Account;
use super::connection_limiter::{ConnectionPermit, Full};
use super::session::IpcSession;
use super::translate::{Translator, caller};
use crate::core::{ConnectionId, User};
use crate::logging::Throttle;
use crate::os::{self, LocalSocket};

/// Pause after the system failed to accept a connection, for example without free file handles.
const RESPITE: Duration = Duration::from_millis(100);
/// Connections accepted before the loop yields to their admission. Until then each has a file
/// handle that no limit counts.
const BATCH: u32 = 8;
/// Time limit for writing a refusal, which is a line or two: a fresh connection takes it at once.
const REFUSAL: Duration = Duration::from_millis(100);

/// Serves connections until the daemon stops and the last connection has ended. Meanwhile it checks
/// the socket's file, which may be removed.
pub(crate) async fn serve(server: Rc<IpcServer>, mut socket: LocalSocket) {
    let mut sessions = JoinSet::new();
    let mut stopping = server.stopping.clone();
    let mut checked_at = tokio::time::Instant::now();
    let mut taken = 0;
    loop {
        let next_check = checked_at + server.settings().socket_check;
        tokio::select! {
            biased;
            _ = stopping.wait_for(Option::is_some) => break,
            Some(ended) = sessions.join_next() => drop(ended),
            accepted = socket.accept() => match accepted {
                Ok(stream) => {
                    let connection = server.connections.next();
                    sessions.spawn_local(admit(server.clone(), stream, connection));
                    taken = (taken + 1) % BATCH;
                    if taken == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) => {
                    let level = server.unaccepted.level(log::Level::Error);
                    log::log!(level, "connection not accepted: {error}");
                    tokio::time::sleep(RESPITE).await;
                }
            },
            () = tokio::time::sleep_until(next_check) => {
                socket.keep_reachable();
                checked_at = tokio::time::Instant::now();
            }
        }
    }
    drop(socket);
    while sessions.join_next().await.is_some() {}
}

/// Admits a connection, or refuses it with the reason.
async fn admit(server: Rc<IpcServer>, stream: Stream, connection: ConnectionId) {
    let owner = match os::peer(&stream) {
        Ok(owner) => owner,
        Err(error) => return log::error!("{connection:?}: refused, its user is unknown: {error}"),
    };
    match enter(&server, owner).await {
        Ok((permit, role)) => {
            let settings = server.settings();
            let is_system = settings.access.is_system();
            let account = Account::new(&server.budget, owner, role, &settings.limits, is_system);
            let translator = Translator {
                settings,
                caller: caller(owner, role, connection),
                role,
                server: server.clone(),
                account: Rc::new(account),
            };
            IpcSession::new(translator, permit).run(stream, server.stopping.clone()).await;
        }
        Err(Refused { error, warned }) => {
            let (level, hint) = (warned.level(log::Level::Warn), &error.data.hint);
            log::log!(level, "{connection:?} of {owner:?} was refused: {error} ({hint})");
            if let Err(error) = send_error(&stream, error).await {
                log::debug!("{connection:?}: {error}");
            }
        }
    }
}

/// Connection that is not admitted.
struct Refused<'a> {
    error: RpcError,
    /// Throttle of the warnings about this cause.
    warned: &'a Throttle,
}

async fn enter(server: &IpcServer, owner: User) -> Result<(ConnectionPermit, Role), Refused<'_>> {
    let (settings, shares) = (server.settings(), server.shares());
    let refused = |Full { error, is_own_share }| {
        let warned = if is_own_share { &server.refused.user } else { &server.refused.all };
        Refused { error, warned }
    };
    let is_member = match settings.access.deciding_group(owner).map(str::to_owned) {
        None => false,
        // A lookup in the user database may use the network.
        Some(group) => {
            let _undecided = server.limiter.wait(owner, &shares).map_err(refused)?;
            let lookup = tokio::task::spawn_blocking(move || os::in_group(owner, &group));
            lookup.await.unwrap_or_default()
        }
    };
    let Some(role) = settings.access.role(owner, is_member) else {
        let message = "this daemon serves another user";
        let error = RpcError::new(ErrorCode::PermissionDenied, message)
            .hint("start your own, or use the system's with --system");
        return Err(Refused { error, warned: &server.refused.stranger });
    };
    let permit = server.limiter.enter(owner, role, &shares).map_err(refused)?;
    Ok((permit, role))
}

async fn send_error(mut stream: &Stream, error: RpcError) -> io::Result<()> {
    let line = reply_line(None, &Err::<Reply, _>(error))?;
    tokio::time::timeout(REFUSAL, stream.write_all(line.as_bytes())).await?
}
