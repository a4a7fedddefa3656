//! TLS, and servers with invalid certificates.

use std::fs;
use std::path::PathBuf;

use futures_util::StreamExt as _;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Certificate authority, and the file that makes it trusted.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    folder: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), certificate, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Starts a server with a certificate for `name`, with changed parameters.
    async fn serve(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> u16 {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        serve_tls(certificate, &key).await
    }

    /// Returns the endpoint of a server at this port that trusts only this authority.
    fn endpoint(&self, host: &str, port: u16) -> Endpoint {
        let tls = tls::config(Default::default(), Some(&self.file())).unwrap();
        Endpoint { tls, ..endpoint("https", format!("{host}:{port}")) }
    }
}

async fn serve_tls(certificate: Certificate, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = serve(async move |stream| {
        let Ok(stream) = acceptor.accept(stream).await else { return };
        let Ok(mut socket) = accept_async(stream).await else { return };
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
    address.port()
}

fn unchanged(_: &mut CertificateParams) {}

#[actix::test]
async fn server_of_the_ca_file_is_trusted() {
    let authority = Authority::new("ours");
    for (host, name) in [("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")] {
        let port = authority.serve(name, unchanged).await;
        let mut transport = open(&authority.endpoint(host, port)).await.expect("a transport");
        transport.outgoing.send(Outgoing::Ping).await.unwrap();
        assert!(matches!(next(&mut transport).await, Incoming::Alive));
    }
}

#[actix::test]
async fn invalid_certificates_are_losses_with_a_reason() {
    let ours = Authority::new("ours");
    let theirs = Authority::new("theirs");
    let anew = Authority::new("ours");
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 2, 3);
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(3000, 2, 3);
    for (port, words) in [
        (ours.serve("localhost", expired).await, "of localhost expired on 2020-02-03: renew it"),
        (ours.serve("localhost", early).await, "of localhost is not valid before 3000-02-03 yet"),
        (
            ours.serve("lan.example.org", unchanged).await,
            "is not for localhost but for lan.example.org: use such a name",
        ),
        (
            ours.serve("192.0.2.7", unchanged).await,
            "is not for localhost but for 192.0.2.7: use such a name",
        ),
        (
            theirs.serve("localhost", unchanged).await,
            "if it is your own CA, name its certificate in remote.ca_file",
        ),
        (anew.serve("localhost", unchanged).await, "was made anew, renew remote.ca_file"),
    ] {
        let loss = lost(&ours.endpoint("localhost", port)).await;
        assert!(loss.words.contains(words), "{loss:?}");
        assert!(!loss.is_final);
    }
}

#[actix::test]
async fn certificate_of_an_authority_is_rejected() {
    let authority = Authority::new("ours");
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(authority.file(), certificate.pem()).unwrap();
    let port = serve_tls(certificate, &key).await;
    let loss = lost(&authority.endpoint("localhost", port)).await;
    assert!(loss.words.contains("(CA:TRUE), which a server may not show"), "{loss:?}");
}

#[actix::test]
async fn no_server_is_trusted_without_authorities() {
    let authority = Authority::new("ours");
    let port = authority.serve("localhost", unchanged).await;
    let loss = lost(&endpoint("https", format!("localhost:{port}"))).await;
    let words = "this machine trusts no certificate authority at all: install";
    assert!(loss.words.starts_with(words), "{loss:?}");
    drop(authority.certificate);
}

#[actix::test]
async fn tls_on_one_side_only_is_a_loss() {
    let authority = Authority::new("ours");
    let plain = responding_to_anything("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let loss = lost(&authority.endpoint("127.0.0.1", plain.port())).await;
    assert!(loss.words.contains("does not speak TLS: if the server has none"), "{loss:?}");
    let closing = responding_to_anything("").await;
    let loss = lost(&authority.endpoint("127.0.0.1", closing.port())).await;
    assert!(loss.words.contains("does it speak TLS at that port?"), "{loss:?}");
    let port = authority.serve("127.0.0.1", unchanged).await;
    let loss = lost(&endpoint("http", format!("127.0.0.1:{port}"))).await;
    assert!(loss.words.contains("its URL starts with https://"), "{loss:?}");
}

/// Starts a server that responds to the first bytes with these, and closes.
async fn responding_to_anything(response: &'static str) -> SocketAddr {
    serve(async move |mut stream| {
        use tokio::io::AsyncWriteExt as _;
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        stream.write_all(response.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await
}
