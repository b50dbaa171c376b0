//! The one section of a PEM text that is wanted.

use rustls_pki_types::pem::{SectionKind, from_buf};

use crate::InvalidKey;

/// The DER of the first key or certificate in the text, with its kind; other sections, such as
/// the parameters that `openssl ecparam` writes before a key, are skipped.
pub(super) fn first_key(text: &str) -> Result<(SectionKind, Vec<u8>), InvalidKey> {
    match from_buf(&mut text.as_bytes()) {
        Ok(Some(section)) => Ok(section),
        _ if text.contains("ENCRYPTED") => Err(InvalidKey::Encrypted),
        Ok(None) | Err(_) => Err(InvalidKey::NotPem),
    }
}

/// The kind as it stands between the dashes.
pub(super) fn label(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::Certificate => "CERTIFICATE",
        SectionKind::PublicKey => "PUBLIC KEY",
        SectionKind::RsaPrivateKey => "RSA PRIVATE KEY",
        SectionKind::PrivateKey => "PRIVATE KEY",
        SectionKind::EcPrivateKey => "EC PRIVATE KEY",
        SectionKind::Csr => "CERTIFICATE REQUEST",
        _ => "another kind",
    }
}
