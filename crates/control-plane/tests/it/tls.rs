//! TLS of both interfaces, with real clients.

use std::path::Path;
use std::process::{Command, Output};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use regatta_control_plane::backup::Backup;
use regatta_control_plane::transfer::Transfer;
use regatta_control_plane::{ClientIdentity, ClientTls, ControlPlane, Settings, TlsSettings};
use regatta_core::Instance;
use regatta_discovery::{Discover, Register, Registration};
use regatta_discovery_consul::{ConsulRegistry, Options};
use regatta_testkit::wait_until;
use tempfile::TempDir;

use crate::server::{LIMIT, Server};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    // Another name than its certificates have: else they would seem to be their own issuers.
    params.distinguished_name.push(DnType::CommonName, "issuer");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate of the issuer, its key, and the issuer's own certificate.
fn write(folder: &Path, name: &str, issuer: &Issuer) {
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    std::fs::write(folder.join(format!("{name}-ca.pem")), issuer.pem()).unwrap();
}

async fn server(folder: &Path, client_ca: Option<&str>) -> Server {
    let mut tls = TlsSettings::new(folder.join("server.pem"), folder.join("server.key"));
    tls.client_ca = client_ca.map(|name| folder.join(name));
    Server::with(|settings| {
        settings.tls = Some(tls);
        settings.etcd.listen = Some(([127, 0, 0, 1], 0).into());
    })
    .await
}

