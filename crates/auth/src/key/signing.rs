//! Keys that sign.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use regatta_core::Secret;
use rustls_pki_types::pem::SectionKind;

use super::pem;
use super::verifying::{VerifyingKey, hs256_key};
use crate::{Algorithm, InvalidKey};

/// A key that signs tokens with one algorithm; parsed once, cheap to clone.
#[derive(Clone)]
pub struct SigningKey {
    id: Option<Arc<str>>,
    algorithm: Algorithm,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Secret(Arc<hmac::Key>),
    Rsa(Arc<RsaKeyPair>),
    Ec(Arc<EcdsaKeyPair>),
    Ed(Arc<Ed25519KeyPair>),
}

impl SigningKey {
    /// A secret of at least 32 bytes, for HS256. The text's bytes are the secret, undecoded.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] when it is too short, or is a PEM key.
    pub fn hs256(secret: &Secret) -> Result<Self, InvalidKey> {
        let material = Material::Secret(Arc::new(hs256_key(secret)?));
        Ok(Self { id: None, algorithm: Algorithm::Hs256, material })
    }

    /// A private key in PEM for this algorithm: PKCS#8 (`PRIVATE KEY`), or OpenSSL's older
    /// `RSA PRIVATE KEY` and `EC PRIVATE KEY`.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] when it is not PEM, not a private key, or does not fit the algorithm.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, InvalidKey> {
        if algorithm == Algorithm::Hs256 {
            return Err(InvalidKey::PemForHs256);
        }
        let (kind, der) = pem::first_key(pem)?;
        let is_pkcs8 = kind == SectionKind::PrivateKey;
        if !is_pkcs8 && !matches!(kind, SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey) {
            let expected = "PRIVATE KEY";
            return Err(InvalidKey::OtherSection { found: pem::label(kind), expected });
        }
        let unfit = |_| InvalidKey::unfit(algorithm);
        let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let material = match (algorithm, kind) {
            (Algorithm::Rs256, SectionKind::PrivateKey) => {
                Material::Rsa(Arc::new(RsaKeyPair::from_pkcs8(&der).map_err(unfit)?))
            }
            (Algorithm::Rs256, SectionKind::RsaPrivateKey) => {
                Material::Rsa(Arc::new(RsaKeyPair::from_der(&der).map_err(unfit)?))
            }
            (Algorithm::Es256, SectionKind::PrivateKey) => {
                Material::Ec(Arc::new(EcdsaKeyPair::from_pkcs8(curve, &der).map_err(unfit)?))
            }
            (Algorithm::Es256, SectionKind::EcPrivateKey) => Material::Ec(Arc::new(
                EcdsaKeyPair::from_private_key_der(curve, &der).map_err(unfit)?,
            )),
            (Algorithm::EdDsa, SectionKind::PrivateKey) => Material::Ed(Arc::new(
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(unfit)?,
            )),
            _ => return Err(InvalidKey::unfit(algorithm)),
        };
        let key = Self { id: None, algorithm, material };
        // A private key whose public half would be refused is refused now.
        key.verifying_key()?;
        Ok(key)
    }

    /// The same key with an id, which goes into tokens as `kid`.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The id, as `kid` names it.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The algorithm it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key that verifies what this one signs, of the same id.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] when the public half does not fit, such as an RSA key under 2048 bits.
    pub fn verifying_key(&self) -> Result<VerifyingKey, InvalidKey> {
        let of = |der: Result<PublicKeyX509Der<'_>, _>| match der {
            Ok(der) => VerifyingKey::of_public_der(self.algorithm, der.as_ref()),
            Err(aws_lc_rs::error::Unspecified) => Err(InvalidKey::unfit(self.algorithm)),
        };
        let key = match &self.material {
            Material::Secret(key) => VerifyingKey::of_secret(key.as_ref().clone()),
            Material::Rsa(pair) => of(pair.public_key().as_der())?,
            Material::Ec(pair) => of(pair.public_key().as_der())?,
            Material::Ed(pair) => of(pair.public_key().as_der())?,
        };
        Ok(match &self.id {
            Some(id) => key.with_id(id),
            None => key,
        })
    }

    /// Signs these bytes; none when the library fails, as it may out of memory.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.material {
            Material::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Material::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Material::Ec(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Material::Ed(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
