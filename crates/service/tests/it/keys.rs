//! Tokens of an issuer that publishes its keys, and rotates them.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use http::Request;
use regatta::Service;
use regatta::auth::{Algorithm, Claims, Grant, Issuer, SigningKey, jwks, now};
use regatta::testing::{Answer, Running};

use crate::fixture::{PATIENCE, opened};

const EC: &str = include_str!("../../../auth/tests/keys/ec.pem");
const ED: &str = include_str!("../../../auth/tests/keys/ed.pem");

#[tokio::test]
async fn a_key_set_in_a_file_verifies_and_is_read_again_when_a_key_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (old, new) = (key(Algorithm::Es256, EC, "old"), key(Algorithm::EdDsa, ED, "new"));
    publish(&path, &[&old]);
    let service = guarded(&format!("auth: {{keys: '{}'}}", path.display())).await;
    assert_eq!(ask(&service, &old).await.text(), "7");
    assert_eq!(ask(&service, &new).await.status(), 401);

    publish(&path, &[&new]);
    let rotated = async { while ask(&service, &new).await.status() != 200 {} };
    tokio::time::timeout(PATIENCE, rotated).await.expect("the new key is found");
    assert_eq!(ask(&service, &old).await.status(), 401, "a key that was withdrawn counts no more");
}

#[tokio::test]
async fn keys_at_a_url_are_fetched_and_a_key_that_is_new_costs_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (old, new) = (key(Algorithm::Es256, EC, "old"), key(Algorithm::EdDsa, ED, "new"));
    publish(&path, &[&old]);
    let file = path.clone();
    let idp =
        Router::new().route("/keys", get(async move || std::fs::read_to_string(&file).unwrap()));
    let idp = Running::start(opened("").await.rest(idp)).await.unwrap();
    let service = guarded(&format!("auth: {{keys: '{}/keys'}}", idp.url())).await;
    assert_eq!(ask(&service, &old).await.status(), 200, "the first request waits for the keys");

    publish(&path, &[&new]);
    assert_eq!(ask(&service, &new).await.status(), 200);
}

#[tokio::test]
async fn an_issuer_that_is_away_makes_guarded_routes_503_and_the_service_stays_ready() {
    let service = guarded("auth: {keys: 'http://127.0.0.1:1/keys'}").await;
    let answer = ask(&service, &key(Algorithm::EdDsa, ED, "ed")).await;
    assert_eq!((answer.status().as_u16(), answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.json()["code"], "keys_unavailable");
    assert_eq!(service.get("/open").await.status(), 200);
    assert_eq!(service.get("/health/ready").await.status(), 200);
    let error = service.get("/health").await.json()["dependencies"]["keys"]["error"].to_string();
    assert!(error.contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_key_set_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, "{}").unwrap();
    let service = opened(&format!("auth: {{keys: '{}'}}", path.display())).await;
    let error = regatta_core::Chain(&service.auth().unwrap_err()).to_string();
    assert!(error.contains("keys.json") && error.contains("JWKS"), "{error}");
}

async fn guarded(yaml: &str) -> Running {
    let service: Service = opened(yaml).await;
    let guard = service.auth().unwrap();
    let routes = Router::new()
        .route("/me", get(async |claims: Claims| claims.user_id().to_owned()))
        .route_layer(guard.token())
        .route("/open", get(async || "open to all"));
    Running::start(service.rest(routes)).await.unwrap()
}

async fn ask(service: &Running, key: &SigningKey) -> Answer {
    let token = Issuer::new(key.clone()).issue(&Grant::new("7"), now()).unwrap();
    let request = Request::get("/me").header("authorization", format!("Bearer {token}"));
    service.send(request.body(String::new())).await
}

fn key(algorithm: Algorithm, pem: &str, id: &str) -> SigningKey {
    SigningKey::from_pem(algorithm, pem).unwrap().with_id(id)
}

fn publish(path: &Path, keys: &[&SigningKey]) {
    let keys: Vec<_> = keys.iter().map(|key| key.verifying_key().unwrap()).collect();
    std::fs::write(path, jwks(&keys).to_string()).unwrap();
}
