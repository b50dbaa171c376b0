//! A real server that asks who we are, and one that says who it is.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair as Key};
use regatta_events::EventBus;
use regatta_events_nats::{InvalidOptions, NatsBus, Options};
use regatta_testkit::{Nats, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bus::event;

const LIMIT: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_user_with_credentials_is_let_in_and_others_are_not() {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    // JetStream does not start without an account for the server itself.
    let system = KeyPair::new_account();
    let config = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}\n",
        token(&operator, &operator, "operator", json!({})),
        system.public_key(),
        system.public_key(),
        token(&operator, &system, "account", json!({})),
        account.public_key(),
        token(&operator, &account, "account", json!({ "limits": unlimited() })),
    );
    let server = Nats::start_with(TempDir::new().unwrap(), &config).await.unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("app.creds");
    std::fs::write(&file, credentials(&account)).unwrap();

    let bus = NatsBus::try_new(options(&server.url()).with_credentials(&file)).unwrap();
    wait_until("it is let in", LIMIT, async || bus.publish(&[event(1, None)]).await.is_ok()).await;

    let stranger = NatsBus::try_new(options(&server.url())).unwrap();
    assert!(stranger.publish(&[event(2, None)]).await.is_err(), "it has no credentials");
    std::fs::write(&file, credentials(&KeyPair::new_account())).unwrap();
    let foreign = NatsBus::try_new(options(&server.url()).with_credentials(&file)).unwrap();
    assert!(foreign.publish(&[event(3, None)]).await.is_err(), "of an account nobody knows");
    assert_eq!(bus.history(&Default::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_for_whom_the_certificate_vouches_is_believed_and_no_other() {
    let folder = TempDir::new().unwrap();
    let (ours, theirs) = (issuer(), issuer());
    write(folder.path(), &ours);
    let place = folder.path().display();
    let config =
        format!("tls {{ cert_file: '{place}/server.pem', key_file: '{place}/server.key' }}");
    let others = TempDir::new().unwrap();
    write(others.path(), &theirs);
    let server = Nats::start_with(folder, &config).await.unwrap();

    let bus = options(&server.url()).with_ca(server.directory().join("ca.pem"));
    let bus = NatsBus::try_new(bus).unwrap();
    wait_until("it is believed", LIMIT, async || bus.publish(&[event(1, None)]).await.is_ok())
        .await;
    let wary = options(&server.url()).with_ca(others.path().join("ca.pem"));
    let wary = NatsBus::try_new(wary).unwrap();
    assert!(wary.publish(&[event(2, None)]).await.is_err(), "the server is none of these");

    let plain = Nats::start().await.unwrap();
    let strict = options(&plain.url()).with_ca(others.path().join("ca.pem"));
    let strict = NatsBus::try_new(strict).unwrap();
    assert!(strict.publish(&[event(3, None)]).await.is_err(), "it would be in the clear");
}

#[tokio::test]
async fn a_file_that_is_not_there_or_none_of_its_kind_is_told() {
    let folder = TempDir::new().unwrap();
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "hunter2").unwrap();
    let options = || Options::new("nats://127.0.0.1:1");
    for (options, name) in [
        (options().with_credentials("/nowhere/app.creds"), "credentials"),
        (options().with_credentials(&wrong), "credentials"),
        (options().with_ca("/nowhere/ca.pem"), "ca"),
        (options().with_ca(&wrong), "ca"),
    ] {
        let error = NatsBus::try_new(options).unwrap_err();
        assert!(matches!(&error, InvalidOptions::File { option, .. } if *option == name));
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

fn options(url: &str) -> Options {
    Options::new(url).with_timeout(SHORT)
}

/// A token that one key signs about another, as NATS wants it.
fn token(signer: &KeyPair, about: &KeyPair, kind: &str, mut claims: Value) -> String {
    claims["type"] = kind.into();
    claims["version"] = 2.into();
    let claims = json!({
        "jti": about.public_key(), "iat": 1_700_000_000, "iss": signer.public_key(),
        "name": kind, "sub": about.public_key(), "nats": claims,
    });
    let head = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&head), encode(&claims));
    let signature = signer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// No limits; JetStream is on where it may have some.
fn unlimited() -> Value {
    let names = [
        "subs",
        "data",
        "payload",
        "imports",
        "exports",
        "conn",
        "leaf",
        "mem_storage",
        "disk_storage",
        "streams",
        "consumer",
    ];
    let mut limits: Value = names.iter().map(|name| ((*name).to_owned(), json!(-1))).collect();
    limits["wildcards"] = true.into();
    limits
}

fn credentials(account: &KeyPair) -> String {
    let user = KeyPair::new_user();
    let claims = json!({ "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 });
    let token = token(account, &user, "user", claims);
    let seed = user.seed().unwrap();
    format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

fn issuer() -> CertifiedIssuer<'static, Key> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "issuer");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, Key::generate().unwrap()).unwrap()
}

/// Writes a certificate of the issuer for a server, its key, and the issuer's own certificate.
fn write(folder: &Path, issuer: &CertifiedIssuer<'static, Key>) {
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = Key::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    std::fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
}
