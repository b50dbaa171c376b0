//! What is issued verifies, here and in another implementation.

use std::time::Duration;

use jsonwebtoken as other;
use regatta_auth::{
    Algorithm, Grant, InvalidVerifier, IssueError, Issuer, Reason, Rejection, Verifier,
    VerifyingKey,
};
use regatta_core::Secret;
use serde_json::{Value, json};

use crate::support::{
    EC, EC_PUBLIC, ED, ED_PUBLIC, NOW, RSA, RSA_PUBLIC, SECRET, at, genuine, now, secret_issuer,
    signed, signing_keys, verdict, with_secret,
};

#[test]
fn what_is_issued_verifies_with_each_algorithm_first_and_second_time() {
    for key in signing_keys() {
        let verifier = Verifier::builder().key(key.verifying_key().unwrap()).build().unwrap();
        let issuer = Issuer::new(key);
        let token = issuer.issue(&Grant::new("7").roles(["user", "admin"]), now()).unwrap();
        for _ in 0..2 {
            let claims = verifier.verify(&token, now()).unwrap();
            assert_eq!((claims.user_id(), claims.user_number()), ("7", Some(7)));
            assert_eq!(claims.roles().collect::<Vec<_>>(), ["user", "admin"]);
            assert_eq!(claims.issued_at(), Some(now()));
            assert_eq!(claims.expires_at(), at(NOW + 24 * 3600));
        }
    }
}

#[test]
fn another_implementation_verifies_what_is_issued_here() {
    let keys = [
        other::DecodingKey::from_secret(SECRET.as_bytes()),
        other::DecodingKey::from_rsa_pem(RSA_PUBLIC.as_bytes()).unwrap(),
        other::DecodingKey::from_ec_pem(EC_PUBLIC.as_bytes()).unwrap(),
        other::DecodingKey::from_ed_pem(ED_PUBLIC.as_bytes()).unwrap(),
    ];
    for (key, theirs) in signing_keys().into_iter().zip(keys) {
        let algorithm = key.algorithm().name().parse().unwrap();
        let issuer = Issuer::new(key.with_id("k")).issuer("dev").audience("api");
        let token = issuer.issue(&Grant::new("7").role("user"), now()).unwrap();
        let mut rules = other::Validation::new(algorithm);
        rules.set_issuer(&["dev"]);
        rules.set_audience(&["api"]);
        rules.validate_exp = false;
        let read = other::decode::<Value>(&token, &theirs, &rules).unwrap();
        assert_eq!(read.header.kid.as_deref(), Some("k"));
        assert_eq!(
            read.claims,
            json!({
                "user_id": 7, "roles": ["user"], "iat": NOW, "exp": NOW + 86_400,
                "iss": "dev", "aud": "api",
            })
        );
    }
}

#[test]
fn what_another_implementation_issues_verifies_here() {
    let keys = [
        other::EncodingKey::from_secret(SECRET.as_bytes()),
        other::EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap(),
        other::EncodingKey::from_ec_pem(EC.as_bytes()).unwrap(),
        other::EncodingKey::from_ed_pem(ED.as_bytes()).unwrap(),
    ];
    let claims = json!({ "user_id": "u-1", "roles": ["user"], "exp": NOW + 1 });
    for (key, theirs) in signing_keys().into_iter().zip(keys) {
        let header = other::Header::new(key.algorithm().name().parse().unwrap());
        let token = other::encode(&header, &claims, &theirs).unwrap();
        let verifier = Verifier::builder().key(key.verifying_key().unwrap()).build().unwrap();
        assert_eq!(verifier.verify(&token, now()).unwrap().user_id(), "u-1");
    }
}

#[test]
fn a_token_expires_the_leeway_after_its_end_also_when_it_was_seen_before() {
    for key in signing_keys() {
        let verifier = Verifier::builder().key(key.verifying_key().unwrap()).build().unwrap();
        let issuer = Issuer::new(key).lifetime(Duration::from_secs(10));
        let token = issuer.issue(&Grant::new("1"), now()).unwrap();
        assert!(verifier.verify(&token, at(NOW + 39)).is_ok());
        assert_eq!(verifier.verify(&token, at(NOW + 40)), Err(Rejection::Expired));
        assert!(verifier.verify(&token, at(NOW + 39)).is_ok());
    }
}

#[test]
fn leeway_is_a_setting_and_may_be_none() {
    let verifier = with_secret().leeway(Duration::ZERO).build().unwrap();
    let token = signed(&json!({ "user_id": 1, "exp": NOW, "iat": NOW - 5 }));
    assert!(verifier.verify(&token, at(NOW - 1)).is_ok());
    assert_eq!(verifier.verify(&token, at(NOW)), Err(Rejection::Expired));
}

