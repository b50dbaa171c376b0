//! What goes wrong, and what the program says about it.

use std::net::TcpListener;

use crate::shop::Shop;

#[test]
fn a_taken_port_is_named_with_its_holder_and_nothing_starts() {
    let shop = Shop::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let manifest = std::fs::read_to_string(shop.path().join("regatta.yaml")).unwrap();
    let listen = format!("gateway:\n  listen: 127.0.0.1:{port}\n  admin: none");
    shop.write_manifest(
        &(manifest.replace("gateway:\n", &format!("{listen}\n"))
            + &format!("control_plane: {{ listen: 127.0.0.1:{} }}\n", free_port())),
    );

    let up = shop.regatta(&["up"]);

    assert_eq!(up.code, 1, "{}", up.out);
    let expected =
        format!("port `{port}` of gateway (127.0.0.1) is in use by process {}", std::process::id());
    assert!(up.err.contains(&expected), "{}", up.err);
    assert!(up.err.contains("set gateway.listen") && up.err.contains("--isolated"), "{}", up.err);
    assert_eq!(shop.ps()["running"], false);
    let doctor = shop.regatta(&["doctor"]);
    assert!(doctor.out.contains(&format!("port {port} of gateway is in use")), "{}", doctor.out);
}

#[test]
fn a_service_that_ends_at_once_shows_its_last_words() {
    let shop = Shop::new();
    shop.write_manifest(
        "name: shop\nservices:\n  front:\n    run: { command: [sh, -c, 'echo no such luck >&2; exit 5'] }\n",
    );
    let up = shop.regatta(&["up", "--isolated", "--detach"]);
    assert_eq!(up.code, 1, "{}", up.out);
    assert!(up.err.contains("no such luck"), "{}", up.err);
    assert!(up.err.contains("front-1 ended before it was ready (exit status: 5)"), "{}", up.err);
    assert_eq!(shop.ps()["running"], false);
}

#[test]
fn every_problem_of_the_manifest_is_told_with_its_line() {
    let shop = Shop::empty();
    shop.write_manifest("name: shop\nservices:\n  a:\n    rum: { cargo: a }\n    replicas: 0\n");
    let up = shop.regatta(&["up"]);
    assert_eq!(up.code, 1);
    assert!(up.err.contains("regatta.yaml:4:") && up.err.contains("regatta.yaml:5:"), "{}", up.err);
}

#[test]
fn wrong_usage_exits_with_2() {
    let shop = Shop::new();
    for arguments in [
        &["bogus"][..],
        &["logs", "nobody"],
        &["token"],
        &["token", "--user", "1", "--ttl", "0s"],
        &["up", "--manifest", "elsewhere.yaml"],
        &["new", "Not A Name"],
        &[],
    ] {
        shop.regatta(&["ps"]);
        std::fs::create_dir_all(shop.path().join(".regatta/logs")).unwrap();
        std::fs::write(shop.path().join(".regatta/logs/front-1.log"), "").unwrap();
        let run = shop.regatta(arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {}{}", run.out, run.err);
    }
}

#[test]
fn without_a_manifest_the_remedy_is_told() {
    let shop = Shop::empty();
    let ps = shop.regatta(&["ps"]);
    assert_eq!(ps.code, 2);
    assert!(ps.err.contains("there is no regatta.yaml") && ps.err.contains("--manifest"));
}

#[test]
fn a_token_before_the_first_up_is_refused() {
    let token = Shop::new().regatta(&["token", "--user", "1"]);
    assert_eq!(token.code, 1);
    assert!(token.err.contains("`regatta up` makes one"), "{}", token.err);
}

#[test]
fn a_token_that_nobody_would_believe_is_not_made() {
    let shop = Shop::new();
    let manifest = std::fs::read_to_string(shop.path().join("regatta.yaml")).unwrap();
    let keys = "issuer: idp, keys: { url: https://idp/keys }";
    shop.write_manifest(&manifest.replace("issuer: dev", keys));
    let token = shop.regatta(&["token", "--user", "1"]);
    assert_eq!((token.code, token.out.as_str()), (1, ""));
    assert!(token.err.contains("gateway.auth.secret: true"), "{}", token.err);
}

#[test]
fn config_show_does_not_start_a_program_that_may_be_any() {
    let shop = Shop::new();
    shop.write_manifest(
        "name: shop\nservices:\n  front:\n    run: { command: [touch, started] }\n",
    );
    for register in ["", "    register: false\n"] {
        let manifest = std::fs::read_to_string(shop.path().join("regatta.yaml")).unwrap();
        shop.write_manifest(&(manifest + register));
        let show = shop.regatta(&["config", "show", "front"]);
        assert_eq!(show.code, 1, "{}", show.out);
        assert!(show.err.contains("`front` is not started"), "{}", show.err);
        assert!(!shop.path().join("started").exists());
    }
}

#[test]
fn a_variable_that_would_move_a_service_is_refused_with_its_line() {
    let shop = Shop::empty();
    shop.write_manifest(
        "name: shop\nservices:\n  a:\n    run: { cargo: a }\n    env:\n      SERVER__PORT: 1\n",
    );
    let up = shop.regatta(&["up"]);
    assert_eq!(up.code, 1);
    assert!(up.err.contains("regatta.yaml:6:") && up.err.contains("`SERVER__PORT`"), "{}", up.err);
}

#[test]
fn for_programs_errors_are_json_too() {
    let run = Shop::new().regatta(&["token", "--user", "1", "--format", "json"]);
    let error: serde_json::Value = serde_json::from_str(run.err.trim()).unwrap();
    assert!(error["error"].as_str().unwrap().contains("regatta up"));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
