use std::fs;

use rcgen::generate_simple_self_signed;

use super::*;

#[test]
fn errors_name_the_file_and_the_remedy() {
    let pem = |label: &str, body: &str| {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    let good = generate_simple_self_signed(["localhost".into()]).unwrap().cert.pem();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let config = || config(CertificateResult::default(), Some(&file)).map(drop);
    let shown = file.display().to_string();
    let missing = config().unwrap_err().to_string();
    assert!(
        missing.starts_with(&format!("can't read the certificate file {shown}: ")),
        "{missing}"
    );
    for (text, words) in [
        (String::new(), "ca.pem holds no certificate: give that of your certificate authority"),
        (pem("PRIVATE KEY", "AAAA"), "ca.pem holds no certificate"),
        (pem("CERTIFICATE", "!"), "ca.pem is no PEM: it is damaged within a certificate"),
        (good[..good.len() / 2].to_owned(), "is cut off, the line -----END CERTIFICATE-----"),
        (good.clone() + &pem("CERTIFICATE", "AAAA"), "certificate 2 in "),
        (" ".repeat(LARGEST_FILE as usize + 1), "ca.pem is larger than 1048576 bytes"),
    ] {
        fs::write(&file, text).unwrap();
        let error = config().unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(&shown), "{error}");
    }
    fs::write(&file, format!("a comment\n{good}{good}")).unwrap();
    config().unwrap();
}

#[test]
fn config_of_the_systems_authorities_has_no_alpn() {
    let config = client_config(None).unwrap();
    assert!(config.alpn_protocols.is_empty(), "HTTP/2 has no WebSocket upgrade");
}