#[test]
fn a_token_is_not_valid_before_its_time_or_its_issue_but_for_the_leeway() {
    let with = |claim: &str, at: u64| {
        let mut claims = json!({ "user_id": 1, "exp": NOW + 999 });
        claims[claim] = at.into();
        verdict(&signed(&claims))
    };
    for (claim, reason) in [("nbf", Reason::NotYet), ("iat", Reason::IssuedLater)] {
        assert!(with(claim, NOW + 30).is_ok(), "{claim}");
        assert_eq!(with(claim, NOW + 31), Err(reason.into()), "{claim}");
        assert!(with(claim, 0).is_ok(), "{claim}");
    }
}

#[test]
fn the_key_that_the_token_names_verifies_it_among_several() {
    let keys: Vec<_> = signing_keys()
        .into_iter()
        .enumerate()
        .map(|(number, key)| key.with_id(&format!("k{number}")))
        .collect();
    let verifier = keys
        .iter()
        .fold(Verifier::builder(), |builder, key| builder.key(key.verifying_key().unwrap()))
        .build()
        .unwrap();
    for key in keys {
        let token = Issuer::new(key).issue(&Grant::new("1"), now()).unwrap();
        assert!(verifier.verify(&token, now()).is_ok());
    }
}

#[test]
fn while_keys_are_rotated_both_verify() {
    let old = VerifyingKey::hs256(&Secret::new(SECRET)).unwrap();
    let new = VerifyingKey::hs256(&Secret::new("another secret of thirty-two bytes!!")).unwrap();
    let verifier = Verifier::builder().key(new).key(old).build().unwrap();
    assert!(verifier.verify(&genuine(), now()).is_ok());
}

#[test]
fn one_of_several_issuers_or_audiences_is_enough() {
    let verifier =
        with_secret().issuer("old").issuer("new").audience("api").audience("web").build().unwrap();
    let token = secret_issuer().issuer("new").audience("web").issue(&Grant::new("1"), now());
    assert_eq!(verifier.verify(&token.unwrap(), now()).unwrap().issuer(), Some("new"));
    let list = json!({ "user_id": 1, "exp": NOW + 9, "iss": "old", "aud": ["x", "api"] });
    assert!(verifier.verify(&signed(&list), now()).is_ok());
}

#[test]
fn digits_are_issued_as_a_number_unless_that_loses_something() {
    for (id, expected) in
        [("7", json!(7)), ("-7", json!(-7)), ("007", json!("007")), ("u7", json!("u7"))]
    {
        let token = secret_issuer().issue(&Grant::new(id), now()).unwrap();
        let read = other::dangerous::insecure_decode::<Value>(&token).unwrap();
        assert_eq!(read.claims["user_id"], expected);
        assert_eq!(verdict(&token).as_deref(), Ok(id));
    }
}

#[test]
fn nothing_is_issued_that_would_not_verify() {
    let issuer = secret_issuer();
    let long = "x".repeat(256);
    for id in ["", "a b", "a\nb", "ü", &long] {
        let refused = issuer.issue(&Grant::new(id), now());
        assert_eq!(refused, Err(IssueError::UserId(id.into())));
    }
    let refused = issuer.issue(&Grant::new("1").role("user,admin"), now());
    assert_eq!(refused, Err(IssueError::Role("user,admin".into())));
    for lifetime in [Duration::ZERO, Duration::from_millis(999), Duration::MAX] {
        let issuer = issuer.clone().lifetime(lifetime);
        let refused = issuer.issue(&Grant::new("1"), now());
        assert_eq!(refused, Err(IssueError::Lifetime(lifetime)));
    }
}

#[test]
fn a_verifier_that_could_not_work_is_refused_with_a_remedy() {
    let same = |id| VerifyingKey::from_pem(Algorithm::EdDsa, ED_PUBLIC).unwrap().with_id(id);
    let minutes = Duration::from_secs(601);
    for (builder, expected) in [
        (Verifier::builder(), InvalidVerifier::NoKey),
        (with_secret().issuer(""), InvalidVerifier::Empty("issuer")),
        (with_secret().audience(""), InvalidVerifier::Empty("audience")),
        (with_secret().leeway(minutes), InvalidVerifier::Leeway { leeway: minutes }),
        (
            Verifier::builder().key(same("a")).key(same("b")).key(same("a")),
            InvalidVerifier::SameId { id: "a".into() },
        ),
    ] {
        assert_eq!(builder.build().unwrap_err(), expected);
    }
}
