//! A key pair of an issuer, and what can be made of its halves.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// An RSA key pair of 2048 bits.
#[derive(Debug)]
pub struct RsaKey {
    pair: KeyPair,
    public: String,
}

impl RsaKey {
    /// A new pair.
    ///
    /// # Errors
    ///
    /// When none can be made.
    pub fn generate() -> Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).ok().context("no key can be made")?;
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key());
        let base64 = STANDARD.encode(der.ok().context("the key has no DER form")?.as_ref());
        let lines: Vec<&str> =
            base64.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
        let text = lines.join("\n");
        let public = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        Ok(Self { pair, public })
    }

    /// Writes the public half as PEM into this folder.
    ///
    /// # Errors
    ///
    /// That of the file system.
    pub fn write_public(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("issuer.pem");
        std::fs::write(&path, &self.public)?;
        Ok(path)
    }

    /// A token as the issuer makes it: RS256 with the private half.
    ///
    /// # Errors
    ///
    /// When it cannot be signed.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let signed = signed_part("RS256", claims);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        let sign = self.pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature);
        sign.ok().context("cannot sign")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// A forgery that needs no secret: HS256 with the text of the public half as its key.
    pub fn forge(&self, claims: &Value) -> String {
        let signed = signed_part("HS256", claims);
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.public.as_bytes());
        let tag = hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }
}

/// A token that nobody signed: `alg: none`.
pub fn unsigned(claims: &Value) -> String {
    format!("{}.", signed_part("none", claims))
}

/// Seconds since 1970, as they stand in tokens.
#[expect(clippy::disallowed_methods, reason = "tokens are dated by the wall clock")]
pub fn unix_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn signed_part(algorithm: &str, claims: &Value) -> String {
    let head = serde_json::json!({ "alg": algorithm, "typ": "JWT" });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(&head), encode(claims))
}
