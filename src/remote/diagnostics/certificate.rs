//! Descriptions of TLS failures.

use jiff::Timestamp;
use rustls::{AlertDescription, CertificateError, Error};
use rustls_pki_types::UnixTime;

use super::{host_port, shown};
use crate::remote::transport::tls::NoAuthority;
use crate::server_url::ServerUrl;

/// Names of a certificate that a message lists.
const MOST_NAMES: usize = 5;

pub(super) fn failure(error: &Error, url: &ServerUrl) -> String {
    let host_port = host_port(url);
    match error {
        Error::InvalidCertificate(error) => certificate(error, url),
        Error::InvalidMessage(_) => {
            format!(
                "{host_port} does not speak TLS: if the server has none, its URL starts with http://"
            )
        }
        Error::PeerIncompatible(_)
        | Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => {
            format!(
                "{host_port} does not speak TLS 1.2 or 1.3 in a way that is still safe: update it"
            )
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("{host_port} knows no server of that name: check the server's URL")
        }
        Error::AlertReceived(alert) => {
            format!("{host_port} refuses to speak TLS with this daemon ({alert:?})")
        }
        error => format!("TLS with {host_port} failed: {}", shown(&error.to_string())),
    }
}

fn certificate(error: &CertificateError, url: &ServerUrl) -> String {
    let (host, _) = url.host_and_port();
    let host = shown(&host);
    match error {
        CertificateError::Expired => expired(&host, ""),
        CertificateError::ExpiredContext { not_after, .. } => {
            expired(&host, &format!(" on {}", day(not_after)))
        }
        CertificateError::NotValidYet => not_yet_valid(&host, ""),
        CertificateError::NotValidYetContext { not_before, .. } => {
            not_yet_valid(&host, &format!(" before {}", day(not_before)))
        }
        CertificateError::NotValidForName => wrong_name(&host, &[]),
        CertificateError::NotValidForNameContext { presented, .. } => wrong_name(&host, presented),
        CertificateError::UnknownIssuer => format!(
            "the certificate of {host} is from an authority that this machine does not know: if it is your own CA, name its certificate in remote.ca_file"
        ),
        CertificateError::BadSignature => format!(
            "the certificate of {host} was not made by the authority that it names: if that is your own CA and was made anew, renew remote.ca_file"
        ),
        CertificateError::Revoked => format!("the certificate of {host} was revoked: renew it"),
        CertificateError::Other(other) if other.0.is::<NoAuthority>() => format!(
            "{}: install the system's certificates (often the package ca-certificates), or name your own CA's in remote.ca_file",
            NoAuthority,
        ),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            format!(
                "the certificate of {host} is that of an authority (CA:TRUE), which a server may not show: make one for the server"
            )
        }
        CertificateError::Other(other) if other.to_string().contains("UnsupportedCertVersion") => {
            format!(
                "the certificate of {host} is of version 1, which is not safe: make one of version 3, with the server's name as a subjectAltName"
            )
        }
        error => format!("the certificate of {host} can't be used: {}", shown(&error.to_string())),
    }
}

fn expired(host: &str, when: &str) -> String {
    format!("the certificate of {host} expired{when}: renew it, or set this machine's clock right")
}

fn not_yet_valid(host: &str, when: &str) -> String {
    format!("the certificate of {host} is not valid{when} yet: set this machine's clock right")
}

/// Describes a certificate for other names. `presented` holds names as in
/// `DnsName("lan.example.org")` and `IpAddress(192.0.2.1)`.
fn wrong_name(host: &str, presented: &[String]) -> String {
    let bare = |name: &String| {
        let within = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        shown(within.unwrap_or(name).trim_matches('"'))
    };
    let mut names: Vec<_> = presented.iter().take(MOST_NAMES).map(bare).collect();
    if presented.len() > MOST_NAMES {
        names.push("others".into());
    }
    let names = if names.is_empty() { "no name at all".into() } else { names.join(", ") };
    format!(
        "the certificate is not for {host} but for {names}: use such a name in the server's URL, or renew the certificate"
    )
}

/// Formats a day, as in `2026-01-31`.
fn day(time: &UnixTime) -> String {
    let time = i64::try_from(time.as_secs()).ok().and_then(|at| Timestamp::from_second(at).ok());
    time.map_or_else(|| "a day beyond all calendars".into(), |at| at.strftime("%F").to_string())
}
