use std::fmt;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn url(text: &str) -> ServerUrl {
    text.parse().unwrap()
}

fn lan() -> ServerUrl {
    url("https://lan.example.org/base")
}

/// Error that wraps another one.
#[derive(Debug)]
struct Wrapped(&'static str, Box<dyn Error + Send + Sync>);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Wrapped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.1)
    }
}

fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
    let entry = |(name, value): &(&'static str, &str)| {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        (HeaderName::from_static(name), value)
    };
    entries.iter().map(entry).collect()
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn refused(status: u16, entries: &[(&'static str, &str)]) -> crate::remote::transport::Loss {
    refusal(StatusCode::from_u16(status).unwrap(), &headers(entries), &lan(), now(), false)
}

#[test]
fn shown_text_is_short_without_control_characters() {
    assert_eq!(shown("Größe — 大きさ"), "Größe — 大きさ");
    assert_eq!(shown("a\nb\u{1b}[31mc\u{202e}d\u{200b}\u{feff}"), "a?b?[31mc?d??");
    assert_eq!(shown(&"é".repeat(200)), "é".repeat(200));
    assert_eq!(shown(&"é".repeat(201)), "é".repeat(200) + "…");
}

#[test]
fn host_port_has_brackets_around_ipv6() {
    assert_eq!(host_port(&lan()), "lan.example.org:443");
    assert_eq!(host_port(&url("http://[::1]:8080")), "[::1]:8080");
}

#[test]
fn nested_causes_are_found() {
    let refused = || io::Error::from(ErrorKind::ConnectionRefused);
    let expected =
        "nothing listens at lan.example.org:443: is the server running, and is that its port?";
    assert_eq!(failure(&refused(), &lan()), expected);
    let wrapped = Wrapped("error sending request", Box::new(Wrapped("connect", refused().into())));
    assert_eq!(failure(&wrapped, &lan()), expected);
    assert_eq!(failure(&io::Error::other(wrapped), &lan()), expected);

    let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    let tls = Wrapped("connect", io::Error::new(ErrorKind::InvalidData, tls).into());
    assert!(failure(&tls, &lan()).ends_with("name its certificate in remote.ca_file"));

    let lookup = io::Error::other("failed to lookup address information: Name does not resolve");
    let words = unresolved(&Wrapped("connect", lookup.into()), &lan());
    assert!(
        words.starts_with("the address of lan.example.org can't be found (Name does not resolve):"),
        "{words}",
    );
    let strange = failure(&Wrapped("a", "b\nc".into()), &lan());
    assert_eq!(strange, "the connection to lan.example.org:443 failed: b?c");
}

#[test]
fn each_kind_of_failure_has_a_remedy() {
    for (kind, words) in [
        (ErrorKind::TimedOut, "does not answer"),
        (ErrorKind::NetworkUnreachable, "is this machine connected to a network?"),
        (ErrorKind::HostUnreachable, "is this machine connected to a network?"),
        (ErrorKind::PermissionDenied, "see its firewall"),
        (ErrorKind::ConnectionReset, "was cut"),
        (ErrorKind::UnexpectedEof, "closed the connection"),
    ] {
        let message = failure(&io::Error::from(kind), &lan());
        assert!(message.contains(words) && message.contains("lan.example.org:443"), "{message}");
    }
}

#[test]
fn redirection_names_only_the_origin() {
    let to = |location: &str| refused(301, &[("location", location)]).words;
    let words = |goal: &str| {
        format!("the server redirects to {goal}: if you trust it, set that as the server's URL")
    };
    assert_eq!(to("https://other.example/a?token=secret#b"), words("https://other.example"));
    assert_eq!(to("http://lan.example.org/base/ws"), words("http://lan.example.org"));
    assert_eq!(to("//u:p@other.example:8443/"), words("https://other.example:8443"));
    for own in ["/login", "https://lan.example.org:443/login", "login"] {
        assert!(to(own).contains("redirects to another path of its own"), "{}", to(own));
    }
    for strange in ["javascript:alert(1)", "http://", "é", ""] {
        let message = to(strange);
        assert!(message.contains("makes no sense") || strange.is_empty(), "{strange}: {message}");
    }
    let long = to(&format!("https://{}.example/", "a".repeat(5000)));
    assert!(long.chars().count() < 300, "{long}");
    assert!(refused(302, &[]).words.contains("makes no sense"));
}

#[test]
fn retry_after_is_seconds_or_a_date_within_its_bound() {
    let seconds = |value: &str, date: &str| {
        let loss = refused(503, &[("retry-after", value), ("date", date)]);
        loss.retry_after.map(|pause| pause.as_secs())
    };
    let today = "Thu, 01 Jan 2026 00:00:00 GMT";
    for (value, date, expected) in [
        ("7", "", Some(7)),
        (" 7 ", "", Some(7)),
        ("0", "", None),
        ("-7", "", None),
        ("soon", "", None),
        ("", "", None),
        ("99999999999999999999999999", "", Some(86_400)),
        ("Thu, 01 Jan 2026 00:01:00 GMT", "", Some(60)),
        ("Thu, 01 Jan 2026 00:01:00 GMT", today, Some(60)),
        ("Thu, 01 Jan 2026 00:01:00 GMT", "Thu, 01 Jan 2026 00:00:30 GMT", Some(30)),
        ("Wed, 31 Dec 2025 00:00:00 GMT", today, None),
        ("Wed, 01 Jan 9000 00:00:00 GMT", today, Some(86_400)),
    ] {
        assert_eq!(seconds(value, date), expected, "{value:?} {date:?}");
    }
}

#[test]
fn text_of_the_server_is_shortened() {
    let long = format!("Basic realm=\"{}\t\"", "x".repeat(5000));
    let loss = refused(401, &[("www-authenticate", &long)]);
    assert!(loss.is_final);
    assert!(loss.words.chars().count() < 400 && !loss.words.contains('\t'), "{loss:?}");
}

/// Certificate of version 1 for `localhost`.
const OLD: &str = "-----BEGIN CERTIFICATE-----
MIIBJDCBywIUfQ+KXC3miWbgGkkrQA+egtLpqPIwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTIwNDMwN1oYDzIxMjYxMTA1MjA0MzA3
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AARSapc0XN642Nzg9kOpp4G2lT6+XjmAHhmjcNbQIWzhNzni5R87Bos7Bd2uRAxe
k8KhtfY9541pqynDCqb18dFvMAoGCCqGSM49BAMCA0gAMEUCICpn0PvAYJbDbAkF
Oj7j9raWC91bnhvw5LBwsvMPefNBAiEAsQtN1JTDEmASLTrTnJHhK/vkY2YM5fIp
klNgrNSAVtI=
-----END CERTIFICATE-----
";

#[test]
fn certificate_of_version_1_is_named() {
    use rustls::server::ParsedCertificate;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    let old = CertificateDer::from_pem_slice(OLD.as_bytes()).unwrap();
    let error = ParsedCertificate::try_from(&old).map(drop).unwrap_err();
    let words = failure(&error, &lan());
    assert!(words.contains("lan.example.org is of version 1"), "{words}");
}

#[test]
fn url_of_a_known_control_server_is_not_questioned() {
    let url = url("http://lan.example.org");
    let words = |understood| {
        refusal(StatusCode::BAD_REQUEST, &HeaderMap::new(), &url, now(), understood).words
    };
    assert!(words(false).contains("https://"), "{}", words(false));
    assert!(!words(true).contains("https://") && words(true).contains("400"), "{}", words(true));
}
