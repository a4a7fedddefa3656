//! Name resolution and TCP connections.

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Time before the next address is tried in parallel.
const HEAD_START: Duration = Duration::from_millis(250);

/// Upper bound of the addresses of a name that are tried.
const MOST_ADDRESSES: usize = 16;

/// Idle time before the first TCP keepalive, and the interval of further ones.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// Time that sent bytes may stay unacknowledged before the system closes the connection.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Resolves a host to its addresses, in the order of the system's preference.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host((host, port)).await?.take(MOST_ADDRESSES);
    Ok(found.collect())
}

/// Connects to the first address that accepts. The next address is tried when one fails or does not
/// respond within [`HEAD_START`].
///
/// # Errors
/// The most specific failure.
pub(super) async fn connect(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    loop {
        match waiting.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => {
                return Err(failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
            }
            None => {}
        }
        tokio::select! {
            Some(result) = attempts.next() => match result {
                Ok(stream) => {
                    set_options(&stream)?;
                    return Ok(stream);
                }
                Err(error) if failure.as_ref().is_none_or(has_no_route) => failure = Some(error),
                Err(_) => {}
            },
            () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

/// True for an address without a route, which is the least specific failure: the machine may lack
/// IPv6. `InvalidInput` is returned for a link-local address without a scope.
fn has_no_route(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, InvalidInput, NetworkUnreachable};
    matches!(error.kind(), AddrNotAvailable | HostUnreachable | InvalidInput | NetworkUnreachable)
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    let (silence, interval) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(silence).with_interval(interval);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}
