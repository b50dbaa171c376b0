//! Key sets as issuers publish them (RFC 7517), or one key in PEM.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::{Algorithm, VerifyingKey};

/// A text holds no key that verifies tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeySet {
    /// Neither a JWKS document nor PEM.
    #[error("text is no key set; give a JWKS document or a public key in PEM")]
    NeitherJwksNorPem,
    /// None of its keys can verify tokens here.
    #[error(
        "none of the {listed} keys verifies RS256, ES256 or EdDSA; publish a signing key of one"
    )]
    NoUsableKey {
        /// How many keys the document lists.
        listed: usize,
    },
}

/// The keys of a JWKS document, or the one key of a PEM text, that verify tokens.
///
/// Keys for encryption, of other kinds and curves, too short ones and secrets (`oct`) are passed
/// over: an issuer may publish more than we can use, and a secret that is published is none. Of
/// keys with the same `kid` the first one counts.
///
/// # Errors
///
/// [`InvalidKeySet`] when nothing usable is left.
pub fn key_set(text: &str) -> Result<Vec<VerifyingKey>, InvalidKeySet> {
    if text.contains("-----BEGIN ") {
        let algorithms = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
        let found = algorithms.iter().find_map(|it| VerifyingKey::from_pem(*it, text).ok());
        return found.map(|key| vec![key]).ok_or(InvalidKeySet::NoUsableKey { listed: 1 });
    }
    let document: Document =
        serde_json::from_str(text).map_err(|_| InvalidKeySet::NeitherJwksNorPem)?;
    let listed = document.keys.len();
    let mut keys = Vec::<VerifyingKey>::new();
    for key in document.keys.into_iter().filter_map(|jwk| serde_json::from_value(jwk).ok()) {
        let Some(key) = verifying_key(&key) else { continue };
        let is_taken = key.id().is_some_and(|id| keys.iter().any(|known| known.id() == Some(id)));
        if !is_taken {
            keys.push(key);
        }
    }
    if keys.is_empty() { Err(InvalidKeySet::NoUsableKey { listed }) } else { Ok(keys) }
}

#[derive(Deserialize)]
struct Document {
    /// Values, so that one odd key does not hide the others.
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

fn verifying_key(jwk: &Jwk) -> Option<VerifyingKey> {
    let signs = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == "verify"));
    let (algorithm, material) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (Algorithm::Rs256, rsa(&decode(&jwk.n)?, &decode(&jwk.e)?)),
        ("EC", Some("P-256")) => {
            let (x, y) = (decode(&jwk.x)?, decode(&jwk.y)?);
            // An uncompressed point: 4, then both coordinates, each 32 bytes (RFC 7518, 6.2.1).
            let point = [&[4], x.as_slice(), &y].concat();
            (Algorithm::Es256, (point.len() == 65).then_some(point)?)
        }
        ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, decode(&jwk.x)?),
        _ => return None,
    };
    let fits = jwk.alg.as_deref().is_none_or(|name| name == algorithm.name());
    if !signs || !fits {
        return None;
    }
    let key = VerifyingKey::of_public_der(algorithm, &material).ok()?;
    Some(match &jwk.kid {
        Some(id) => key.with_id(id),
        None => key,
    })
}

fn decode(text: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.as_ref()?.trim_end_matches('=')).ok()
}

/// An `RSAPublicKey` (RFC 8017, appendix A.1.1).
fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let numbers = [integer(modulus), integer(exponent)].concat();
    element(0x30, &numbers)
}

fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    // A leading one bit would make it negative.
    let sign: &[u8] = if number.first().is_none_or(|first| first & 0x80 != 0) { &[0] } else { &[] };
    element(0x02, &[sign, number].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    match length {
        0..=0x7f => der.push(length as u8),
        0x80..=0xff => der.extend([0x81, length as u8]),
        // Keys of more than 64 KiB are refused by their size anyway.
        _ => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jwks;

    const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn set(keys: &[&str]) -> Result<Vec<VerifyingKey>, InvalidKeySet> {
        key_set(&format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
    }

    #[test]
    fn what_is_published_is_read_back() {
        let keys = set(&[ED25519]).unwrap();
        assert_eq!((keys[0].id(), keys[0].algorithm()), (Some("ed"), Algorithm::EdDsa));
        assert_eq!(key_set(&jwks(&keys).to_string()).unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_verify_is_passed_over() {
        let others = [
            r#"{"kty":"oct","k":"c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA"}"#,
            r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":7}"#,
            &ED25519.replace("\"kid\"", "\"use\":\"enc\",\"kid\""),
            &ED25519.replace("\"kid\"", "\"key_ops\":[\"sign\"],\"kid\""),
            &ED25519.replace("\"kid\"", "\"alg\":\"RS256\",\"kid\""),
        ];
        let listed = others.len();
        assert_eq!(set(&others).unwrap_err(), InvalidKeySet::NoUsableKey { listed });
        let mut all = others.to_vec();
        all.push(ED25519);
        assert_eq!(set(&all).unwrap().len(), 1);
    }

    #[test]
    fn of_two_keys_with_one_id_the_first_counts() {
        assert_eq!(set(&[ED25519, ED25519]).unwrap().len(), 1);
        for text in ["", "[]", "{}", "keys"] {
            assert_eq!(key_set(text).unwrap_err(), InvalidKeySet::NeitherJwksNorPem, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text: String, n: Vec<u8>, e: Vec<u8>) {
            let _ = key_set(&text);
            let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let rsa = format!(r#"{{"kty":"RSA","n":"{}","e":"{}"}}"#, encode(&n), encode(&e));
            let _ = set(&[&rsa]);
        }
    }
}
