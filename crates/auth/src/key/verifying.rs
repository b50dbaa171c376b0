//! Keys that verify.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};
use regatta_core::Secret;
use rustls_pki_types::pem::SectionKind;

use super::{pem, spki};
use crate::{Algorithm, InvalidKey};

/// A key that verifies tokens of one algorithm; parsed once, cheap to clone.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Option<Arc<str>>,
    algorithm: Algorithm,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Secret(Arc<hmac::Key>),
    Public(Arc<ParsedPublicKey>),
}

impl VerifyingKey {
    /// A secret of at least 32 bytes, for HS256. The text's bytes are the secret, undecoded.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] when it is too short, or is a PEM key.
    pub fn hs256(secret: &Secret) -> Result<Self, InvalidKey> {
        Ok(Self::of_secret(hs256_key(secret)?))
    }

    /// A public key in PEM (`-----BEGIN PUBLIC KEY-----`) for this algorithm.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] when it is not PEM, not a public key, or does not fit the algorithm.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, InvalidKey> {
        if algorithm == Algorithm::Hs256 {
            return Err(InvalidKey::PemForHs256);
        }
        match pem::first_key(pem)? {
            (SectionKind::PublicKey, der) => Self::of_public_der(algorithm, &der),
            (other, _) => {
                Err(InvalidKey::OtherSection { found: pem::label(other), expected: "PUBLIC KEY" })
            }
        }
    }

    /// The same key with an id; then it verifies tokens of this `kid` and of none.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The id, as `kid` names it.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The algorithm it is pinned to.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the signature is of these bytes.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            // Compares in constant time.
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }

    /// The public key as `SubjectPublicKeyInfo`; none for a secret.
    pub(crate) fn public_der(&self) -> Option<Vec<u8>> {
        let Material::Public(key) = &self.material else { return None };
        let der: PublicKeyX509Der<'_> = key.as_der().ok()?;
        Some(der.as_ref().to_vec())
    }

    pub(super) fn of_secret(key: hmac::Key) -> Self {
        let material = Material::Secret(Arc::new(key));
        Self { id: None, algorithm: Algorithm::Hs256, material }
    }

    pub(crate) fn of_public_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, InvalidKey> {
        let unfit = || InvalidKey::unfit(algorithm);
        let verification: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::Hs256 => return Err(InvalidKey::PemForHs256),
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::EdDsa => &ED25519,
        };
        let key = ParsedPublicKey::new(verification, der).map_err(|_| unfit())?;
        let key = Self { id: None, algorithm, material: Material::Public(Arc::new(key)) };
        if algorithm == Algorithm::Rs256 {
            // The library would refuse each signature of a weak key; say it at start instead.
            let der = key.public_der().ok_or_else(unfit)?;
            let (modulus, _) = spki::rsa_numbers(&der).ok_or_else(unfit)?;
            if !(256..=1024).contains(&modulus.len()) {
                return Err(unfit());
            }
        }
        Ok(key)
    }
}

/// Checks a secret and expands it once.
pub(super) fn hs256_key(secret: &Secret) -> Result<hmac::Key, InvalidKey> {
    let text = secret.expose();
    if text.contains("-----BEGIN ") {
        return Err(InvalidKey::PemAsSecret);
    }
    if text.len() < InvalidKey::LEAST_SECRET {
        return Err(InvalidKey::ShortSecret { length: text.len() });
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()))
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
