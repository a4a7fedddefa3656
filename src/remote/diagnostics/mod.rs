//! Messages for the user about failed connections and requests, with the remedy.
//!
//! Text of the server is shortened, and stripped of characters that control a terminal.

mod certificate;
mod http_error;
mod response;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter::successors;
use std::time::Duration;

use crate::server_url::ServerUrl;

pub(crate) use crate::core::shown;
pub(crate) use http_error::HttpError;
pub(crate) use response::{date, refusal};

/// Returns the host and port of a server, such as `lan.example.org:443` or `[::1]:80`.
pub(crate) fn host_port(url: &ServerUrl) -> String {
    let (host, port) = url.host_and_port();
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{}:{port}", shown(&host)) }
}

/// Describes a failed or broken connection by the causes of its error, from whichever library.
pub(crate) fn failure(error: &(dyn Error + 'static), url: &ServerUrl) -> String {
    if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return certificate::failure(error, url);
    }
    let describe = |cause: &(dyn Error + 'static)| io_failure(cause.downcast_ref()?, url);
    let innermost = || causes(error).last().map(ToString::to_string).unwrap_or_default();
    causes(error).find_map(describe).unwrap_or_else(|| {
        format!("the connection to {} failed: {}", host_port(url), shown(&innermost()))
    })
}

/// Describes a failed resolution of the server's name.
pub(crate) fn unresolved(error: &(dyn Error + 'static), url: &ServerUrl) -> String {
    let (host, _) = url.host_and_port();
    let reason = causes(error).last().map(ToString::to_string).unwrap_or_default();
    let reason = reason.strip_prefix("failed to lookup address information: ").unwrap_or(&reason);
    format!(
        "the address of {} can't be found ({}): check the server's URL, and whether this machine has a network",
        shown(&host),
        shown(reason),
    )
}

/// Describes the timeout of a step; `step` precedes the server's host and port in the message.
pub(crate) fn late(step: &str, within: Duration, url: &ServerUrl) -> String {
    format!(
        "{step} {} took longer than {} s: the server or the network is down or slow, or a firewall is in between",
        host_port(url),
        within.as_secs_f64(),
    )
}

/// Iterates over an error and its causes. The source of an [`io::Error`] skips its inner error, so
/// the inner error is included.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// Describes an IO error of a known kind.
fn io_failure(error: &io::Error, url: &ServerUrl) -> Option<String> {
    let host_port = host_port(url);
    Some(match error.kind() {
        ErrorKind::ConnectionRefused => {
            format!("nothing listens at {host_port}: is the server running, and is that its port?")
        }
        ErrorKind::TimedOut => format!(
            "{host_port} does not answer: the server or the network is down, or a firewall is in between"
        ),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown => {
            format!("there is no way to {host_port}: is this machine connected to a network?")
        }
        ErrorKind::AddrNotAvailable => format!("there is no address to reach {host_port} at"),
        ErrorKind::PermissionDenied => format!(
            "this system does not let the daemon connect to {host_port}: see its firewall, and the daemon's service unit"
        ),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            format!("the connection to {host_port} was cut, by the server or on the way")
        }
        ErrorKind::UnexpectedEof => format!("{host_port} closed the connection"),
        _ => return None,
    })
}
