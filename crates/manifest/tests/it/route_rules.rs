//! Limits and versions of single routes, and what is wrong with them.

use regatta_manifest::{LimitKey, OnOutage};

use super::*;

const VERSIONED: &str =
    "  user-service:\n    run: { cargo: user-service }\n    versions: { v1: 90, canary: 0 }\n";

fn text(gateway: &str) -> String {
    format!("{}\ngateway:\n{gateway}\n", services(VERSIONED))
}

fn route(rules: &str) -> String {
    text(&format!("  routes: [{{ path: /user-service/**, {rules} }}]"))
}

#[test]
fn a_limit_is_a_rate_or_a_rate_with_what_differs_from_the_gateways() {
    let own = parse(&route("rate_limit: 5/min")).gateway.routes[0].rate_limit.clone().unwrap();
    assert_eq!((own.per_client.to_string().as_str(), own.key), ("5/min", None));
    assert_eq!((own.burst, own.on_outage, own.max_bytes), (None, None, None));
    let rules = "rate_limit: { per_client: 100/10s, key: header:X-Tenant, burst: 7, max_bytes: 2MiB, \
                 on_outage: refuse }";
    let shared = format!(
        "  limits: {{ url: redis://h }}\n  routes: [{{ path: /user-service/**, {rules} }}]"
    );
    let own = parse(&text(&shared)).gateway.routes[0].rate_limit.clone().unwrap();
    assert_eq!((own.per_client.count.get(), own.burst), (100, Some(7)));
    assert_eq!(own.key, Some(LimitKey::Header("x-tenant".into())));
    assert_eq!((own.on_outage, own.max_bytes), (Some(OnOutage::Refuse), Some(2 << 20)));
}

#[test]
fn a_version_of_the_service_may_have_no_weight() {
    let manifest = parse(&route("version: canary"));
    assert_eq!(manifest.gateway.routes[0].version.as_deref(), Some("canary"));
    let any = "  routes: [{ path: /order-service/**, version: v7 }]";
    let orders = format!("{VERSIONED}  order-service:\n    run: {{ cargo: order-service }}\n");
    let text = format!("{}\ngateway:\n{any}\n", services(&orders));
    assert_eq!(parse(&text).gateway.routes[0].version.as_deref(), Some("v7"));
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_remedy() {
    for (rules, part) in [
        ("version: v3", "gateway.routes[0].version: `user-service` has no `v3`"),
        ("version: canry", "did you mean `canary`?"),
        ("version: experimental", "services.user-service.versions, with 0 for no other traffic"),
        ("version: -v2", "`-v2` is not a version"),
        ("rate_limit: often", "gateway.routes[0].rate_limit: `often` is not a rate"),
        ("rate_limit: {}", "gateway.routes[0].rate_limit has no rate; write `per_client: 5/min`"),
        ("rate_limit: { per_client: 5/min, key: cookie }", "header:x-tenant"),
        ("rate_limit: { per_client: 5/min, key: user }", "without `auth`"),
        ("rate_limit: { per_client: 5/min, burst: 5 }", "use 1 to 4"),
        ("rate_limit: { per_client: 5/min, on_outage: admit }", "nothing is shared"),
        ("rate_limit: { per_client: 5/min, max_bytes: 1KiB }", "use 1MiB to 64GiB"),
        ("rate_limit: { per_client: 5/min, brust: 2 }", "did you mean `burst`"),
    ] {
        let problems = regatta_manifest::Manifest::parse(&route(rules), "regatta.yaml");
        let problems = problems.unwrap_err().to_string();
        assert!(problems.contains(part), "{rules}: {problems}");
    }
}
