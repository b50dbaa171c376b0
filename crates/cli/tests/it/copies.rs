//! Backups, restores and copies of what a running control plane holds.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::plane::{Plane, address, call, set, value};
use crate::shop::{REGATTA, Shop, run};

#[test]
fn a_system_on_free_ports_is_backed_up_and_restored_with_its_registrations() {
    let (shop, decoy) = beside_another();
    let own = address(&shop.up()["registry"]);
    set(own, "shop/name", "this one");
    let backup = shop.regatta(&["backup", "all.backup", "--format", "json"]);
    assert_eq!(backup.code, 0, "{}", backup.err);
    let bytes = std::fs::metadata(shop.path().join("all.backup")).unwrap().len();
    assert_eq!(backup.json()["bytes"], bytes);

    let restore = shop.regatta(&["restore", "all.backup", "--store", "restored"]);
    assert_eq!(restore.code, 0, "{}", restore.err);
    assert!(restore.out.contains("start it with `regatta control --store"), "{}", restore.out);
    let again = shop.regatta(&["restore", "all.backup", "--store", "restored"]);
    assert!(again.code == 1 && again.err.contains("exists already"), "{}", again.err);
    let restored = Plane::start(&shop.path().join("restored"), &[]);
    assert_eq!(value(restored.consul, "shop/name").as_deref(), Some("this one"));
    let (_, listed) = call(restored.consul, "GET", "/v1/catalog/service/front", "", "");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["ServiceID"], "front-1", "{listed}");
    assert_eq!(value(decoy.consul, "shop/name").as_deref(), Some("the other one"));
}

