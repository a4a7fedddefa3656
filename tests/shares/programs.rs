//! Programs that rows attack.

use crate::harness::{Daemon, Setup, certify, system_daemon, write_certificate};

/// A proxy on this machine: a client comes from the address that it says.
const BEHIND_PROXY: &str = "http.behind_proxy = ['127.0.0.1']\n";

/// The same, and one address may ask as often as it likes.
pub(super) const OPEN: &str = "http.behind_proxy = ['127.0.0.1']\n\
    ws.frames_per_second = 1000000\nws.frames_burst = 1000000\n\
    limits.requests_per_second = 1000000\nlimits.requests_burst = 1000000\n\
    limits.registrations_per_minute = 1000000\nlimits.registrations_burst = 1000000\n";

/// Operators of the system's daemon, by uid.
pub(super) const OPERATORS: [u32; 5] = [60_100, 60_101, 60_102, 60_103, 60_104];

/// A server with its rates.
pub(super) fn server(config: &str) -> Option<Daemon> {
    Some(Setup::server().config(&format!("{BEHIND_PROXY}{config}")).start())
}

/// A server without rates.
pub(super) fn open_server(config: &str) -> Option<Daemon> {
    Some(Setup::server().config(&format!("{OPEN}{config}")).start())
}

/// A server that speaks TLS, with its certificate in `cert.pem`.
pub(super) fn tls_server(config: &str) -> Option<Daemon> {
    let tls = "http.tls_cert = 'cert.pem'\nhttp.tls_key = 'key.pem'\n";
    let setup = Setup::server().config(&format!("{OPEN}{tls}{config}"));
    let made = certify();
    write_certificate(&setup, &made, &made);
    Some(setup.start())
}

/// A user's own daemon.
pub(super) fn daemon(config: &str) -> Option<Daemon> {
    Some(Setup::new().config(config).start())
}

/// The system's daemon, with [`OPERATORS`].
pub(super) fn daemon_of_the_system(config: &str) -> Option<Daemon> {
    system_daemon(&OPERATORS, config)
}
