//! Keys: what is taken, what is refused and how, what is published.

use jsonwebtoken as other;
use regatta_auth::{
    Algorithm, Grant, InvalidKey, Issuer, SigningKey, Verifier, VerifyingKey, jwks,
};
use regatta_core::Secret;
use serde_json::Value;

use crate::support::{EC, EC_PUBLIC, ED, ED_PUBLIC, RSA, RSA_PUBLIC, SECRET, now, signing_keys};

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

#[test]
fn a_secret_of_31_bytes_is_refused_and_one_of_32_is_not() {
    for (length, is_taken) in [(0, false), (31, false), (32, true), (33, true)] {
        let secret = Secret::new("s".repeat(length));
        let refused = InvalidKey::ShortSecret { length };
        assert_eq!(SigningKey::hs256(&secret).err(), (!is_taken).then(|| refused.clone()));
        assert_eq!(VerifyingKey::hs256(&secret).err(), (!is_taken).then_some(refused));
    }
    let message = VerifyingKey::hs256(&Secret::new("short")).unwrap_err().to_string();
    assert_eq!(
        message,
        "secret has 5 bytes; use 32 or more, such as the output of `openssl rand -hex 32`"
    );
}

#[test]
fn a_pem_key_is_no_secret() {
    for pem in [RSA_PUBLIC, EC_PUBLIC, RSA, ED] {
        assert_eq!(SigningKey::hs256(&Secret::new(pem)).unwrap_err(), InvalidKey::PemAsSecret);
        let refused = VerifyingKey::from_pem(Algorithm::Hs256, pem).unwrap_err();
        assert_eq!(refused, InvalidKey::PemForHs256);
    }
}

#[test]
fn openssls_older_forms_are_taken_too() {
    let rsa = include_str!("../keys/rsa1.pem");
    let ec = include_str!("../keys/ec1.pem");
    for (algorithm, old, new) in [(Algorithm::Rs256, rsa, RSA), (Algorithm::Es256, ec, EC)] {
        let document = |pem| {
            let key = SigningKey::from_pem(algorithm, pem).unwrap();
            // The two EC files hold one key; so do the two RSA files.
            jwks([&key.verifying_key().unwrap()])
        };
        assert_eq!(document(old), document(new), "{algorithm}");
    }
}

#[test]
fn a_key_that_does_not_fit_says_what_does() {
    let weak = include_str!("../keys/weak.pub");
    let weak_private = include_str!("../keys/weak.pem");
    let p384 = include_str!("../keys/p384.pub");
    let p384_private = include_str!("../keys/p384.pem");
    let publics = [
        (Algorithm::Rs256, weak, "2048"),
        (Algorithm::Rs256, EC_PUBLIC, "2048"),
        (Algorithm::Es256, p384, "P-256"),
        (Algorithm::Es256, RSA_PUBLIC, "P-256"),
        (Algorithm::Es256, ED_PUBLIC, "P-256"),
        (Algorithm::EdDsa, EC_PUBLIC, "Ed25519"),
        (Algorithm::EdDsa, RSA, "`PRIVATE KEY`; give `PUBLIC KEY`"),
        (Algorithm::Rs256, CERTIFICATE, "`CERTIFICATE`; give `PUBLIC KEY`"),
        (Algorithm::Rs256, "", "-----BEGIN"),
        (Algorithm::Rs256, "ssh-rsa AAAA", "-----BEGIN"),
        (Algorithm::Rs256, &RSA_PUBLIC[..200], "-----BEGIN"),
    ];
    for (algorithm, pem, remedy) in publics {
        let message = VerifyingKey::from_pem(algorithm, pem).unwrap_err().to_string();
        assert!(message.contains(remedy), "{algorithm}: {message}");
    }
    let privates = [
        (Algorithm::Rs256, weak_private, "2048"),
        (Algorithm::Es256, p384_private, "P-256"),
        (Algorithm::EdDsa, EC, "Ed25519"),
        (Algorithm::Rs256, RSA_PUBLIC, "`PUBLIC KEY`; give `PRIVATE KEY`"),
        (Algorithm::Es256, include_str!("../keys/encrypted.pem"), "openssl pkey"),
        (Algorithm::EdDsa, "x", "-----BEGIN"),
    ];
    for (algorithm, pem, remedy) in privates {
        let message = SigningKey::from_pem(algorithm, pem).unwrap_err().to_string();
        assert!(message.contains(remedy), "{algorithm}: {message}");
    }
}

#[test]
fn algorithms_are_known_by_their_exact_names() {
    for name in ["HS256", "RS256", "ES256", "EdDSA"] {
        assert_eq!(name.parse::<Algorithm>().unwrap().name(), name);
    }
    for name in ["none", "HS512", "eddsa", ""] {
        let message = name.parse::<Algorithm>().unwrap_err().to_string();
        assert!(message.contains("use HS256, RS256, ES256 or EdDSA"), "{message}");
    }
}

#[test]
fn another_implementation_verifies_with_the_published_keys_and_no_secret_is_among_them() {
    let keys: Vec<_> = signing_keys().into_iter().map(|key| key.with_id("k")).collect();
    let published: Vec<_> = keys.iter().map(|key| key.verifying_key().unwrap()).collect();
    let document = jwks(&published);
    assert!(!document.to_string().contains(SECRET));
    let set: other::jwk::JwkSet = serde_json::from_value(document).unwrap();
    assert_eq!(set.keys.len(), 3);
    for (key, jwk) in keys.into_iter().skip(1).zip(&set.keys) {
        assert_eq!(jwk.common.key_id.as_deref(), Some("k"));
        let mut rules = other::Validation::new(key.algorithm().name().parse().unwrap());
        rules.validate_exp = false;
        let token = Issuer::new(key).issue(&Grant::new("1"), now()).unwrap();
        let theirs = other::DecodingKey::from_jwk(jwk).unwrap();
        assert!(other::decode::<Value>(&token, &theirs, &rules).is_ok());
    }
}

#[test]
fn a_published_key_set_verifies_what_its_keys_signed_in_every_algorithm() {
    let signing: Vec<_> =
        signing_keys().into_iter().filter(|k| k.algorithm().is_asymmetric()).collect();
    let verifying: Vec<_> = signing
        .iter()
        .enumerate()
        .map(|(number, key)| key.verifying_key().unwrap().with_id(&number.to_string()))
        .collect();
    let document = regatta_auth::jwks(&verifying).to_string();
    let read = regatta_auth::key_set(&document).unwrap();
    assert_eq!(read.len(), 3);
    let verifier = read.into_iter().fold(Verifier::builder(), |all, key| all.key(key)).build();
    let verifier = verifier.unwrap();
    for key in signing {
        let token = Issuer::new(key).issue(&Grant::new("1"), now()).unwrap();
        assert!(verifier.verify(&token, now()).is_ok());
    }
    for pem in [RSA_PUBLIC, EC_PUBLIC, ED_PUBLIC] {
        assert_eq!(regatta_auth::key_set(pem).unwrap().len(), 1);
    }
}
