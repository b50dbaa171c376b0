//! Keys, clocks and a forge.

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regatta_auth::{
    Algorithm, Builder, Grant, Issuer, Rejection, SigningKey, Verifier, VerifyingKey,
};
use regatta_core::Secret;
use serde_json::Value;

pub(crate) const SECRET: &str = "a secret of at least thirty-two bytes";
pub(crate) const RSA: &str = include_str!("../keys/rsa.pem");
pub(crate) const RSA_PUBLIC: &str = include_str!("../keys/rsa.pub");
pub(crate) const EC: &str = include_str!("../keys/ec.pem");
pub(crate) const EC_PUBLIC: &str = include_str!("../keys/ec.pub");
pub(crate) const ED: &str = include_str!("../keys/ed.pem");
pub(crate) const ED_PUBLIC: &str = include_str!("../keys/ed.pub");

/// The instant at which all tests happen, in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn now() -> SystemTime {
    at(NOW)
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The key that signs with each algorithm.
pub(crate) fn signing_keys() -> Vec<SigningKey> {
    vec![
        SigningKey::hs256(&Secret::new(SECRET)).unwrap(),
        SigningKey::from_pem(Algorithm::Rs256, RSA).unwrap(),
        SigningKey::from_pem(Algorithm::Es256, EC).unwrap(),
        SigningKey::from_pem(Algorithm::EdDsa, ED).unwrap(),
    ]
}

/// A verifier of the secret alone, before `build`.
pub(crate) fn with_secret() -> Builder {
    Verifier::builder().key(VerifyingKey::hs256(&Secret::new(SECRET)).unwrap())
}

pub(crate) fn secret_issuer() -> Issuer {
    Issuer::new(SigningKey::hs256(&Secret::new(SECRET)).unwrap())
}

/// A token of the real issuer for user 1 with the role `user`.
pub(crate) fn genuine() -> String {
    secret_issuer().issue(&Grant::new("1").role("user"), now()).unwrap()
}

/// A token of any header and payload, truly signed with these bytes as an HMAC secret.
pub(crate) fn forge(header: &str, payload: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token of these claims, truly signed with the secret.
pub(crate) fn signed(payload: &Value) -> String {
    forge(r#"{"alg":"HS256","typ":"JWT"}"#, &payload.to_string(), SECRET.as_bytes())
}

pub(crate) fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// What the verifier of the secret says to a token now.
pub(crate) fn verdict(token: &str) -> Result<String, Rejection> {
    let claims = with_secret().build().unwrap().verify(token, now())?;
    Ok(claims.user_id().to_owned())
}
