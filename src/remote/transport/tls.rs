//! TLS with a server: trusted certificates and the client's configuration.

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanrage_ipc::unicode::strip_bom;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_native_certs::CertificateResult;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::os::files::{self, Rule};

/// Largest file of certificates, in bytes: four times as large as all public authorities together.
const LARGEST_FILE: u64 = 1 << 20;

/// Error of the file of trusted certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// Reading failed.
    #[error("can't read the certificate file {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the read.
        error: io::Error,
    },
    /// The file exceeds [`LARGEST_FILE`].
    #[error(
        "the certificate file {path} is larger than {LARGEST_FILE} bytes: it should hold PEM only"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A PEM block cannot be decoded.
    #[error("the certificate file {path} is no PEM: {}", pem_words(.error))]
    NoPem {
        /// The file.
        path: PathBuf,
        /// Reason.
        error: pem::Error,
    },
    /// The file has no certificate.
    #[error("{path} holds no certificate: give that of your certificate authority in PEM")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be used as a trust anchor.
    #[error("certificate {number} in {path} can't be used: {error}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Number of the certificate, from 1.
        number: usize,
        /// Reason.
        error: rustls::Error,
    },
}

/// Returns the configuration of TLS 1.2 and 1.3 that trusts the system's certificate authorities
/// and those in a PEM file. A system without authorities is no error: TLS may never be needed.
///
/// Reads files, and takes some milliseconds.
///
/// # Errors
/// A [`TlsError`] for an unusable file.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    config(rustls_native_certs::load_native_certs(), ca_file)
}

pub(super) fn config(
    system: CertificateResult,
    ca_file: Option<&Path>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    // Old certificates of the system may violate current rules.
    let (_, unusable) = roots.add_parsable_certificates(system.certs);
    log::debug!(
        "system certificate authorities loaded: usable={} unusable={unusable}",
        roots.len()
    );
    for error in &system.errors {
        log::debug!("system certificate authority not read: {error}");
    }
    if roots.is_empty() {
        // No warning: only a server with TLS needs an authority.
        log::info!(
            "this system has no certificate authorities: install its package of them, often ca-certificates"
        );
    }
    if let Some(path) = ca_file {
        add(&mut roots, path)?;
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for TLS 1.2 and 1.3");
    let config = if roots.is_empty() {
        let verifier = Arc::new(RejectsAll(provider));
        builder.dangerous().with_custom_certificate_verifier(verifier)
    } else {
        builder.with_root_certificates(roots)
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

fn pem_words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "it is cut off, the line -----END CERTIFICATE----- is missing: copy it again".to_owned()
        }
        pem::Error::Base64Decode(_) => {
            "it is damaged within a certificate: copy it again".to_owned()
        }
        error => error.to_string(),
    }
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let path_buf = || path.to_owned();
    let bytes =
        files::read(path, Rule::Named, LARGEST_FILE).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => TlsError::TooLarge { path: path_buf() },
            _ => TlsError::Unreadable { path: path_buf(), error },
        })?;
    let mut number = 0;
    for certificate in CertificateDer::pem_slice_iter(strip_bom(&bytes)) {
        let certificate =
            certificate.map_err(|error| TlsError::NoPem { path: path_buf(), error })?;
        number += 1;
        roots.add(certificate).map_err(|error| TlsError::Unusable {
            path: path_buf(),
            number,
            error,
        })?;
    }
    if number == 0 { Err(TlsError::NoCertificate { path: path_buf() }) } else { Ok(()) }
}

/// Reason of a rejected certificate: the machine has no trusted authority.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("this machine trusts no certificate authority at all")]
pub(in crate::remote) struct NoAuthority;

/// Verifier that rejects every server with [`NoAuthority`].
#[derive(Debug)]
struct RejectsAll(Arc<CryptoProvider>);

impl RejectsAll {
    fn rejection() -> rustls::Error {
        CertificateError::Other(OtherError(Arc::new(NoAuthority))).into()
    }
}

impl ServerCertVerifier for RejectsAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(Self::rejection())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Self::rejection())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Self::rejection())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