/// Runs a client, off the runtime's threads; `{}` is the folder of the certificates.
async fn run(folder: &TempDir, program: &str, arguments: &[&str]) -> Output {
    let folder = folder.path().to_str().unwrap();
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|argument| argument.replace("{}", folder)));
    let run = move || command.output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_and_etcdctl_verify_the_server() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "server", &issuer());
    let server = server(folder.path(), None).await;
    let url = format!("https://{}/v1/status/leader", server.address);
    let curl = run(&folder, "curl", &["-sS", "--cacert", "{}/server-ca.pem", &url]).await;
    assert!(curl.status.success() && said(&curl).contains(":8300"), "{}", said(&curl));
    let stranger = run(&folder, "curl", &["-sS", &url]).await;
    assert!(!stranger.status.success(), "{}", said(&stranger));
    let endpoint = format!("https://{}", server.etcd_endpoint());
    let ctl = ["--endpoints", &endpoint, "--cacert", "{}/server-ca.pem", "put", "a", "1"];
    let ctl = run(&folder, "etcdctl", &ctl).await;
    assert_eq!(said(&ctl), "OK\n");
    let list = ["--endpoints", &endpoint, "--cacert", "{}/server-ca.pem", "member", "list"];
    assert!(said(&run(&folder, "etcdctl", &list).await).contains(&endpoint));
    // A client without TLS is turned away, and the server lives on.
    let plain = url.replace("https", "http");
    assert!(!run(&folder, "curl", &["-sS", &plain]).await.status.success());
    let curl = run(&folder, "curl", &["-sS", "--cacert", "{}/server-ca.pem", &url]).await;
    assert!(curl.status.success(), "{}", said(&curl));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_present_certificates_when_they_must() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "server", &issuer());
    write(folder.path(), "client", &issuer());
    write(folder.path(), "stranger", &issuer());
    let server = server(folder.path(), Some("client-ca.pem")).await;
    let url = format!("https://{}/v1/status/leader", server.address);
    let curl = async |who: &str| {
        let (cert, key) = (format!("{{}}/{who}.pem"), format!("{{}}/{who}.key"));
        let own: &[&str] = if who.is_empty() { &[] } else { &["--cert", &cert, "--key", &key] };
        let arguments = [&["-sS", "--cacert", "{}/server-ca.pem", &url], own].concat();
        run(&folder, "curl", &arguments).await.status.success()
    };
    assert!(curl("client").await);
    assert!(!curl("stranger").await);
    assert!(!curl("").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_and_copies_present_the_certificate_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "server", &issuer());
    write(folder.path(), "client", &issuer());
    let server = server(folder.path(), Some("client-ca.pem")).await;
    let file = |name: &str| folder.path().join(name);
    let mut known = ClientTls::default();
    known.ca = Some(file("server-ca.pem"));
    let mut presented = known.clone();
    let (certificate, key) = (file("client.pem"), file("client.key"));
    presented.identity = Some(ClientIdentity { certificate, key });

    let mut backup = Backup::new(format!("https://{}", server.address), file("all.backup"));
    backup.tls = known.clone();
    assert!(backup.run().await.is_err(), "nobody is let in without a certificate");
    backup.tls = presented.clone();
    assert!(backup.run().await.unwrap().bytes > 0);
    let (consul, etcd) = (server.address.to_string(), server.etcd_endpoint());
    for server in [format!("consuls://{consul}"), format!("etcds://{etcd}")] {
        let endpoint = || server.parse().unwrap();
        let mut copy = Transfer::new(endpoint(), endpoint());
        copy.tls = known.clone();
        assert!(copy.run().await.is_err(), "{server}");
        copy.tls = presented.clone();
        copy.run().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_registers_and_watches_over_tls_with_a_certificate_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "server", &issuer());
    write(folder.path(), "client", &issuer());
    let server = server(folder.path(), Some("client-ca.pem")).await;
    let file = |name: &str| folder.path().join(name);
    let registry = |certificate: Option<&str>, key: Option<&str>| {
        let (certificate, key) = (certificate.map(file), key.map(file));
        let ca = file("server-ca.pem");
        let options = Options::default();
        let options = options.with_files(Some(&ca), certificate.as_deref(), key.as_deref());
        ConsulRegistry::try_new(&format!("https://{}", server.address), options.unwrap()).unwrap()
    };
    let instance = Instance::new("users".parse().unwrap(), "127.0.0.1:1".parse().unwrap());
    let users = Registration::new(instance);
    let stranger = registry(None, None);
    assert!(stranger.register(&users).await.unwrap_err().is_retryable());
    let known = registry(Some("client.pem"), Some("client.key"));
    known.register(&users).await.unwrap();
    let found = known.discover_service(&users.instance.service).await;
    assert_eq!(found.as_deref(), Some("http://127.0.0.1:1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_used_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "server", &issuer());
    std::fs::copy(folder.path().join("server-ca.pem"), folder.path().join("old.pem")).unwrap();
    let server = server(folder.path(), None).await;
    let url = format!("https://{}/v1/status/leader", server.address);
    let curl = async |ca: &str| {
        let arguments = ["-sS", "--cacert", ca, &url];
        run(&folder, "curl", &arguments).await.status.success()
    };
    assert!(curl("{}/old.pem").await);
    // Half of a change: the key is not the certificate's, so the old pair stays.
    std::fs::write(folder.path().join("server.key"), "no key").unwrap();
    assert!(curl("{}/old.pem").await);
    write(folder.path(), "server", &issuer());
    wait_until("the new certificate", LIMIT, async || curl("{}/server-ca.pem").await).await;
    assert!(!curl("{}/old.pem").await);
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "server", &issuer());
    write(folder.path(), "other", &issuer());
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    let bind = async |certificate: &str, key: &str| {
        let mut settings = Settings::default();
        settings.consul_listen = ([127, 0, 0, 1], 0).into();
        settings.data_dir = folder.path().join("data");
        let (certificate, key) = (folder.path().join(certificate), folder.path().join(key));
        settings.tls = Some(TlsSettings::new(certificate, key));
        let error = ControlPlane::bind(settings).await.unwrap_err();
        regatta_core::Chain(&error).to_string()
    };
    let text = bind("absent.pem", "server.key").await;
    assert!(text.contains("absent.pem`; check"), "{text}");
    assert!(bind("empty.pem", "server.key").await.contains("has no certificate in PEM"));
    assert!(bind("server.pem", "empty.pem").await.contains("has no private key in PEM"));
    let text = bind("server.pem", "other.key").await;
    assert!(text.contains("server.pem` cannot be used; check that the key is its own"), "{text}");
}
