//! A real server that asks who we are, and one that says who it is.

use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair as Key};
use regatta_events::EventBus;
use regatta_events_nats::{InvalidOptions, NatsBus, Options};
use regatta_testkit::{Nats, wait_until};
use tempfile::TempDir;

use crate::bus::event;

const LIMIT: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(500);

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
