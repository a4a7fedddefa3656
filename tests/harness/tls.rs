//! A server's own certificate, and clients that trust it.

use std::fs;
use std::io::{self, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::daemon::PATIENCE;
use super::{Response, Setup, read_response, write_secret};

/// A connection over TLS.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;
/// A certificate with its key.
pub(crate) type Certified = CertifiedKey<KeyPair>;

/// Makes a certificate of `localhost`.
pub(crate) fn certify() -> Certified {
    generate_simple_self_signed(["localhost".into()]).expect("a certificate")
}

/// Writes a certificate and a key where the server of a setup looks for `cert.pem` and `key.pem`.
pub(crate) fn write_certificate(setup: &Setup, cert: &Certified, key: &Certified) {
    fs::write(setup.path("cert.pem"), cert.cert.pem()).expect("write the certificate");
    write_secret(&setup.path("key.pem"), &key.signing_key.serialize_pem());
}

/// Makes the handshake of a client that trusts that certificate alone.
pub(crate) fn shake_hands(
    stream: TcpStream,
    trusted: CertificateDer<'static>,
) -> io::Result<TlsStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut tls = StreamOwned::new(client, stream);
    tls.flush()?;
    tls.conn.complete_io(&mut tls.sock)?;
    Ok(tls)
}

/// Asks for a path.
pub(crate) fn get_over_tls(tls: &mut TlsStream, path: &str) -> Response {
    write!(tls, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the server takes it");
    read_response(&mut BufReader::new(tls)).expect("an answer")
}
