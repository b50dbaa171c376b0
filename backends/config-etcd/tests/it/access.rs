//! A real etcd that asks who we are: users, and certificates.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use regatta_config::center::{CenterError, ConfigCenter, Expected, Query, Which};
use regatta_config_etcd::{EtcdCenter, Options};
use regatta_core::Secret;
use regatta_testkit::{Etcd, Process, etcdctl, free_port, wait_until};

/// How long a real server may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn logs_in_and_once_more_when_its_token_is_not_known_any_more() {
    let server = Etcd::start().await.unwrap_or_else(|error| panic!("{error}"));
    let ctl = |arguments: &[&str]| {
        let output = etcdctl(&server.endpoint(), arguments).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    ctl(&["user", "add", "root:s:ecret"]);
    ctl(&["user", "grant-role", "root", "root"]);
    ctl(&["user", "add", "shop:shop"]);
    ctl(&["role", "add", "shop"]);
    ctl(&["role", "grant-permission", "shop", "readwrite", "/config/", "--prefix=true"]);
    ctl(&["user", "grant-role", "shop", "shop"]);
    ctl(&["auth", "enable"]);
    let open = |user: &str| {
        let url = format!("etcd://{user}{}", server.endpoint());
        EtcdCenter::try_new(&url, Options::default()).unwrap()
    };
    let denied = open("").get("/config/a").await.unwrap_err();
    assert!(matches!(denied, CenterError::Denied { .. }), "{denied}");
    let wrong = open("shop:wrong@").get("/config/a").await.unwrap_err();
    assert!(matches!(wrong, CenterError::Denied { .. }), "{wrong}");

    let shop = open("shop:shop@");
    shop.set("/config/a", "1", Expected::Absent).await.unwrap();
    let beyond = shop.list(&Query::prefix("/other/")).await.unwrap_err();
    assert!(matches!(beyond, CenterError::Denied { .. }), "{beyond}");
    let follow = shop.follow(&Which::Prefix("/config/".to_owned()), 1).await;
    assert!(follow.is_ok());
    let beyond = shop.follow(&Which::Prefix("/other/".to_owned()), 1).await.err().unwrap();
    assert!(matches!(beyond, CenterError::Denied { .. }), "{beyond}");

    // Switched off and on again, it knows no token any more.
    ctl(&["--user", "root:s:ecret", "auth", "disable"]);
    ctl(&["auth", "enable"]);
    assert_eq!(&*shop.get("/config/a").await.unwrap().unwrap().value, "1");
}

#[tokio::test]
async fn verifies_the_server_and_presents_its_own_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer();
    for name in ["server", "client"] {
        write(folder.path(), name, &issuer);
    }
    let (_server, url) = server(folder.path());
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let options = |ca: Vec<u8>, is_known: bool| {
        let mut options = Options::default();
        options.ca_pem = Some(ca);
        if is_known {
            options.cert_pem = Some(read("client.pem"));
            let key = String::from_utf8(read("client.key")).unwrap();
            options.key_pem = Some(Secret::new(key));
        }
        options
    };
    let center = EtcdCenter::try_new(&url, options(read("ca.pem"), true)).unwrap();
    wait_until("etcd to answer", LIMIT, async || center.get("/a").await.is_ok()).await;
    center.set("/a", "1", Expected::Absent).await.unwrap();
    let unknown = EtcdCenter::try_new(&url, options(read("ca.pem"), false)).unwrap();
    assert!(unknown.get("/a").await.is_err(), "it has to present a certificate");
    let other = self::issuer().pem().into_bytes();
    let stranger = EtcdCenter::try_new(&url, options(other, true)).unwrap();
    assert!(stranger.get("/a").await.is_err(), "the server is not one of these");
}

/// An etcd that speaks TLS and asks for certificates.
fn server(folder: &Path) -> (Process, String) {
    let url = format!("https://127.0.0.1:{}", free_port());
    let peer = format!("http://127.0.0.1:{}", free_port());
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = Command::new("etcd");
    command.args(["--data-dir", &path("data"), "--name", "test", "--client-cert-auth"]);
    command.args(["--cert-file", &path("server.pem"), "--key-file", &path("server.key")]);
    command.args(["--trusted-ca-file", &path("ca.pem")]);
    command.args(["--initial-cluster", &format!("test={peer}")]);
    command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    let missing = "etcd runs; install it with `apt-get install etcd-server`";
    (Process::spawn(command).expect(missing), url)
}

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "issuer");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate of the issuer, its key, and the issuer's own certificate.
fn write(folder: &Path, name: &str, issuer: &CertifiedIssuer<'static, KeyPair>) {
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
}
