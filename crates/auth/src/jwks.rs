//! The document that publishes the keys others verify with.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::key::spki;
use crate::{Algorithm, VerifyingKey};

/// Where the document is looked for.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Its media type (RFC 7517, section 8.5.2).
pub const JWKS_MEDIA_TYPE: &str = "application/jwk-set+json";

/// The key set (RFC 7517, section 5) of the keys that may be published; secrets are left out.
pub fn jwks<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>) -> Value {
    json!({ "keys": keys.into_iter().filter_map(jwk).collect::<Vec<_>>() })
}

fn jwk(key: &VerifyingKey) -> Option<Value> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let der = key.public_der()?;
    let mut jwk = match key.algorithm() {
        Algorithm::Hs256 => return None,
        Algorithm::Rs256 => {
            let (modulus, exponent) = spki::rsa_numbers(&der)?;
            json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
        }
        Algorithm::Es256 => {
            // An uncompressed point: 4, then both coordinates.
            let point = spki::public_key(&der)?.strip_prefix(&[4])?;
            let (x, y) = point.split_at_checked(32)?;
            json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
        }
        Algorithm::EdDsa => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(spki::public_key(&der)?) })
        }
    };
    jwk["use"] = "sig".into();
    jwk["alg"] = key.algorithm().name().into();
    if let Some(id) = key.id() {
        jwk["kid"] = id.into();
    }
    Some(jwk)
}
