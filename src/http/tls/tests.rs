use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{fs, thread};

use rcgen::{CertifiedKey as Made, generate_simple_self_signed};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection, Stream};
use rustls::{ProtocolVersion, SupportedProtocolVersion};
use tempfile::TempDir;

use super::*;

const NAME: &str = "localhost";

fn make() -> Made<rcgen::KeyPair> {
    generate_simple_self_signed([NAME.into()]).unwrap()
}

struct Files {
    folder: TempDir,
}

impl Files {
    fn of(made: &Made<rcgen::KeyPair>) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write(made);
        files
    }

    fn write(&self, made: &Made<rcgen::KeyPair>) {
        fs::write(self.chain(), made.cert.pem()).unwrap();
        self.write_key(&made.signing_key.serialize_pem());
    }

    fn write_key(&self, pem: &str) {
        fs::write(self.key(), pem).unwrap();
        #[cfg(unix)]
        fs::set_permissions(self.key(), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    }

    fn chain(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn load(&self) -> anyhow::Result<Certificates> {
        Certificates::load(self.chain(), self.key())
    }

    fn refusal(&self) -> String {
        format!("{:#}", self.load().expect_err("a refusal"))
    }
}

/// Returns the server's certificate and the negotiated parameters, for a client that trusts `root`
/// alone.
fn handshake(
    server: &Arc<ServerConfig>,
    root: &Made<rcgen::KeyPair>,
    version: &'static SupportedProtocolVersion,
) -> Result<(CertificateDer<'static>, ProtocolVersion, Vec<u8>), std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = server.clone();
    let serving = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut tls = ServerConnection::new(server).unwrap();
        let _ = Stream::new(&mut tls, &mut socket).write_all(b"hello");
    });
    let mut roots = RootCertStore::empty();
    roots.add(root.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut tls = ClientConnection::new(Arc::new(config), NAME.try_into().unwrap()).unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    let heard = Stream::new(&mut tls, &mut socket).read_exact(&mut [0; 5]);
    drop(socket);
    serving.join().unwrap();
    heard.map(|()| {
        let certificate = tls.peer_certificates().unwrap()[0].clone().into_owned();
        let protocol = tls.alpn_protocol().unwrap().to_vec();
        (certificate, tls.protocol_version().unwrap(), protocol)
    })
}

#[test]
fn tls_1_2_and_1_3_are_accepted_with_http_1_1_only() {
    let made = make();
    let config = Arc::new(server_config(Arc::new(Files::of(&made).load().unwrap())));
    for version in [&TLS12, &TLS13] {
        let (certificate, spoken, protocol) = handshake(&config, &made, version).unwrap();
        assert_eq!(&certificate, made.cert.der());
        assert_eq!(spoken, version.version);
        assert_eq!(protocol, b"http/1.1");
    }
}

#[test]
fn reloaded_certificate_is_shown_to_new_connections() {
    let (old, new) = (make(), make());
    let files = Files::of(&old);
    let certificates = Arc::new(files.load().unwrap());
    let config = Arc::new(server_config(certificates.clone()));
    assert_eq!(&handshake(&config, &old, &TLS13).unwrap().0, old.cert.der());
    files.write(&new);
    assert_eq!(&handshake(&config, &old, &TLS13).unwrap().0, old.cert.der(), "not asked to yet");
    certificates.reload().unwrap();
    assert_eq!(&handshake(&config, &new, &TLS13).unwrap().0, new.cert.der());
    assert!(handshake(&config, &old, &TLS13).is_err(), "the old one is gone");
}

#[test]
fn failed_reload_keeps_the_old_certificate() {
    let (old, new) = (make(), make());
    let files = Files::of(&old);
    let certificates = Arc::new(files.load().unwrap());
    let config = Arc::new(server_config(certificates.clone()));
    // Half of a renewal: the certificate is replaced, its key is not yet.
    fs::write(files.chain(), new.cert.pem()).unwrap();
    let refusal = certificates.reload().unwrap_err().to_string();
    assert!(refusal.contains("key.pem is not that of the first certificate"), "{refusal}");
    fs::remove_file(files.key()).unwrap();
    assert!(certificates.reload().is_err());
    assert_eq!(&handshake(&config, &old, &TLS13).unwrap().0, old.cert.der());
}

#[test]
fn certificate_file_may_hold_a_chain_and_other_pem() {
    let (made, issuer) = (make(), make());
    let files = Files::of(&made);
    let both = format!("a comment\n{}\n{}", made.cert.pem(), issuer.cert.pem());
    fs::write(files.chain(), both).unwrap();
    let whole = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
    files.write_key(&whole);
    assert_eq!(files.load().unwrap().current.read().unwrap().cert.len(), 2);
}

#[test]
fn certificate_errors_name_the_file_and_the_fix() {
    let made = make();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let broken_cert = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let no_base64 = "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n";
    let large = " ".repeat(LARGEST_FILE as usize + 1);
    let table: &[(&str, &str, &str)] = &[
        ("", &key, "cert.pem holds no certificate: give the chain in PEM"),
        (&key, &key, "cert.pem holds no certificate"),
        (broken_cert, &key, "the first certificate in"),
        (&no_base64.replace("PRIVATE KEY", "CERTIFICATE"), &key, "cert.pem is no PEM"),
        (&large, &key, "cert.pem is larger than 1048576 bytes"),
        (&cert, "", "key.pem holds no private key: give it in PEM"),
        (&cert, &cert, "key.pem holds no private key"),
        (&cert, &encrypted, "not encrypted"),
        (&cert, broken_key, "key.pem can't be used"),
        (&cert, no_base64, "key.pem is no PEM"),
        (&cert, &large, "key.pem is larger than"),
        (&make().cert.pem(), &key, "give the two files that were made together"),
    ];
    let files = Files::of(&made);
    for (cert, key, expected) in table {
        fs::write(files.chain(), cert).unwrap();
        files.write_key(key);
        let refusal = files.refusal();
        assert!(refusal.contains(expected), "{refusal} / {expected}");
    }
    fs::remove_file(files.chain()).unwrap();
    assert!(files.refusal().contains("can't read the certificate file"));
}

#[test]
fn private_key_appears_in_no_error() {
    let made = make();
    let files = Files::of(&made);
    let shown = format!("{:?}", files.load().unwrap());
    assert!(shown.starts_with("Certificates { chain: ") && shown.ends_with(", .. }"), "{shown}");
}