#[test]
fn a_system_on_free_ports_is_what_is_exported_from_and_imported_to() {
    let (shop, decoy) = beside_another();
    let state = shop.up();
    let own = address(&state["registry"]);
    set(own, "shop/name", "this one");
    let body = r#"{"Name":"reports","Port":9000,"Check":{"TCP":"127.0.0.1:9000","Interval":"1m"}}"#;
    assert_eq!(call(own, "PUT", "/v1/agent/service/register", "", body).0, 200);
    let folder = tempfile::tempdir().unwrap();
    let other = Plane::start(&folder.path().join("store"), &[]);
    let (consul, etcd) = (format!("consul://{}", other.consul), format!("etcd://{}", other.etcd));
    let export = |more: &[&str]| {
        let flags = ["control", "export", "--to", &consul, "--to", &etcd, "--format", "json"];
        let run = shop.regatta(&[&flags[..], more].concat());
        assert_eq!(run.code, 0, "{}", run.err);
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let dry = export(&["--dry-run"]);
    let keys = &dry[0]["keys"];
    assert_eq!((&keys["written"], &dry[0]["dry_run"]), (&1.into(), &true.into()), "{dry:?}");
    assert_eq!(value(other.consul, "shop/name"), None);
    let done = export(&[]);
    assert_eq!(done[0]["from"], format!("consul://{own}"));
    assert_eq!(done[1]["from"], format!("etcd://{}", address(&state["config_center"])));
    assert_eq!(value(other.consul, "shop/name").as_deref(), Some("this one"));
    // A service of the system finds its way; one that somebody registered by hand goes along.
    let services = &done[0]["services"];
    assert_eq!(
        (&services["written"], &done[0]["own_services"]),
        (&1.into(), &1.into()),
        "{done:?}"
    );
    let (_, listed) = call(other.consul, "GET", "/v1/catalog/services", "", "");
    assert!(listed.contains("reports") && !listed.contains("front"), "{listed}");

    set(other.consul, "shop/name", "theirs");
    let import = |more: &[&str]| {
        let flags = ["control", "import", "--from", &consul];
        let run = shop.regatta(&[&flags[..], more].concat());
        assert_eq!(run.code, 0, "{}", run.err);
        value(own, "shop/name").unwrap()
    };
    assert_eq!(import(&["--keep"]), "this one");
    assert_eq!(import(&[]), "theirs");
    assert_eq!(value(decoy.consul, "shop/name").as_deref(), Some("the other one"));
}

#[test]
fn what_hash_prints_lets_in_who_has_the_secret() {
    let shop = Shop::empty();
    let token = shop.regatta(&["control", "hash", "token", "--format", "json"]).json();
    let (token, sum) = (token["token"].as_str().unwrap(), token["sha256"].as_str().unwrap());
    let password = hashed("ahoy\n", shop.path());
    assert!(password.starts_with("password: pbkdf2-sha256:"), "{password}");
    let access = format!(
        "tokens:\n- {{ name: root, sha256: {sum}, management: true }}\nusers:\n- {{ name: ann, \
         {} , management: true }}\n",
        password.trim().replacen("password: ", "password: \"", 1) + "\""
    );
    std::fs::write(shop.path().join("access.yaml"), access).unwrap();
    let access = shop.path().join("access.yaml");
    let plane = Plane::start(&shop.path().join("store"), &["--access", access.to_str().unwrap()]);
    let list = |token: &str| call(plane.consul, "GET", "/v1/kv/a", token, "").0;
    assert_eq!((list(""), list("wrong"), list(token)), (403, 403, 404));
    let url = format!("http://{}", plane.consul);
    let backup = |more: &[&str]| {
        shop.regatta(&[&["backup", "a.backup", "--from", &url], more].concat()).code
    };
    assert_eq!((backup(&[]), backup(&["--token", token])), (1, 0));
    // Both secrets, each in its own interface.
    let here =
        [format!("etcd://ann:ahoy@{}", plane.etcd), format!("consul://:{token}@{}", plane.consul)];
    for here in &here {
        let copy = shop.regatta(&["control", "export", "--from", here, "--to", here]);
        assert_eq!(copy.code, 0, "{}", copy.err);
        let stranger = here.replace("ahoy", "wrong").replace(token, "wrong");
        let copy = shop.regatta(&["control", "export", "--from", &stranger, "--to", &stranger]);
        assert_eq!(copy.code, 1, "{}", copy.out);
    }
    let empty = hashed("\n", shop.path());
    assert!(empty.contains("there is no password in the input"), "{empty}");
}

#[test]
fn a_server_that_is_no_control_plane_is_not_written_to() {
    let shop = Shop::empty();
    let folder = tempfile::tempdir().unwrap();
    let plane = Plane::start(&folder.path().join("store"), &[]);
    let (from, to) = (format!("consul://{}", plane.consul), format!("consul://{}", plane.etcd));
    let copy = shop.regatta(&["control", "export", "--from", &from, "--to", &to]);
    assert_eq!(copy.code, 1, "{}", copy.out);
    assert!(copy.err.contains(&to), "{}", copy.err);
}

#[test]
fn nothing_goes_to_a_server_that_was_not_named() {
    let shop = Shop::new();
    for verb in ["import", "export"] {
        let flags = ["--from", "consul://127.0.0.1:1", "--to", "etcd://127.0.0.1:2", "--dry-run"];
        let refused = shop.regatta(&[&["control", verb][..], &flags].concat());
        let way = "nothing goes from consul to etcd; ";
        assert!(refused.code == 2 && refused.err.contains(way), "{}{}", refused.out, refused.err);
    }
}

/// A shop whose manifest has the address of another system that runs.
fn beside_another() -> (Shop, Plane) {
    let shop = Shop::new();
    std::fs::create_dir(shop.path().join("other")).unwrap();
    let decoy = Plane::start(&shop.path().join("other/store"), &[]);
    set(decoy.consul, "shop/name", "the other one");
    let manifest = std::fs::read_to_string(shop.path().join("regatta.yaml")).unwrap();
    let (consul, etcd) = (decoy.consul, decoy.etcd);
    let written = format!("control_plane: {{ listen: '{consul}', etcd_listen: '{etcd}' }}\n");
    shop.write_manifest(&(manifest + &written));
    (shop, decoy)
}

/// What `control hash password` says of this input.
fn hashed(input: &str, folder: &Path) -> String {
    let mut command = Command::new(REGATTA);
    command.args(["control", "hash", "password"]).current_dir(folder);
    let (given, mut writer) = std::io::pipe().unwrap();
    writer.write_all(input.as_bytes()).unwrap();
    drop(writer);
    let said = run(command.stdin(Stdio::from(given)));
    said.out + &said.err
}
