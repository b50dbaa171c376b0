//! The gateway of a manifest.

use std::time::Duration;

use regatta_manifest::{AccessLog, Keys, LimitKey, OnOutage, PerClient, Requirement, Switch};

use super::*;

#[test]
fn every_key_of_the_gateway_is_read() {
    let text = services(USER)
        + "
gateway:
  listen: \"[::1]:80\"
  admin: none
  workers: 2
  auth: { issuer: dev, audience: shop, default: none }
  limits:
    { per_client: none, connections: 10, header_bytes: 16KiB, headers: 50, target_bytes: 4KiB,
      body_bytes: 1MiB, http2_streams: 100, idle_upstream: 8 }
  timeouts:
    { header_read: 1s, body_idle: 2s, idle: 3s, upstream_idle: 4s, connect: 5s, request: 6s,
      drain: 7s, tunnel_idle: 8s }
  retries: 2
  trusted_hops: [10.0.0.0/8, \"::1\"]
  access_log: json
  routes:
    - { path: \"/user-service/users/{id}\", methods: [GET], roles: [user, admin], timeout: 2s }
    - { path: /user-service/**, auth: optional }
control_plane: { listen: 127.0.0.1:8501 }
";
    let manifest = parse(&text);
    let gateway = manifest.gateway;
    assert_eq!(gateway.listen.to_string(), "[::1]:80");
    assert_eq!(gateway.admin, None);
    assert_eq!(gateway.workers.unwrap().get(), 2);
    let auth = gateway.auth.unwrap();
    assert_eq!((&*auth.issuer, auth.audience.as_deref()), ("dev", Some("shop")));
    assert_eq!(auth.default, Requirement::None);
    assert_eq!(gateway.limits.per_client, Some(PerClient::Unlimited));
    assert_eq!(gateway.limits.connections, Some(10));
    assert_eq!(gateway.limits.header_bytes, Some(16 << 10));
    assert_eq!(gateway.limits.headers, Some(50));
    assert_eq!(gateway.limits.target_bytes, Some(4 << 10));
    assert_eq!(gateway.limits.body_bytes, Some(1 << 20));
    assert_eq!(gateway.limits.http2_streams, Some(100));
    assert_eq!(gateway.limits.idle_upstream, Some(8));
    let timeouts = &gateway.timeouts;
    let seconds = [
        timeouts.header_read,
        timeouts.body_idle,
        timeouts.idle,
        timeouts.upstream_idle,
        timeouts.connect,
        timeouts.request,
        timeouts.drain,
        timeouts.tunnel_idle,
    ];
    assert_eq!(seconds.map(|time| time.unwrap().as_secs()), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(gateway.retries, Some(2));
    assert_eq!(gateway.trusted_hops, ["10.0.0.0/8", "::1"]);
    assert_eq!(gateway.access_log, AccessLog::Json);
    let route = &gateway.routes[0];
    assert_eq!(
        (route.path.as_str(), route.auth),
        ("/user-service/users/{id}", Requirement::Required)
    );
    assert_eq!(
        (&*route.methods, &*route.roles),
        (&["GET".to_owned()][..], &["user".into(), "admin".into()][..])
    );
    assert_eq!(route.timeout, Some(Duration::from_secs(2)));
    assert_eq!(gateway.routes[1].auth, Requirement::Optional);
    assert_eq!(manifest.control_plane.listen.port(), 8501);
}

#[test]
fn unknown_keys_at_every_level_get_a_hint() {
    assert!(gateway_problems("{ lisen: 1 }")[0].contains("did you mean `listen`?"));
    assert!(
        gateway_problems("{ limits: { per_clients: 1/s } }")[0]
            .contains("did you mean `per_client`?")
    );
    assert!(
        gateway_problems("{ timeouts: { conect: 1s } }")[0].contains("did you mean `connect`?")
    );
    assert!(gateway_problems("{ auth: { issuer: a, audince: b } }")[0].contains("`audience`?"));
    let found = gateway_problems("{ routes: [{ path: /user-service, method: [GET] }] }");
    assert!(found[0].contains("`gateway.routes[0].method`; did you mean `methods`?"), "{found:?}");
    let text = format!("{}control_plane: {{ listn: 1 }}\n", services(USER));
    assert!(problems(&text)[0].contains("did you mean `listen`?"));
}

#[test]
fn values_out_of_range_name_the_range() {
    for (text, remedy) in [
        ("{ listen: localhost }", "write both, such as 127.0.0.1:8080"),
        ("{ admin: off }", "write both"),
        ("{ workers: 0 }", "use 1 to 1024"),
        ("{ retries: 9 }", "use 0 to 3"),
        ("{ access_log: yaml }", "expected off or json or text"),
        ("{ limits: { per_client: 60 } }", "such as 60/min"),
        ("{ limits: { per_client: 0/min } }", "such as 60/min"),
        ("{ limits: { headers: 1 } }", "use 8 to 128"),
        ("{ limits: { body_bytes: 0 } }", "`0` is not allowed; use 1B to 1TiB"),
        ("{ limits: { header_bytes: 64 } }", "use 1KiB to 1MiB"),
        ("{ limits: { target_bytes: 2MiB } }", "use 64B to 1MiB"),
        ("{ limits: { body_bytes: 1mb } }", "`mb` is not a unit of size"),
        ("{ timeouts: { connect: 0 } }", "use 1ms or more"),
        ("{ trusted_hops: [10.0.0.0/33] }", "such as 10.1.2.3, 10.0.0.0/8 or fd00::/8"),
        ("{ trusted_hops: [nginx] }", "write an address or a range"),
        ("{ auth: {} }", "write `issuer: dev`"),
        ("{ auth: { issuer: a, default: maybe } }", "expected none or optional or required"),
        ("{ auth: true }", "gateway.auth: expected a map"),
    ] {
        let found = gateway_problems(text);
        assert!(found[0].contains(remedy), "{text}: {found:?}");
    }
}

#[test]
fn a_path_pattern_is_checked() {
    let route =
        |path: &str| gateway_problems(&format!("{{ routes: [{{ path: \"{path}\" }}] }}")).remove(0);
    assert!(route("user-service").contains("begin it with `/`"));
    for path in [
        "/user-service/**/x",
        "/user-service/a*",
        "/user-service/{a",
        "/user-service/{}",
        "/user-service//x",
        "/user-service/x?y",
        "/user-service/a b",
    ] {
        assert!(route(path).contains("each segment is a text, `*`, `{name}` or"), "{path}");
    }
    assert!(route("/usr-service/x").contains("did you mean `/user-service`?"));
    assert!(route("/other/x").contains("paths begin with the name of a service"));
    assert!(gateway_problems("{ routes: [{ roles: [a] }] }")[0].contains("has no path; write"));
    for path in ["/**", "/*/openapi.json", "/user-service/", "/user-service/{id}/x"] {
        parse(&format!("{}gateway: {{ routes: [{{ path: \"{path}\" }}] }}\n", services(USER)));
    }
}

#[test]
fn a_rule_may_name_a_grpc_service() {
    parse(
        &(services("  a: { run: { cargo: a }, grpc: [p.S] }\n")
            + "gateway: { routes: [{ path: /p.S/** }] }\n"),
    );
}

#[test]
fn methods_are_written_in_capitals() {
    let route = |methods: &str| {
        gateway_problems(&format!("{{ routes: [{{ path: /user-service, methods: {methods} }}] }}"))
    };
    assert!(route("[get]")[0].contains("write GET"));
    assert!(route("[\"\"]")[0].contains("write such as GET"));
    assert!(route("GET")[0].contains("expected a list"));
    assert!(route("[GET, GET]")[0].contains("occurs twice"));
}

#[test]
fn rules_about_tokens_need_the_gateway_to_verify_them() {
    let open = |rule: &str| {
        gateway_problems(&format!("{{ routes: [{{ path: /user-service, {rule} }}] }}"))
    };
    assert!(open("auth: required")[0].contains("verifies no tokens; write `gateway.auth`"));
    assert!(open("roles: [user]")[0].contains("roles: the gateway verifies no tokens"));
    let closed = |rule: &str| {
        gateway_problems(&format!(
            "{{ auth: {{ issuer: a }}, routes: [{{ path: /user-service, {rule} }}] }}"
        ))
    };
    assert!(closed("auth: none, roles: [user]")[0].contains("roles need a token"));
    assert!(closed("auth: optional, roles: [user]")[0].contains("roles need a token"));
}

#[test]
fn a_rule_without_auth_needs_a_token_exactly_when_the_gateway_verifies_them() {
    let auth = |keys: &str| {
        let text = format!(
            "{}gateway: {{ {keys} routes: [{{ path: /user-service }}] }}\n",
            services(USER)
        );
        parse(&text).gateway.routes[0].auth
    };
    assert_eq!(auth("auth: { issuer: a },"), Requirement::Required);
    assert_eq!(auth(""), Requirement::None);
}

#[test]
fn a_rule_that_an_earlier_one_hides_is_reported() {
    let rules = |rules: &str| format!("{}gateway: {{ routes: [{rules}] }}\n", services(USER));
    let hidden =
        "{ path: /user-service, methods: [GET, PUT] }, { path: /user-service, methods: [GET] }";
    let found = problems(&rules(hidden));
    assert!(found[0].contains("routes[1]: it is never reached, for rule 0 in line 4"), "{found:?}");
    assert_eq!(problems(&rules("{ path: /user-service }, { path: /user-service }")).len(), 1);
    parse(&rules("{ path: /user-service, methods: [GET] }, { path: /user-service }"));
    parse(&rules(
        "{ path: /user-service, methods: [GET] }, { path: /user-service, methods: [PUT] }",
    ));
}

#[test]
fn traffic_rules_are_read_for_all_services_and_for_each() {
    let own = "traffic: { balance: consistent_hash, hash_on: \"header:x-user\", breaker: none }";
    let text = services(&format!("  a: {{ run: {{ cargo: a }}, {own} }}\n"))
        + "
gateway:
  traffic:
    balance: p2c
    zone: eu-1
    slow_start: none
    retries: 2
    try_timeout: 1s
    retry_budget: { percent: 10, floor: 0 }
    breaker:
      { failures: 3, failure_percent: 60, window: 20s, minimum_calls: 5, slow_call: 1s,
        slow_percent: 40, open_for: 5s, probes: 2 }
    outlier: { failures: 4, eject_for: 1s, most: 9s, max_ejected_percent: 30, panic_percent: 20 }
    concurrency: { limit: 10, adaptive: true, queue: 0, queue_timeout: 1s, reserved_percent: 5 }
";
    let manifest = parse(&text);
    let shared = &manifest.gateway.traffic;
    assert_eq!(shared.slow_start, Some(Duration::ZERO));
    assert_eq!((shared.retry_budget_percent, shared.retry_budget_floor), (Some(10), Some(0)));
    let Some(Switch::On(breaker)) = &shared.breaker else { panic!("{shared:?}") };
    assert_eq!(
        (breaker.failures, breaker.slow_percent, breaker.probes),
        (Some(3), Some(40), Some(2))
    );
    let Some(Switch::On(outlier)) = &shared.outlier else { panic!("{shared:?}") };
    assert_eq!((outlier.failures, outlier.panic_percent), (Some(4), Some(20)));
    let Some(Switch::On(concurrency)) = &shared.concurrency else { panic!("{shared:?}") };
    assert_eq!((concurrency.limit, concurrency.adaptive), (Some(10), Some(true)));
    let own = manifest.services[0].traffic.or(shared);
    assert_eq!(own.balance.as_deref(), Some("consistent_hash"));
    assert_eq!(own.hash_on.as_deref(), Some("header:x-user"));
    assert_eq!((own.breaker, own.retries), (Some(Switch::Off), Some(2)));
}

#[test]
fn an_issuers_keys_are_a_file_or_a_url_and_a_shared_limit_has_a_place() {
    let text = |gateway: &str| services(USER) + "\ngateway:\n" + gateway;
    let manifest = parse(&text("  auth: { issuer: idp, keys: { file: keys.json } }\n"));
    let auth = manifest.gateway.auth.unwrap();
    assert_eq!((auth.keys, auth.secret), (Some(Keys::File("keys.json".into())), false));
    let limits = "  limits: { per_client: 10/s, burst: 3, key: address, url: redis://h, on_outage: refuse }\n";
    let limits = parse(&text(limits)).gateway.limits;
    assert_eq!((limits.burst, limits.on_outage), (Some(3), Some(OnOutage::Refuse)));
    assert_eq!((limits.url.as_deref(), limits.key), (Some("redis://h"), Some(LimitKey::Address)));
    for (wrong, part) in [
        ("  auth: { issuer: idp, keys: { file: a, url: http://b } }\n", "one of { file"),
        ("  auth: { issuer: idp, keys: { url: idp.example } }\n", "begin it with https://"),
        ("  auth: { issuer: idp, secret: false }\n", "nothing verifies a token"),
        ("  limits: { per_client: 3/s, burst: 4 }\n", "use 1 to 2"),
        ("  limits: { per_client: 100/min, burst: 100 }\n", "use 1 to 99"),
        ("  limits: { url: http://h }\n", "redis://HOST"),
        ("  limits: { key: user }\n", "without `auth`"),
        ("  limits: { key: cookie }\n", "client_id"),
        ("  limits: { on_outage: admit }\n", "nothing is shared"),
        ("  traffic: { balance: fastest }\n", "p2c or round_robin"),
        ("  traffic: { hash_on: session }\n", "cookie:NAME"),
        ("  traffic: { breaker: { slow_percent: 5 } }\n", "needs slow_call"),
        ("  traffic: { concurrency: { limit: 0 } }\n", "1 to 1000000"),
    ] {
        let problems = regatta_manifest::Manifest::parse(&text(wrong), "regatta.yaml");
        let problems = problems.unwrap_err().to_string();
        assert!(problems.contains(part), "{wrong}: {problems}");
    }
}
