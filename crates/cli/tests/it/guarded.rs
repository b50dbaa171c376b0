//! A system whose control plane lets in nobody without a token, and speaks TLS.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use regatta_control_plane::{Secret, hash_password};
use serde_json::Value;

use crate::plane::{Plane, address, call};
use crate::shop::{Shop, part, until};

#[test]
fn its_own_parts_find_and_register_each_other_and_it_is_backed_up() {
    let shop = Shop::new();
    certificates(shop.path());
    let drawn = || shop.regatta(&["control", "hash", "token", "--format", "json"]).json();
    let (system, operator) = (drawn(), drawn());
    let of = |drawn: &Value, name: &str| drawn[name].as_str().unwrap().to_owned();
    let access = format!(
        "tokens:\n- {{ name: system, sha256: {}, rules: {{ service: {{ \"\": write }}, node: {{ \"\": \
         read }} }} }}\n- {{ name: operator, sha256: {}, management: true }}\nusers:\n- {{ name: ann, \
         password: \"{}\", rules: {{ key: {{ /config/: write }} }} }}\n",
        of(&system, "sha256"),
        of(&operator, "sha256"),
        hash_password(&Secret::new("ahoy")),
    );
    std::fs::write(shop.path().join("access.yaml"), access).unwrap();
    let manifest = std::fs::read_to_string(shop.path().join("regatta.yaml")).unwrap();
    shop.write_manifest(&format!(
        "{manifest}  routes:\n    - {{ path: /front/**, auth: none }}\ncontrol_plane:\n  access: \
         access.yaml\n  tls: {{ cert: control.pem, key: control.key, ca: ca.pem }}\n"
    ));
    let up = ["up", "--isolated", "--detach", "--format", "json"];
    let without = shop.regatta(&up);
    assert_eq!(without.code, 2, "{}", without.out);
    assert!(without.err.contains("CONSUL_HTTP_TOKEN"), "{}", without.err);

    let (system, operator) = (of(&system, "token"), of(&operator, "token"));
    let known = [("CONSUL_HTTP_TOKEN", &*system)];
    let started = shop.regatta_with(&known, &up);
    assert_eq!(started.code, 0, "{}{}", started.out, started.err);
    let state = started.json();
    assert!(state["registry"].as_str().unwrap().starts_with("https://"), "{state}");
    assert!(state["config_center"].as_str().unwrap().starts_with("https://"), "{state}");
    for name in ["control-plane", "front-1", "gateway"] {
        assert_eq!(part(&state, name)["state"], "ready", "{state}");
    }
    // The gateway found what `up` registered.
    let gateway = address(&state["gateway"]);
    until("the gateway sends there", || {
        call(gateway, "GET", "/front/health/ready", "", "").0 == 200
    });
    assert_eq!(call(address(&state["registry"]), "GET", "/v1/status/leader", "", "").0, 0);

    let center = shop.regatta_with(
        &[("ETCDCTL_USER", "ann:ahoy")],
        &["config", "set", "front", "client.timeout", "9s"],
    );
    assert_eq!(center.code, 0, "{}", center.err);

    let refused = shop.regatta_with(&known, &["backup", "all.backup"]);
    assert!(refused.code == 1 && refused.err.contains("403"), "{}", refused.err);
    let backup = shop.regatta_with(&[("CONSUL_HTTP_TOKEN", &*operator)], &["backup", "all.backup"]);
    assert_eq!(backup.code, 0, "{}", backup.err);
    // Elsewhere, where no manifest asks for tokens.
    let elsewhere = tempfile::tempdir().unwrap();
    let store = elsewhere.path().join("restored");
    let restore = shop.regatta(&["restore", "all.backup", "--store", store.to_str().unwrap()]);
    assert_eq!(restore.code, 0, "{}", restore.err);
    let restored = Plane::start(&store, &[]);
    let (_, listed) = call(restored.consul, "GET", "/v1/catalog/service/front", "", "");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["ServiceID"], "front-1", "{listed}");
}

/// A certificate for loopback, its key, and whom to trust it by.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    // Another name than its certificate has: else that would seem to be its own issuer.
    params.distinguished_name.push(DnType::CommonName, "issuer");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    for (name, pem) in [
        ("control.pem", certificate.pem()),
        ("control.key", key.serialize_pem()),
        ("ca.pem", issuer.pem()),
    ] {
        std::fs::write(folder.join(name), pem).unwrap();
    }
}
