//! Certificates that a daemon trusts.

use super::trial::Trial;
use crate::harness::{BadServer, Behaviour, Certificate, FAST_REMOTE};

/// A daemon that trusts the file of a server with such a certificate.
fn trusting(certificate: Certificate) -> (BadServer, Trial) {
    let server = BadServer::tls(certificate, Behaviour::polite());
    let config = format!("{FAST_REMOTE}ca_file = '{}'\n", server.ca().display());
    let trial = Trial::with(&server.url(), &config);
    (server, trial)
}

#[test]
fn certificate_of_a_configured_authority_is_trusted() {
    let (_server, trial) = trusting(Certificate::Good);
    trial.comes_to("online", &[]);
    trial.answers_all();
    trial.end();
}

#[test]
fn certificate_that_is_bad_keeps_the_daemon_away() {
    for (certificate, words) in [
        (Certificate::Expired, ["expired", "renew"]),
        (Certificate::WrongName, ["elsewhere.example", "not for 127.0.0.1"]),
        (Certificate::UnknownIssuer, ["authority", "remote.ca_file"]),
    ] {
        let (server, trial) = trusting(certificate);
        trial.comes_to("fallback", &words);
        trial.goes_on_alone();
        // Nothing was told to who is not known.
        assert_eq!(server.requests().len(), 0);
        trial.end();
    }
}

#[test]
fn certificate_of_an_unknown_authority_is_refused() {
    let server = BadServer::tls(Certificate::Good, Behaviour::polite());
    let trial = Trial::of(&server.url());
    trial.comes_to("fallback", &["127.0.0.1", "remote.ca_file"]);
    trial.goes_on_alone();
    trial.end();
}

#[test]
fn tls_and_plain_text_confused_are_told() {
    let server = BadServer::tls(Certificate::Good, Behaviour::polite());
    let trial = Trial::of(&server.url().replace("https", "http"));
    trial.comes_to("fallback", &["TLS", "https://"]);
    trial.end();
    let server = BadServer::start(Behaviour::polite());
    let trial = Trial::of(&server.url().replace("http", "https"));
    trial.comes_to("fallback", &["TLS"]);
    trial.end();
}
