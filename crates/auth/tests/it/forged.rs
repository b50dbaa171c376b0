//! What must never verify.

use proptest::prelude::*;
use regatta_auth::{
    Algorithm, Grant, Issuer, Reason, Rejection, SigningKey, Verifier, VerifyingKey,
};
use regatta_core::Secret;
use serde_json::{Value, json};

use crate::support::{
    EC_PUBLIC, ED_PUBLIC, NOW, RSA, RSA_PUBLIC, SECRET, encode, forge, genuine, now, secret_issuer,
    signed, signing_keys, verdict, with_secret,
};

const HS256: &str = r#"{"alg":"HS256"}"#;

fn payload() -> String {
    json!({ "user_id": 1, "roles": ["admin"], "exp": NOW + 999 }).to_string()
}

fn invalid<T>(reason: Reason) -> Result<T, Rejection> {
    Err(Rejection::Invalid(reason))
}

#[test]
fn a_token_of_no_algorithm_is_refused_in_every_spelling() {
    for alg in ["none", "None", "NONE", "nOnE", "", "HS256 ", "hs256"] {
        let header = encode(json!({ "alg": alg, "typ": "JWT" }).to_string());
        let unsigned = format!("{header}.{}", encode(payload()));
        assert_eq!(verdict(&format!("{unsigned}.")), invalid(Reason::Malformed), "{alg}");
        assert_eq!(verdict(&unsigned), invalid(Reason::Malformed), "{alg}");
        let signature = genuine().rsplit_once('.').unwrap().1.to_owned();
        assert_eq!(verdict(&format!("{unsigned}.{signature}")), invalid(Reason::Algorithm));
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    let publics = [
        (Algorithm::Rs256, RSA_PUBLIC),
        (Algorithm::Es256, EC_PUBLIC),
        (Algorithm::EdDsa, ED_PUBLIC),
    ];
    for (algorithm, pem) in publics {
        let key = VerifyingKey::from_pem(algorithm, pem).unwrap();
        let verifier = Verifier::builder().key(key).build().unwrap();
        for secret in [pem, pem.trim(), pem.trim_end_matches('\n')] {
            let token = forge(HS256, &payload(), secret.as_bytes());
            assert_eq!(verifier.verify(&token, now()), invalid(Reason::Algorithm), "{algorithm}");
            // With the key's own algorithm in the header it is a signature that does not match.
            let header = json!({ "alg": algorithm.name() }).to_string();
            let token = forge(&header, &payload(), secret.as_bytes());
            assert_eq!(verifier.verify(&token, now()), invalid(Reason::Signature), "{algorithm}");
        }
    }
}

#[test]
fn a_public_key_beside_a_secret_is_still_no_secret() {
    let verifier = with_secret()
        .key(VerifyingKey::from_pem(Algorithm::Rs256, RSA_PUBLIC).unwrap().with_id("rsa"))
        .build()
        .unwrap();
    for header in [r#"{"alg":"HS256","kid":"rsa"}"#, HS256] {
        let token = forge(header, &payload(), RSA_PUBLIC.as_bytes());
        assert_eq!(verifier.verify(&token, now()), invalid(Reason::Signature), "{header}");
    }
}

#[test]
fn a_secret_of_another_system_does_not_verify() {
    for secret in ["", "secret", "a secret of at least thirty-two bytez", "\0"] {
        let token = forge(HS256, &payload(), secret.as_bytes());
        assert_eq!(verdict(&token), invalid(Reason::Signature), "{secret}");
    }
}

#[test]
fn a_key_id_that_is_not_known_is_refused_when_every_key_has_one() {
    let named = |id| SigningKey::from_pem(Algorithm::Rs256, RSA).unwrap().with_id(id);
    let verifier = Verifier::builder().key(named("a").verifying_key().unwrap()).build().unwrap();
    let token = Issuer::new(named("b")).issue(&Grant::new("1"), now()).unwrap();
    assert_eq!(verifier.verify(&token, now()), invalid(Reason::UnknownKey));
    for kid in ["../../etc/passwd", "' OR 1=1", "a\0"] {
        let header = json!({ "alg": "RS256", "kid": kid }).to_string();
        let token = forge(&header, &payload(), b"x");
        assert_eq!(verifier.verify(&token, now()), invalid(Reason::UnknownKey), "{kid}");
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_not_used() {
    let header = json!({
        "alg": "HS256", "jwk": { "kty": "oct", "k": encode("mine") }, "jku": "http://127.0.0.1/k",
    });
    assert_eq!(
        verdict(&forge(&header.to_string(), &payload(), b"mine")),
        invalid(Reason::Signature)
    );
}

#[test]
fn an_extension_that_must_be_understood_is_refused_though_truly_signed() {
    let header = r#"{"alg":"HS256","crit":["b64"],"b64":false}"#;
    assert_eq!(verdict(&forge(header, &payload(), SECRET.as_bytes())), invalid(Reason::Algorithm));
}

#[test]
fn a_truncated_token_never_verifies_at_any_length() {
    for key in signing_keys() {
        let verifier = Verifier::builder().key(key.verifying_key().unwrap()).build().unwrap();
        let token = Issuer::new(key).issue(&Grant::new("1"), now()).unwrap();
        assert!(verifier.verify(&token, now()).is_ok());
        for length in 0..token.len() {
            assert!(verifier.verify(&token[..length], now()).is_err(), "{length}");
        }
        for appended in ["A", "=", ".", "\n", " ", "\0", ".A"] {
            assert!(verifier.verify(&format!("{token}{appended}"), now()).is_err());
        }
    }
}

#[test]
fn parts_that_are_not_base64url_are_malformed_and_too_long_a_token_is_not_even_read() {
    let token = genuine();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let garbage = [
        "!!!.###.$$$".to_owned(),
        format!("{signed}.{signature}=="),
        format!("{signed}.{}", signature.replace(['-', '_'], "+")) + "/",
        format!(" {token}"),
        "ä.ö.ü".to_owned(),
        format!("{{}}.{signed}"),
    ];
    for token in garbage {
        assert_eq!(verdict(&token), invalid(Reason::Malformed), "{token}");
    }
    assert_eq!(verdict(&format!("{token}{}", "A".repeat(8192))), invalid(Reason::TooLong));
}

#[test]
fn claims_of_the_wrong_type_are_refused_though_truly_signed() {
    let with = |name: &str, value: Value| {
        let mut claims = json!({ "user_id": 1, "roles": ["user"], "exp": NOW + 999 });
        claims[name] = value;
        verdict(&signed(&claims))
    };
    for (name, values) in [
        ("exp", vec![json!("9999999999"), json!(-1), json!(1e300), json!(u64::MAX), json!(null)]),
        ("exp", vec![json!([NOW + 9]), json!(true), json!({}), json!(253_402_300_800_u64)]),
        ("nbf", vec![json!("0"), json!(-1), json!([])]),
        ("iat", vec![json!("0"), json!(-5), json!(1e99)]),
        ("roles", vec![json!("admin"), json!({ "admin": true }), json!([1]), json!("")]),
        ("roles", vec![json!([["admin"]]), json!(["user,admin"]), json!(["a\r\nx: y"]), json!(1)]),
        ("user_id", vec![json!(1.5), json!(true), json!(""), json!(["1"]), json!("1\r\nx: y")]),
        ("iss", vec![json!(["dev"]), json!(1)]),
        ("aud", vec![json!(1), json!([1]), json!({})]),
    ] {
        for value in values {
            assert_eq!(with(name, value.clone()), invalid(Reason::Claim(name)), "{name} {value}");
        }
    }
    assert!(with("exp", json!(NOW as f64 + 9.5)).is_ok());
}

#[test]
fn a_token_without_an_end_is_refused() {
    let token = signed(&json!({ "user_id": 1, "roles": [] }));
    assert_eq!(verdict(&token), invalid(Reason::Claim("exp")));
}

#[test]
fn a_claim_given_twice_is_refused_whichever_is_harmless() {
    for (first, second) in [(NOW - 9999, NOW + 9999), (NOW + 9999, NOW - 9999)] {
        let payload = format!(r#"{{"user_id":1,"exp":{first},"exp":{second}}}"#);
        let token = forge(HS256, &payload, SECRET.as_bytes());
        assert_eq!(verdict(&token), invalid(Reason::Malformed));
    }
    let header = r#"{"alg":"none","alg":"HS256"}"#;
    let token = forge(header, &payload(), SECRET.as_bytes());
    assert_eq!(verdict(&token), invalid(Reason::Malformed));
}

#[test]
fn an_issuer_that_is_configured_must_be_in_the_token() {
    let verifier = with_secret().issuer("dev").build().unwrap();
    for issuer in [None, Some("other"), Some("DEV"), Some("dev "), Some("")] {
        let mut claims = json!({ "user_id": 1, "exp": NOW + 9 });
        if let Some(issuer) = issuer {
            claims["iss"] = issuer.into();
        }
        let verdict = verifier.verify(&signed(&claims), now());
        assert_eq!(verdict, invalid(Reason::Issuer), "{issuer:?}");
    }
}

#[test]
fn an_audience_that_is_configured_must_be_in_the_token_and_else_none_may_be() {
    let verifier = with_secret().audience("api").build().unwrap();
    for audience in [json!(null), json!("other"), json!(["x", "y"]), json!([]), json!("API")] {
        let claims = json!({ "user_id": 1, "exp": NOW + 9, "aud": audience });
        assert_eq!(verifier.verify(&signed(&claims), now()), invalid(Reason::Audience));
    }
    let unnamed = signed(&json!({ "user_id": 1, "exp": NOW + 9 }));
    assert_eq!(verifier.verify(&unnamed, now()), invalid(Reason::Audience));
    let named = secret_issuer().audience("api").issue(&Grant::new("1"), now()).unwrap();
    assert_eq!(verdict(&named), invalid(Reason::Audience));
}

#[test]
fn a_remembered_token_does_not_vouch_for_one_that_differs() {
    let key = SigningKey::from_pem(Algorithm::Rs256, RSA).unwrap();
    let verifier = Verifier::builder().key(key.verifying_key().unwrap()).build().unwrap();
    let token = Issuer::new(key).issue(&Grant::new("1"), now()).unwrap();
    assert!(verifier.verify(&token, now()).is_ok());
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let other = format!("{header}.{}.{signature}", encode(payload()));
    assert_eq!(verifier.verify(&other, now()), invalid(Reason::Signature));
}

#[test]
fn the_secret_is_never_printed() {
    let key = SigningKey::hs256(&Secret::new(SECRET)).unwrap();
    let verifier = with_secret().build().unwrap();
    let text = format!("{key:?} {:?} {verifier:?}", Issuer::new(key.clone()));
    assert!(!text.contains("secret of"), "{text}");
}

fn verifiers() -> Vec<(Verifier, String)> {
    let verifier_and_token = |key: SigningKey| {
        let verifier = Verifier::builder().key(key.verifying_key().unwrap()).build().unwrap();
        let token = Issuer::new(key).issue(&Grant::new("1").role("user"), now()).unwrap();
        (verifier, token)
    };
    signing_keys().into_iter().map(verifier_and_token).collect()
}

#[test]
fn no_single_bit_may_be_flipped() {
    for (verifier, token) in verifiers() {
        for at in 0..token.len() {
            for bit in 0..8 {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                if let Ok(flipped) = String::from_utf8(bytes) {
                    assert!(verifier.verify(&flipped, now()).is_err(), "{flipped}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_verifier_panic_or_believe(token: String) {
        for (verifier, _) in verifiers() {
            prop_assert!(verifier.verify(&token, now()).is_err());
        }
    }

    #[test]
    fn no_json_in_three_parts_makes_a_verifier_panic_or_believe(
        header in "\\{\"alg\":\"(HS256|RS256|ES256|EdDSA)\"(,\"kid\":\"[a-z]{0,3}\")?\\}",
        payload: String,
        signature: Vec<u8>,
    ) {
        let token = format!("{}.{}.{}", encode(header), encode(payload), encode(signature));
        for (verifier, _) in verifiers() {
            prop_assert!(verifier.verify(&token, now()).is_err());
        }
    }

    #[test]
    fn truly_signed_claims_of_any_kind_are_read_without_a_panic(payload: String) {
        let _ = verdict(&forge(HS256, &payload, SECRET.as_bytes()));
    }

    #[test]
    fn what_is_granted_is_what_is_claimed(
        id in "[!-~]{1,255}",
        roles in proptest::collection::vec("[!-+\\--~]{1,20}", 0..5),
    ) {
        let grant = Grant::new(id.clone()).roles(roles.clone());
        let token = secret_issuer().issue(&grant, now()).unwrap();
        let claims = with_secret().build().unwrap().verify(&token, now()).unwrap();
        prop_assert_eq!(claims.user_id(), id);
        prop_assert_eq!(claims.roles().collect::<Vec<_>>(), roles);
    }
}
