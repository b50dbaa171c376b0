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

#[test]
fn wrong_usage_is_json_for_programs_and_help_is_text() {
    let shop = Shop::empty();
    for arguments in [&["ps", "--format", "json", "nope"][..], &["--format=json", "bogus"]] {
        let run = shop.regatta(arguments);
        let error: serde_json::Value = serde_json::from_str(run.err.trim()).unwrap();
        let text = error["error"].as_str().unwrap();
        assert!(run.code == 2 && text.contains(arguments.last().unwrap()), "{}", run.err);
        assert!(!text.contains('\n') && error["detail"].is_array(), "{}", run.err);
    }
    let help = shop.regatta(&["ps", "--format", "json", "--help"]);
    assert!(help.code == 0 && help.out.contains("Usage:"), "{}", help.out);
}

#[test]
fn for_programs_each_problem_is_told_once_and_by_itself() {
    let shop = Shop::empty();
    shop.write_manifest("name: shop\nservices:\n  a:\n    rum: { cargo: a }\n    replicas: 0\n");
    for detach in [&[][..], &["--detach"]] {
        let up = shop.regatta(&[&["up", "--format", "json"], detach].concat());
        let error: serde_json::Value = serde_json::from_str(up.err.trim()).unwrap();
        let detail = error["detail"].as_array().unwrap();
        assert!(detail.len() > 1, "{error}");
        assert!(detail.iter().all(|it| it.as_str().unwrap().lines().count() == 1), "{error}");
        assert!(!error["error"].as_str().unwrap().contains("replicas"), "{error}");
    }
}

#[test]
fn a_system_that_runs_is_told_with_the_options_that_lead_to_it() {
    let shop = Shop::new();
    let up = ["up", "--isolated", "--detach", "--data-dir", "d", "--format", "json"];
    assert_eq!(shop.regatta(&up).code, 0);
    let again = [shop.regatta(&up), shop.regatta(&up)];
    let stopped = shop.regatta(&["down", "--data-dir", "d"]).code;
    for again in again {
        let error: serde_json::Value = serde_json::from_str(again.err.trim()).unwrap();
        assert_eq!((again.code, &error["detail"]), (1, &serde_json::json!([])), "{error}");
        let text = error["error"].as_str().unwrap();
        assert!(text.contains("runs already") && text.contains("ps --data-dir d`"), "{error}");
    }
    assert_eq!(stopped, 0);
}

#[test]
fn a_limit_that_does_not_fit_is_told_before_anything_starts() {
    let shop = Shop::new();
    let manifest = std::fs::read_to_string(shop.path().join("regatta.yaml")).unwrap();
    let limit = "gateway:\n  limits: { per_client: 100000/min, max_bytes: 16MiB }\n";
    shop.write_manifest(&manifest.replace("gateway:\n", limit));
    let doctor = shop.regatta(&["doctor"]);
    let up = shop.regatta(&["up", "--isolated"]);
    for (code, text) in [(doctor.code, doctor.out), (up.code, up.err)] {
        assert_eq!(code, 1, "{text}");
        assert!(
            text.contains("regatta.yaml:") && text.contains("max_bytes is `16777216`"),
            "{text}"
        );
    }
    assert!(!shop.path().join(".regatta").exists());
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
