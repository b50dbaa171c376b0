//! Tokens of an issuer that publishes its keys, and rotates them.

use std::sync::{Arc, Mutex};

use regatta_auth::{Algorithm, Grant, Issuer, SigningKey, jwks};
use regatta_gateway::{Auth, Keys, Route, Settings};

use crate::support::{
    LIMIT, Message, Upstream, echo, get, get_with, ok, settings, start, upstream,
};

const RSA: &str = include_str!("../../../auth/tests/keys/rsa.pem");
const EC: &str = include_str!("../../../auth/tests/keys/ec.pem");
const ED: &str = include_str!("../../../auth/tests/keys/ed.pem");

fn key(algorithm: Algorithm, pem: &str, id: &str) -> SigningKey {
    SigningKey::from_pem(algorithm, pem).unwrap().with_id(id)
}

fn bearer(key: SigningKey) -> String {
    let token = Issuer::new(key).issuer("idp").issue(&Grant::new("7"), regatta_auth::now());
    format!("Authorization: Bearer {}\r\n", token.unwrap())
}

fn published(keys: &[SigningKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.verifying_key().unwrap()).collect();
    jwks(&keys).to_string()
}

/// An issuer whose key set may be changed.
async fn issuer(set: &Arc<Mutex<String>>) -> Upstream {
    let set = Arc::clone(set);
    upstream(Arc::new(move |_, _: &Message| (ok(set.lock().unwrap().as_bytes()), false))).await
}

fn guarded(keys: Keys) -> Settings {
    let mut settings = settings();
    let mut auth = Auth::with_keys(keys);
    auth.issuer = Some("idp".into());
    settings.auth = Some(auth);
    settings.routes = vec![Route::new("/a/**")];
    settings
}

#[tokio::test]
async fn a_key_that_was_published_since_costs_one_look_and_no_request() {
    let (old, new) = (key(Algorithm::Rs256, RSA, "old"), key(Algorithm::Es256, EC, "new"));
    let set = Arc::new(Mutex::new(published(&[old])));
    let mut idp = issuer(&set).await;
    let service = echo().await;
    let url = Keys::Url(format!("http://{}/keys", idp.addr));
    let gateway = start(guarded(url), &[service.addr]).await;
    let old = key(Algorithm::Rs256, RSA, "old");
    assert_eq!(get_with(gateway.addr, "/a/x", &bearer(old)).await.status, 200);
    idp.unseen();

    *set.lock().unwrap() = published(&[new]);
    let new = key(Algorithm::Es256, EC, "new");
    assert_eq!(get_with(gateway.addr, "/a/x", &bearer(new)).await.status, 200);
    assert_eq!(idp.unseen(), 1);
    let old = key(Algorithm::Rs256, RSA, "old");
    for _ in 0..3 {
        let answer = get_with(gateway.addr, "/a/x", &bearer(old.clone())).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("Invalid token")));
    }
    assert_eq!(idp.unseen(), 0, "made-up keys cost the issuer one look in ten seconds");
}

#[tokio::test]
async fn an_issuer_that_is_away_makes_tokens_wait_and_the_rest_work() {
    let service = echo().await;
    let mut settings = guarded(Keys::Url("http://127.0.0.1:1/keys".into()));
    settings.routes[0].path = "/a/guarded/**".into();
    let gateway = start(settings, &[service.addr]).await;
    assert_eq!(get(gateway.addr, "/a/open").await.status, 200);
    let token = bearer(key(Algorithm::EdDsa, ED, "ed"));
    let answer = get_with(gateway.addr, "/a/guarded/x", &token).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("keys_unavailable")));
    let health = get(gateway.addr, "/health").await;
    assert_eq!(health.status, 503);
    let problem = health.json()["dependencies"]["keys"]["error"].to_string();
    assert!(problem.contains("127.0.0.1:1"), "{problem}");
}

#[tokio::test]
async fn a_file_holds_keys_of_each_algorithm_and_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let all = [
        key(Algorithm::Rs256, RSA, "1"),
        key(Algorithm::Es256, EC, "2"),
        key(Algorithm::EdDsa, ED, "3"),
    ];
    std::fs::write(&path, published(&all[..2])).unwrap();
    let service = echo().await;
    let gateway = start(guarded(Keys::File(path.clone())), &[service.addr]).await;
    for signing in &all[..2] {
        assert_eq!(get_with(gateway.addr, "/a/x", &bearer(signing.clone())).await.status, 200);
    }
    let late = bearer(all[2].clone());
    assert_eq!(get_with(gateway.addr, "/a/x", &late).await.status, 401);
    std::fs::write(&path, published(&all)).unwrap();
    let found = async { while get_with(gateway.addr, "/a/x", &late).await.status != 200 {} };
    tokio::time::timeout(LIMIT, found).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_key_set_keeps_the_gateway_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, "{}").unwrap();
    let registry = Arc::new(regatta_discovery::MemoryRegistry::default());
    let settings = guarded(Keys::File(path.clone()));
    let error = regatta_gateway::Gateway::bind(settings, registry).await.unwrap_err();
    let text = regatta_core::Chain(&error).to_string();
    assert!(text.contains("keys.json") && text.contains("JWKS"), "{text}");
}
