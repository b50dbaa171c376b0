//! `regatta new`.

use crate::shop::Shop;

const WORKSPACE: &str = "[workspace]\nmembers = [\"services/*\"]\n\n[workspace.dependencies]\n\
                         regatta = { path = \"/nowhere\" }\n";

#[test]
fn a_service_joins_workspace_and_manifest() {
    let shop = Shop::new();
    std::fs::write(shop.path().join("Cargo.toml"), WORKSPACE).unwrap();
    let new = shop.regatta(&["new", "payments-api"]);
    assert_eq!(new.code, 0, "{}", new.err);
    assert!(new.out.contains("cargo test -p payments-api"), "{}", new.out);
    let read = |path: &str| std::fs::read_to_string(shop.path().join(path)).unwrap();
    let cargo = read("services/payments-api/Cargo.toml");
    assert!(cargo.contains("regatta = { workspace = true }"), "{cargo}");
    assert!(read("services/payments-api/src/main.rs").contains("payments_api::"));
    assert!(read("regatta.yaml").contains("  payments-api:\n    run: { cargo: payments-api }\n"));
}

#[test]
fn nothing_is_overwritten() {
    let shop = Shop::new();
    std::fs::create_dir(shop.path().join("pay")).unwrap();
    std::fs::write(shop.path().join("pay/notes"), "mine").unwrap();
    let before = std::fs::read_to_string(shop.path().join("regatta.yaml")).unwrap();
    let new = shop.regatta(&["new", "pay"]);
    assert_eq!(new.code, 2);
    assert!(new.err.contains("exists; choose another name"), "{}", new.err);
    assert_eq!(std::fs::read_dir(shop.path().join("pay")).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(shop.path().join("regatta.yaml")).unwrap(), before);
}

#[test]
fn a_first_service_brings_a_manifest_of_its_own() {
    let shop = Shop::empty();
    let new = shop.regatta(&["new", "pay", "--format", "json"]).json();
    assert!(new["manifest"].as_str().unwrap().ends_with("/pay/regatta.yaml"), "{new}");
    let cargo = std::fs::read_to_string(shop.path().join("pay/Cargo.toml")).unwrap();
    assert!(cargo.contains("crates/service\" }"), "{cargo}");
    assert!(shop.path().join("pay/.gitignore").is_file());
}

#[test]
fn a_name_that_cannot_be_a_service_writes_nothing() {
    let shop = Shop::empty();
    for name in ["health", "match", "regatta", "serde"] {
        let new = shop.regatta(&["new", name]);
        let other = format!("name the service `{name}-service`");
        assert!(new.code == 2 && new.err.contains(&other), "{}{}", new.out, new.err);
    }
    assert_eq!(std::fs::read_dir(shop.path()).unwrap().count(), 0);
}
