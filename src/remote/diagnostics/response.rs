//! Descriptions of unexpected HTTP responses.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};

use super::{host_port, shown};
use crate::remote::transport::Loss;
use crate::server_url::ServerUrl;

/// Upper bound of `Retry-After`, against faulty servers.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Converts an unexpected response to a loss. Once `understood`, a control server has responded at
/// this URL, so the message does not question the URL.
pub(crate) fn refusal(
    status: StatusCode,
    headers: &HeaderMap,
    url: &ServerUrl,
    now: Timestamp,
    understood: bool,
) -> Loss {
    let is_final =
        matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    let retry_after = retry_after(headers, now);
    Loss { retry_after, is_final, ..Loss::new(words(status, headers, url, understood)) }
}

/// Returns the server's time in a response, where it has a date.
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    time(text(headers, DATE)?)
}

fn words(status: StatusCode, headers: &HeaderMap, url: &ServerUrl, understood: bool) -> String {
    let host_port = host_port(url);
    match status {
        StatusCode::UNAUTHORIZED => format!(
            "the server does not let this daemon in: something in front of it at {host_port} asks for a login ({status}{})",
            text(headers, WWW_AUTHENTICATE)
                .map(|how| format!(": {}", shown(how)))
                .unwrap_or_default(),
        ),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            format!(
                "the server does not let this daemon in: a proxy on the way to {host_port} asks for a login ({status})"
            )
        }
        StatusCode::NETWORK_AUTHENTICATION_REQUIRED => {
            format!("this network asks for a login first ({status}): open a web page in a browser")
        }
        StatusCode::TOO_MANY_REQUESTS => {
            format!("{host_port} asks to be left alone for a while ({status})")
        }
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            format!("a proxy at {host_port} can't reach the control server behind it ({status})")
        }
        status if status.is_redirection() => redirection(headers, url),
        status if status.is_success() && is_html(headers) => format!(
            "{host_port} answered with a web page: a captive portal, or not the address of a control server"
        ),
        status if status.is_success() => {
            format!("{host_port} answered, but not as a control server does ({status})")
        }
        status if status.is_server_error() => {
            format!("the server at {host_port} can't serve now ({status}): see its log")
        }
        StatusCode::BAD_REQUEST if !url.is_secure() && !understood => format!(
            "{host_port} refused ({status}): if the server speaks TLS, its URL starts with https://"
        ),
        StatusCode::NOT_FOUND if !understood => format!(
            "there is no control server at {host_port} ({status}): check the address and the path in the server's URL"
        ),
        status => format!("{host_port} refused ({status})"),
    }
}

/// Describes a redirection by the origin of its target only: the rest may hold a secret or mislead.
fn redirection(headers: &HeaderMap, url: &ServerUrl) -> String {
    let here = url.route(&[]);
    let target = text(headers, LOCATION)
        .and_then(|location| here.join(location).ok())
        .filter(|target| matches!(target.scheme(), "http" | "https"));
    match target.map(|target| target.origin()) {
        None => "the server redirects to an address that makes no sense".into(),
        Some(target) if target == here.origin() => format!(
            "{} redirects to another path of its own: check the path in the server's URL, or whether a login is in front of it",
            host_port(url),
        ),
        Some(target) => format!(
            "the server redirects to {}: if you trust it, set that as the server's URL",
            shown(&target.ascii_serialization()),
        ),
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    text(headers, CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().contains("html"))
}

/// Parses `Retry-After`: seconds, or a date by the server's clock if the response has a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER)?.trim();
    let pause = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that overflows is beyond the bound, too.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = time(value)?.duration_since(date(headers).unwrap_or(now));
        Duration::try_from(until).ok()?
    };
    Some(pause.min(LONGEST_RETRY_AFTER)).filter(|pause| !pause.is_zero())
}

fn time(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
