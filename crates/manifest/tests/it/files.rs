//! Loading from a file.

use std::path::Path;

use regatta_manifest::{LoadError, PerClient, Requirement};

use super::*;

#[test]
fn the_reference_system_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../regatta.yaml");
    let manifest = Manifest::load(&path).unwrap();
    assert_eq!(manifest.name, "shop");
    let order: Vec<_> = manifest.start_order().iter().map(|s| s.name.to_string()).collect();
    assert_eq!(order, ["user-service", "payment-service", "order-service"]);
    assert!(manifest.services.iter().all(|service| service.database));
    assert_eq!(manifest.service("user-service").unwrap().grpc, ["userservice.UserService"]);
    assert_eq!(manifest.gateway.listen.port(), 8080);
    let Some(PerClient::AtMost(rate)) = manifest.gateway.limits.per_client else { panic!() };
    assert_eq!(rate.to_string(), "60/min");
}

#[test]
fn the_reference_system_lets_only_sign_up_pass_without_a_token() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../regatta.yaml");
    let gateway = Manifest::load(&path).unwrap().gateway;
    assert_eq!(gateway.auth.unwrap().default, Requirement::Required);
    let open: Vec<_> = gateway
        .routes
        .iter()
        .filter(|route| route.auth != Requirement::Required)
        .map(|route| (route.path.as_str(), route.methods.join(",")))
        .collect();
    assert_eq!(open, [("/user-service/users", "POST".to_owned())]);
    let admin = gateway.routes.iter().find(|route| route.path == "/user-service/admin/**");
    assert_eq!(admin.unwrap().roles, ["admin"]);
}

#[test]
fn a_missing_file_says_how_to_make_one() {
    let error = Manifest::load(Path::new("/nowhere/regatta.yaml")).unwrap_err();
    assert!(matches!(error, LoadError::Missing { .. }));
    assert!(error.to_string().contains("run `regatta new NAME`"), "{error}");
}

#[test]
fn a_folder_a_device_and_bytes_that_are_no_text_are_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("regatta.yaml");
    std::fs::write(&path, b"name: \xff").unwrap();
    for path in [folder.path(), &path, Path::new("/dev/zero")] {
        let error = Manifest::load(path).unwrap_err();
        assert!(matches!(error, LoadError::Unreadable { .. }), "{error}");
    }
}

#[test]
fn all_problems_are_reported_at_once_with_the_files_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("regatta.yaml");
    let text =
        "nmae: shop\nservices:\n  User: { run: {} }\n  b: { run: { cargo: b }, needs: [c] }\n";
    std::fs::write(&path, text).unwrap();
    let LoadError::Invalid(problems) = Manifest::load(&path).unwrap_err() else { panic!() };
    let lines: Vec<_> = problems.as_slice().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 1, 3, 3, 4], "{problems}");
    assert!(problems.to_string().lines().all(|l| l.starts_with(&path.display().to_string())));
}

#[test]
fn text_that_is_no_yaml_names_its_line() {
    assert!(problems("name: shop\nservices: {\n")[0].contains("not YAML"));
    assert!(problems("name: a\nname: b\n")[0].starts_with("2:1: key `name` occurs twice"));
    assert!(problems("- a\n")[0].contains("expected a map, found a list"));
}

#[test]
fn an_empty_file_has_no_name_and_no_services() {
    let found = problems("");
    assert!(found[0].contains("write `name: shop`"), "{found:?}");
    assert!(found[1].contains("write `services:`"), "{found:?}");
    assert_eq!(found.len(), 2);
}

#[test]
fn a_minimal_system_has_the_defaults() {
    let manifest = parse(&services(USER));
    assert_eq!(manifest.gateway, regatta_manifest::Gateway::default());
    assert_eq!(manifest.control_plane.listen.to_string(), "127.0.0.1:8500");
    let service = &manifest.services[0];
    assert_eq!((service.line, service.database, service.replicas.get()), (3, false, 1));
    assert_eq!(service.port, None);
}

#[test]
fn the_guide_shows_a_manifest_that_loads_and_names_every_key() {
    let guide = include_str!("../../../../docs/guide/manifest.md");
    let (_, rest) = guide.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    parse(example);
    // Each place answers a stranger with the list of its keys.
    let stranger = "zzzzzzzzzzzz: 1";
    let places = [
        format!("{}{stranger}\n", services(USER)),
        services(&format!("  a: {{ run: {{ cargo: a, {stranger} }}, {stranger} }}\n")),
        format!(
            "{}gateway: {{ {stranger}, auth: {{ issuer: a, {stranger} }}, limits: {{ {stranger} }}, \
             timeouts: {{ {stranger} }}, routes: [{{ path: /**, {stranger} }}] }}\n",
            services(USER)
        ),
        format!("{}control_plane: {{ {stranger} }}\n", services(USER)),
    ];
    let found: Vec<_> = places.iter().flat_map(|text| problems(text)).collect();
    assert_eq!(found.len(), 9, "{found:?}");
    for problem in found {
        let (_, keys) = problem.split_once("known here: ").unwrap();
        for key in keys.split(", ") {
            let named =
                [format!("`{key}`"), format!(".{key}`"), format!("{key}: "), format!("`{key}.")];
            assert!(named.iter().any(|name| guide.contains(name)), "the guide does not name {key}");
        }
    }
}
