//! Reasons why a server can't be reached, for people, with the remedy.
//!
//! Text of the server is shortened, and stripped of characters that control a terminal.

mod answer;
mod certificate;
mod http_error;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter::successors;
use std::time::Duration;

use crate::server_url::ServerUrl;

pub(crate) use crate::core::shown;
pub(crate) use answer::{date, refusal};
pub(crate) use http_error::HttpError;

/// Place of a server, such as `lan.example.org:443` or `[::1]:80`.
pub(crate) fn place(url: &ServerUrl) -> String {
    let (host, port) = url.host_and_port();
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{}:{port}", shown(&host)) }
}

/// Why a connection to the server could not be made, or broke: what is told comes from the causes
/// of an error, whatever library it is from.
pub(crate) fn failure(error: &(dyn Error + 'static), url: &ServerUrl) -> String {
    if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return certificate::failure(error, url);
    }
    let known = |cause: &(dyn Error + 'static)| known(cause.downcast_ref::<io::Error>()?, url);
    let innermost = || causes(error).last().map(ToString::to_string).unwrap_or_default();
    causes(error).find_map(known).unwrap_or_else(|| {
        format!("the connection to {} failed: {}", place(url), shown(&innermost()))
    })
}

/// Why the server's name has no address.
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

/// Message for a step that took too long; `step` comes before the server's place.
pub(crate) fn late(step: &str, within: Duration, url: &ServerUrl) -> String {
    format!(
        "{step} {} took longer than {} s: the server or the network is down or slow, or a firewall is in between",
        place(url),
        within.as_secs_f64(),
    )
}

/// An error and what it comes from. What is within an [`io::Error`] is no source of it: only the
/// source of that is.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| {
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        within.map(|within| within as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

fn known(error: &io::Error, url: &ServerUrl) -> Option<String> {
    let place = place(url);
    Some(match error.kind() {
        ErrorKind::ConnectionRefused => {
            format!("nothing listens at {place}: is the server running, and is that its port?")
        }
        ErrorKind::TimedOut => format!(
            "{place} does not answer: the server or the network is down, or a firewall is in between"
        ),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown => {
            format!("there is no way to {place}: is this machine connected to a network?")
        }
        ErrorKind::AddrNotAvailable => format!("there is no address to reach {place} at"),
        ErrorKind::PermissionDenied => format!(
            "this system does not let the daemon connect to {place}: see its firewall, and the daemon's service unit"
        ),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            format!("the connection to {place} was cut, by the server or on the way")
        }
        ErrorKind::UnexpectedEof => format!("{place} closed the connection"),
        _ => return None,
    })
}
