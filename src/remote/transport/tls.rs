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

/// The most that a file of certificates may have, in bytes. All the world's authorities together
/// have a quarter of it.
const LARGEST_FILE: u64 = 1 << 20;

/// Why the file of certificates that is to be trusted can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// It can't be read.
    #[error("can't read the certificate file {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no list of certificates.
    #[error(
        "the certificate file {path} is larger than {LARGEST_FILE} bytes: it should hold PEM only"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It has a block that can't be read.
    #[error("the certificate file {path} is no PEM: {}", pem_words(.error))]
    NoPem {
        /// The file.
        path: PathBuf,
        /// Reason.
        error: pem::Error,
    },
    /// It has no certificate in it.
    #[error("{path} holds no certificate: give that of your certificate authority in PEM")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// One of its certificates is none.
    #[error("certificate {number} in {path} can't be used: {error}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        number: usize,
        /// Reason.
        error: rustls::Error,
    },
}

/// TLS 1.2 and 1.3 with servers that the system's certificate authorities vouch for, or those in
/// a PEM file. A system without any is no error: it may never be asked to speak TLS.
///
/// Reads files, and takes some milliseconds.
///
/// # Errors
/// The file can't be used.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    config(rustls_native_certs::load_native_certs(), ca_file)
}

pub(super) fn config(
    system: CertificateResult,
    ca_file: Option<&Path>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    // Systems have certificates that are older than the rules.
    let (_, passed_over) = roots.add_parsable_certificates(system.certs);
    log::debug!("{} certificate authorities of the system, {passed_over} unusable", roots.len());
    for error in &system.errors {
        log::debug!("a certificate authority of the system can't be read: {error}");
    }
    if roots.is_empty() {
        // Whether it matters is known when a certificate is to be checked.
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
        let nobody = Arc::new(TrustsNobody(provider));
        builder.dangerous().with_custom_certificate_verifier(nobody)
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
    let named = || path.to_owned();
    let bytes =
        files::read(path, Rule::Named, LARGEST_FILE).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => TlsError::TooLarge { path: named() },
            _ => TlsError::Unreadable { path: named(), error },
        })?;
    let mut number = 0;
    for certificate in CertificateDer::pem_slice_iter(strip_bom(&bytes)) {
        let certificate = certificate.map_err(|error| TlsError::NoPem { path: named(), error })?;
        number += 1;
        roots.add(certificate).map_err(|error| TlsError::Unusable {
            path: named(),
            number,
            error,
        })?;
    }
    if number == 0 { Err(TlsError::NoCertificate { path: named() }) } else { Ok(()) }
}

/// There is nobody whom this machine trusts.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("this machine trusts no certificate authority at all")]
pub(in crate::remote) struct NobodyTrusted;

/// Refuses every server, for the reason that is the true one.
#[derive(Debug)]
struct TrustsNobody(Arc<CryptoProvider>);

impl TrustsNobody {
    fn refusal() -> rustls::Error {
        CertificateError::Other(OtherError(Arc::new(NobodyTrusted))).into()
    }
}

impl ServerCertVerifier for TrustsNobody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(Self::refusal())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Self::refusal())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(Self::refusal())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
