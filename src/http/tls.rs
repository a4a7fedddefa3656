//! TLS of the server: its certificate and parameters.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{anyhow, ensure};
use lanrage_ipc::unicode::strip_bom;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::os::files::{self, Rule};

/// Limit of a file, in bytes. A long chain has a hundredth of it.
const LARGEST_FILE: u64 = 1 << 20;

/// Certificate chain and its key, both in PEM files, which can be reloaded while in use.
pub(crate) struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the chain (the server's own certificate first) and the key.
    ///
    /// # Errors
    /// Names the file and the remedy: it can't be read or parsed, or the key does not fit the
    /// certificate.
    pub(crate) fn load(chain: PathBuf, key: PathBuf) -> anyhow::Result<Self> {
        let current = RwLock::new(Arc::new(read(&chain, &key)?));
        Ok(Self { chain, key, current })
    }

    /// Reloads the same files, for later connections.
    ///
    /// # Errors
    /// Those of [`Self::load`]; the certificate in use stays.
    pub(crate) fn reload(&self) -> anyhow::Result<()> {
        let fresh = Arc::new(read(&self.chain, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("chain", &self.chain)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Returns the parameters: TLS 1.2 and 1.3, for HTTP/1.1 only.
pub(crate) fn server_config(certificates: Arc<Certificates>) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn read(chain: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let certificates = read_chain(chain).map_err(|error| anyhow!("http.tls_cert: {error:#}"))?;
    let private = read_key(key).map_err(|error| anyhow!("http.tls_key: {error:#}"))?;
    CertifiedKey::from_der(certificates, private, &ring::default_provider()).map_err(|error| {
        match error {
            rustls::Error::InconsistentKeys(_) => anyhow!(
                "http.tls_key: the key in {} is not that of the first certificate in {}, http.tls_cert: give the two files that were made together",
                key.display(),
                chain.display(),
            ),
            rustls::Error::InvalidCertificate(error) => anyhow!(
                "http.tls_cert: the first certificate in {} can't be used: {error}",
                chain.display(),
            ),
            error => anyhow!(
                "http.tls_key: the key in {} can't be used: {error}; RSA from 2048 bits, ECDSA P-256 and P-384, and Ed25519 can",
                key.display(),
            ),
        }
    })
}

fn read_chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = contents(path, Rule::Named, "certificate")?;
    let certificates = CertificateDer::pem_slice_iter(strip_bom(&pem))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("the certificate file {} is no PEM: {error}", path.display()))?;
    ensure!(
        !certificates.is_empty(),
        "{} holds no certificate: give the chain in PEM, the server's own certificate first",
        path.display(),
    );
    Ok(certificates)
}

fn read_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    let pem = contents(path, Rule::Secret, "key")?;
    PrivateKeyDer::from_pem_slice(strip_bom(&pem)).map_err(|error| {
        let shown = path.display();
        match error {
            pem::Error::NoItemsFound => anyhow!(
                "{shown} holds no private key: give it in PEM, as PKCS#8, SEC1 or PKCS#1 (RSA), not encrypted"
            ),
            error => anyhow!("the key file {shown} is no PEM: {error}"),
        }
    })
}

fn contents(path: &Path, rule: Rule, what: &str) -> anyhow::Result<Vec<u8>> {
    files::read(path, rule, LARGEST_FILE).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => anyhow!(
            "the {what} file {} is larger than {LARGEST_FILE} bytes: it should hold PEM only",
            path.display(),
        ),
        _ => anyhow::Error::from(error)
            .context(format!("can't read the {what} file {}", path.display())),
    })
}
