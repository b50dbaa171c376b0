//! What one verification costs, beside `jsonwebtoken` on the same token.
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::Criterion;
use jsonwebtoken as other;
use regatta_auth::{Algorithm, Grant, Issuer, SigningKey, Verifier};
use regatta_core::Secret;
use serde_json::Value;

const SECRET: &str = "a secret of at least thirty-two bytes";
const KEYS: [(Algorithm, &str, &str); 3] = [
    (
        Algorithm::Rs256,
        include_str!("../tests/keys/rsa.pem"),
        include_str!("../tests/keys/rsa.pub"),
    ),
    (Algorithm::Es256, include_str!("../tests/keys/ec.pem"), include_str!("../tests/keys/ec.pub")),
    (Algorithm::EdDsa, include_str!("../tests/keys/ed.pem"), include_str!("../tests/keys/ed.pub")),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let secret = SigningKey::hs256(&Secret::new(SECRET)).unwrap();
    compare(&mut criterion, secret, &other::DecodingKey::from_secret(SECRET.as_bytes()));
    for (algorithm, private, public) in KEYS {
        let public = public.as_bytes();
        let theirs = match algorithm {
            Algorithm::Rs256 => other::DecodingKey::from_rsa_pem(public),
            Algorithm::Es256 => other::DecodingKey::from_ec_pem(public),
            _ => other::DecodingKey::from_ed_pem(public),
        };
        let ours = SigningKey::from_pem(algorithm, private).unwrap();
        compare(&mut criterion, ours, &theirs.unwrap());
    }
    criterion.final_summary();
}

fn compare(criterion: &mut Criterion, key: SigningKey, theirs: &other::DecodingKey) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let name = key.algorithm().name();
    let verifier =
        || Verifier::builder().key(key.verifying_key().unwrap()).issuer("dev").build().unwrap();
    let issuer = Issuer::new(key.clone()).issuer("dev");
    let token = issuer.issue(&Grant::new("1").role("user"), now).unwrap();
    let tokens: Vec<_> =
        (0..20_000).map(|id| issuer.issue(&Grant::new(id.to_string()), now).unwrap()).collect();

    let mut group = criterion.benchmark_group(name);
    let warm = verifier();
    group.bench_function("ours, seen before", |bencher| {
        bencher.iter(|| warm.verify(black_box(&token), now).unwrap());
    });
    let cold = verifier();
    let mut next = tokens.iter().cycle();
    group.bench_function("ours, new token", |bencher| {
        bencher.iter(|| cold.verify(black_box(next.next().unwrap()), now).unwrap());
    });
    let mut rules = other::Validation::new(name.parse().unwrap());
    rules.set_issuer(&["dev"]);
    group.bench_function("jsonwebtoken", |bencher| {
        bencher.iter(|| other::decode::<Value>(black_box(&token), theirs, &rules).unwrap());
    });
    group.finish();
}
