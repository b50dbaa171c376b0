//! The services of a manifest.

use regatta_manifest::{Health, Run, Version};

use super::*;

#[test]
fn every_key_of_a_service_is_read() {
    let text = "
name: shop
services:
  user-service:
    run: { command: [python, app.py, \"\"] }
    database: true
    versions: { v1: 90, v2: 10 }
    replicas: 2
    env: { GREETING: \"hello\", COUNT: 012 }
    grpc: [userservice.UserService]
    timeout: 1.5s
  billing: { run: { image: \"ghcr.io/acme/billing:1.4\" }, needs: [user-service], port: 9000 }
";
    let manifest = parse(text);
    let service = manifest.service("user-service").unwrap();
    let argv = vec!["python".to_owned(), "app.py".to_owned(), String::new()];
    assert_eq!(service.run, Run::Command { argv });
    assert!(service.database);
    let version = |label: &str, weight| Version { label: label.to_owned(), weight };
    assert_eq!(service.versions, [version("v1", 90), version("v2", 10)]);
    assert_eq!(service.env[1], ("COUNT".to_owned(), "012".to_owned()));
    assert_eq!(service.timeout.unwrap().as_millis(), 1500);
    let instances: Vec<_> = service.instances().map(|i| (i.id, i.version)).collect();
    let instance = |number, version| (format!("user-service-{number}"), Some(version));
    assert_eq!(
        instances,
        [instance(1, "v1"), instance(2, "v1"), instance(3, "v2"), instance(4, "v2")]
    );
    let billing = manifest.service("billing").unwrap();
    assert_eq!(billing.run, Run::Image { reference: "ghcr.io/acme/billing:1.4".to_owned() });
    assert_eq!(billing.port.unwrap().get(), 9000);
    assert_eq!(billing.instances().next().unwrap().version, None);
}

#[test]
fn a_program_of_another_language_is_registered_and_asked_over_tcp() {
    let of = |rest: &str| {
        let manifest = parse(&services(&format!("  a: {{ {rest} }}\n")));
        let service = manifest.service("a").unwrap();
        (service.register, service.health.clone())
    };
    let path = |path: &str| Health::Http { path: path.to_owned() };
    assert_eq!(of("run: { command: [python, app.py] }"), (true, Health::Tcp));
    assert_eq!(of("run: { image: acme/a }"), (true, Health::Tcp));
    assert_eq!(of("run: { cargo: a }"), (false, path("/health/ready")));
    assert_eq!(of("run: { cargo: a }, register: true, health: /up"), (true, path("/up")));
    let own = of("run: { command: [./a] }, register: false");
    assert_eq!(own, (false, path("/health/ready")));
    assert_eq!(of("run: { command: [./a] }, register: false, health: tcp").1, Health::Tcp);
}

#[test]
fn health_is_tcp_or_a_path() {
    for wrong in ["http", "health", "/a b", "''", "\"/a\\r\\nX: y\""] {
        let found = service_problems(&format!("health: {wrong}"));
        assert!(found[0].contains("services.a.health: "), "{found:?}");
        assert!(found[0].contains("tcp or a path"), "{found:?}");
    }
    let found = service_problems("register: maybe");
    assert!(found[0].contains("services.a.register: "), "{found:?}");
}

#[test]
fn the_start_order_puts_needs_first_and_keeps_the_order_of_the_text() {
    let text = services(
        "  c: { run: { cargo: c }, needs: [b] }\n  a: { run: { cargo: a } }\n  b: { run: { cargo: b }, \
         needs: [a] }\n  d: { run: { cargo: d } }\n",
    );
    let manifest = parse(&text);
    let order: Vec<_> = manifest.start_order().iter().map(|s| s.name.to_string()).collect();
    assert_eq!(order, ["a", "b", "c", "d"]);
}

#[test]
fn a_service_name_is_a_dns_label_and_not_reserved() {
    let found =
        problems(&services("  User: { run: { cargo: a } }\n  gateway: { run: { cargo: a } }\n"));
    assert!(found[0].contains("`User` is not a service name"), "{found:?}");
    assert!(found[1].contains("`gateway` is reserved; name the service `gateway-service`"));
    let found = problems("name: My Shop\nservices: {a: {run: {cargo: a}}}\n");
    assert!(found[0].starts_with("1:7: name: `My Shop` is not a name"), "{found:?}");
}

#[test]
fn an_unknown_key_gets_a_hint() {
    let found = service_problems("replica: 3");
    assert_eq!(found, ["3:27: unknown key `services.a.replica`; did you mean `replicas`?"]);
}

#[test]
fn a_service_runs_exactly_one_thing() {
    let run = |run: &str| problems(&services(&format!("  a: {{ run: {run} }}\n"))).remove(0);
    assert!(run("{}").contains("0 ways to run are given; write one of { cargo: PACKAGE }"));
    assert!(run("{ cargo: a, image: b }").contains("2 ways to run"));
    assert!(run("a").contains("services.a.run: expected a map, found `a`"));
    assert!(run("{ crago: a }").contains("did you mean `cargo`?"));
    assert!(run("{ cargo: ../a }").contains("`../a` is not a package"));
    assert!(run("{ cargo: --help }").contains("is not a package"));
    assert!(run("{ command: [] }").contains("there is no program"));
    assert!(run("{ command: [\"\", a] }").contains("there is no program"));
    assert!(run("{ command: [a, [b]] }").contains("expected a text, found a list"));
    assert!(
        run("{ command: python app.py }").contains("write [python, app.py] (no shell is involved)")
    );
    let found = problems(&services("  a:\n"));
    assert!(found[0].contains("service `a` has nothing to run; write"), "{found:?}");
}

#[test]
fn a_need_is_another_service_of_the_system() {
    let text = services(
        "  user: { run: { cargo: a }, needs: [user, usr2, nobody] }\n  user2: { run: { cargo: b } }\n",
    );
    let found = problems(&text);
    assert!(found[0].contains("`user` needs itself; remove it"), "{found:?}");
    assert!(found[1].contains("there is no service `usr2`; did you mean `user2`?"), "{found:?}");
    assert!(found[2].contains("`nobody`; add the service or remove the need"), "{found:?}");
    assert!(service_problems("needs: [b, b]").iter().any(|p| p.contains("`b` occurs twice")));
    assert!(service_problems("needs: [B]")[0].contains("is not a service name"));
    assert!(service_problems("needs: b")[0].contains("expected a list, found `b`; write [a, b]"));
}

#[test]
fn a_need_of_a_service_that_is_wrong_itself_is_not_reported_too() {
    let found = problems(&services("  a: { run: { cargo: a }, needs: [b] }\n  b: { run: {} }\n"));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_cycle_of_needs_is_shown_as_the_way_around() {
    let text = services(
        "  a: { run: { cargo: a }, needs: [b] }\n  b: { run: { cargo: b }, needs: [c] }\n  \
         c: { run: { cargo: c }, needs: [a] }\n  d: { run: { cargo: d }, needs: [a] }\n",
    );
    assert_eq!(
        problems(&text),
        [
            "5:35: services.c.needs: none of these can start first: a -> b -> c -> a; remove one need"
        ]
    );
}

#[test]
fn two_services_may_need_the_same_one() {
    parse(&services(
        "  a: { run: { cargo: a }, needs: [b, c] }\n  b: { run: { cargo: b }, needs: [c] }\n  \
         c: { run: { cargo: c } }\n",
    ));
}

#[test]
fn weights_are_whole_numbers_and_add_up_to_something() {
    assert!(service_problems("versions: { v1: 0, v2: 0 }")[0].contains("the weights add up to 0"));
    assert!(service_problems("versions: {}")[0].contains("the weights add up to 0"));
    assert!(service_problems("versions: { v1: -1 }")[0].contains("use 0 to 1000000"));
    assert!(service_problems("versions: { v1: 10% }")[0].contains("expected a whole number"));
    assert!(service_problems("versions: { -v: 1 }")[0].contains("`-v` is not a version"));
    assert!(service_problems("versions: [v1, v2]")[0].contains("write { v1: 90, v2: 10 }"));
    parse(&services("  a: { run: { cargo: a }, versions: { v1: 1, v2: 0 } }\n"));
}

#[test]
fn replicas_ports_and_timeouts_keep_to_their_ranges() {
    assert!(service_problems("replicas: 0")[0].contains("use 1 to 100"));
    assert!(service_problems("port: 70000")[0].contains("use 1 to 65535"));
    assert!(service_problems("timeout: 5")[0].contains("`5s`"));
    assert!(service_problems("timeout: 0s")[0].contains("use 1ms or more"));
    assert!(service_problems("database: yes")[0].contains("write true or false"));
}

#[test]
fn several_instances_cannot_share_a_port() {
    assert!(service_problems("port: 9000, replicas: 2")[0].contains("2 instances cannot share"));
    assert!(service_problems("port: 9000, versions: { a: 1, b: 1 }")[0].contains("2 instances"));
}

#[test]
fn ports_do_not_clash() {
    assert!(service_problems("port: 8080")[0].contains("port 8080 is taken by gateway.listen"));
    assert!(service_problems("port: 8500")[0].contains("taken by control_plane.listen"));
    let text = services(
        "  a: { run: { cargo: a }, port: 9000 }\n  b: { run: { cargo: b }, port: 9000 }\n",
    );
    assert!(problems(&text)[0].starts_with("4:"));
    assert!(problems(&text)[0].contains("taken by services.a.port; choose another one"));
    let text = format!("{}control_plane: {{ listen: 127.0.0.1:8080 }}\n", services(USER));
    assert!(problems(&text)[0].contains("control_plane.listen: port 8080 is taken by gateway"));
    let text = format!("{}gateway: {{ listen: 0.0.0.0:0, admin: 127.0.0.1:0 }}\n", services(USER));
    parse(&text);
    assert!(gateway_problems("{ listen: 0.0.0.0:9901 }")[0].contains("taken by gateway.admin"));
}

#[test]
fn variables_that_up_gives_are_not_set_by_hand() {
    assert!(service_problems("env: { PORT: 1 }")[0].contains("`PORT` is given by `port`"));
    assert!(service_problems("env: { SERVICE__VERSION: 1 }")[0].contains("given by `versions`"));
    for variable in [
        "HOST",
        "SERVER__HOST",
        "REGATTA_INSTANCE",
        "SERVICE__INSTANCE",
        "SERVICE__ADVERTISE",
        "ADMIN_LISTEN",
        "ADMIN__LISTEN",
        "REGATTA_HOME",
        "REGATTA_CONFIG_SHOW",
    ] {
        let problem = &service_problems(&format!("env: {{ {variable}: 1 }}"))[0];
        assert!(problem.starts_with("3:") && problem.contains("remove it"), "{problem}");
    }
    assert!(service_problems("env: { SERVER__PORT: 1 }")[0].contains("given by `port`"));
    assert!(service_problems("env: { SERVICE_VERSION: 1 }")[0].contains("given by `versions`"));
    assert!(service_problems("env: { a-b: 1 }")[0].contains("`a-b` is not a variable"));
    assert!(service_problems("env: { A: [1] }")[0].contains("expected a text, found a list"));
    assert!(service_problems("env: { A: \"\\0\" }")[0].contains("zero byte"));
    assert!(service_problems("env: [A]")[0].contains("write `NAME: value` lines"));
    parse(&services(
        "  a: { run: { cargo: a }, env: { DATABASE_URL: \"postgres://db/a\", E: \"\" } }\n",
    ));
}

#[test]
fn a_grpc_name_is_full_and_served_by_one_service() {
    assert!(service_problems("grpc: [a/b]")[0].contains("write package and service"));
    assert!(service_problems("grpc: [a..B]")[0].contains("write package and service"));
    assert!(service_problems("grpc: [a.B, a.B]")[0].contains("occurs twice"));
    let text = services(
        "  a: { run: { cargo: a }, grpc: [p.S] }\n  b: { run: { cargo: b }, grpc: [p.S] }\n",
    );
    assert!(problems(&text)[0].contains("services.b.grpc: `p.S` belongs to `a` already"));
}

#[test]
fn the_control_plane_answers_dns_unless_told_not_to() {
    let with = |lines: &str| services("  a: { run: { cargo: a }, port: 9000 }\n") + lines;
    let dns = |lines: &str| parse(&with(lines)).control_plane.dns_listen.map(|at| at.port());
    assert_eq!(dns(""), Some(8600));
    assert_eq!(dns("control_plane: { dns_listen: 127.0.0.1:18600 }"), Some(18600));
    assert_eq!(dns("control_plane: { dns_listen: none }"), None);
    let found = problems(&with("control_plane: { dns_listen: 127.0.0.1:9000 }"));
    assert!(found[0].contains("port 9000 is taken by services.a.port"), "{found:?}");
}

#[test]
fn names_and_limits_of_the_control_plane_are_kept_as_written() {
    let with = |lines: &str| services("  a: { run: { cargo: a } }\n") + lines;
    let read = parse(&with(
        "control_plane:\n  datacenter: eu\n  node_name: one\n  limits: { etcd.max_leases: 1000, \
         etcd.quota_bytes: 4GiB }\n",
    ));
    let read = read.control_plane;
    assert_eq!((read.datacenter.as_deref(), read.node_name.as_deref()), (Some("eu"), Some("one")));
    let limits: Vec<_> =
        read.limits.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(limits, ["etcd.max_leases=1000", "etcd.quota_bytes=4GiB"]);
    let found = problems(&with("control_plane: { limits: [5], datacenter: \"\" }"));
    assert!(found.iter().any(|problem| problem.contains("control_plane.limits: expected a map")));
    assert!(found.iter().any(|problem| problem.contains("control_plane.datacenter")), "{found:?}");
}

#[test]
fn the_control_planes_address_for_others_is_an_ip_address() {
    let with = |lines: &str| services("  a: { run: { cargo: a } }\n") + lines;
    let found = parse(&with("control_plane: { advertise: 10.0.0.7 }"));
    assert_eq!(found.control_plane.advertise, Some([10, 0, 0, 7].into()));
    let found = problems(&with("control_plane: { advertise: 10.0.0.7:8500 }"));
    assert!(
        found[0].contains("control_plane.advertise") && found[0].contains("without a port"),
        "{found:?}"
    );
}

#[test]
fn the_control_plane_speaks_etcd_unless_told_not_to() {
    let with = |lines: &str| services("  a: { run: { cargo: a }, port: 9000 }\n") + lines;
    let etcd = |lines: &str| parse(&with(lines)).control_plane.etcd_listen.map(|at| at.port());
    assert_eq!(etcd(""), Some(2379));
    assert_eq!(etcd("control_plane: { etcd_listen: 127.0.0.1:12379 }"), Some(12379));
    assert_eq!(etcd("control_plane: { etcd_listen: none }"), None);
    let found = problems(&with("control_plane: { etcd_listen: 127.0.0.1:9000 }"));
    assert!(found[0].contains("port 9000 is taken by services.a.port"), "{found:?}");
}

#[test]
fn the_control_plane_is_guarded_when_it_is_told_by_which_files() {
    let with = |lines: &str| services("  a: { run: { cargo: a } }\n") + lines;
    let open = parse(&with("")).control_plane;
    assert_eq!((open.access, open.tls), (None, None));
    let tls = "tls: { cert: c.pem, key: k.pem, ca: ca.pem }";
    let guarded = parse(&with(&format!("control_plane: {{ access: a.yaml, {tls} }}")));
    assert_eq!(guarded.control_plane.access, Some("a.yaml".into()));
    let tls = guarded.control_plane.tls.unwrap();
    assert_eq!((tls.certificate, tls.key), ("c.pem".into(), "k.pem".into()));
    assert_eq!((tls.ca, tls.client_ca), (Some("ca.pem".into()), None));
    for half in ["cert: c.pem", "key: k.pem", "ca: ca.pem"] {
        let found = problems(&with(&format!("control_plane: {{ tls: {{ {half} }} }}")));
        assert!(found[0].contains("a certificate and its key belong together"), "{found:?}");
    }
}
