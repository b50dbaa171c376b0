//! Filter expressions.

use serde_json::Value;

use super::Target;

pub(super) async fn suite(target: &Target) {
    let register = "/v1/agent/service/register";
    for body in [
        r#"{"ID":"f1","Name":"fil","Address":"10.1.1.1","Port":80,"Tags":["a","b"],
            "Meta":{"v":"1","x-y":"z"},"Check":{"TTL":"1h","Status":"passing"}}"#,
        r#"{"ID":"f2","Name":"fil","Port":81,"Tags":["b"],"Meta":{"v":"2"},
            "Check":{"TTL":"1h","Status":"critical"}}"#,
        r#"{"ID":"f3","Name":"fil"}"#,
    ] {
        target.done(register, body).await;
    }
    target.until("/v1/health/service/fil", |found| found[2].is_object()).await;
    instances_are_filtered(target).await;
    every_list_of_rows_is_filtered(target).await;
    what_is_no_expression_is_refused(target).await;
    what_has_no_rows_ignores_it(target).await;
}

async fn instances_are_filtered(target: &Target) {
    for (expression, wanted) in [
        ("Service.Port == 80", "f1"),
        (r#"Service.Port != "80""#, "f2 f3"),
        (r#"Service.Meta["x-y"] == z"#, "f1"),
        ("Service.Meta.v != 1", "f2 f3"),
        ("Service.Meta is empty", "f3"),
        ("v in Service.Meta", "f1 f2"),
        ("a not in Service.Tags", "f2 f3"),
        ("Service.Tags contains b and not Service.ID == f1", "f2"),
        ("Service.ID == f1 or Service.ID == f2 and Service.Port == 80", "f1"),
        (r#"Service.ID matches "f[12]""#, "f1 f2"),
        ("Checks.Status == critical", "f2"),
        ("Checks.Status != critical", "f1 f2 f3"),
        (r#"Service.TaggedAddresses.lan_ipv4.Address == "10.1.1.1""#, "f1"),
        ("Node.Datacenter == dc1", "f1 f2 f3"),
    ] {
        let found = target.get(&path("health/service/fil", expression)).await.json();
        let ids: Vec<_> =
            found.as_array().unwrap().iter().map(|row| &row["Service"]["ID"]).collect();
        let ids: Vec<_> = ids.into_iter().map(|id| id.as_str().unwrap()).collect();
        assert_eq!(ids.join(" "), wanted, "{expression}");
    }
}

async fn every_list_of_rows_is_filtered(target: &Target) {
    let node = |path: &str| format!("{path}/{}", target.node);
    for (list, expression, wanted) in [
        ("agent/services".to_owned(), "ID == f1", 1),
        ("agent/checks".to_owned(), "ServiceID == f2", 1),
        ("catalog/nodes".to_owned(), "Node == none", 0),
        ("catalog/service/fil".to_owned(), "ServicePort == 81 or ServiceMeta.v == 1", 2),
        ("health/checks/fil".to_owned(), "Status == critical", 1),
        ("health/state/any".to_owned(), "ServiceName == fil", 2),
        (node("health/node"), "CheckID == serfHealth", 1),
    ] {
        let found = target.get(&path(&list, expression)).await.json();
        let count = found.as_array().map(Vec::len).or(found.as_object().map(|rows| rows.len()));
        assert_eq!(count, Some(wanted), "{list}: {found}");
    }
    let found = target.get(&path(&node("catalog/node"), "ID == f3")).await.json();
    assert!(found["Node"].is_object() && found["Services"]["f3"].is_object(), "{found}");
    assert_eq!(found["Services"].as_object().unwrap().len(), 1, "{found}");
}

async fn what_is_no_expression_is_refused(target: &Target) {
    for expression in
        ["bad(", "Service.ID", "Nope == 1", "Service.Port == abc", "Service.Tags == a"]
    {
        let answer = target.get(&path("health/service/fil", expression)).await;
        assert_eq!(answer.status, 500, "{expression}");
        let words = "Failed to create boolean expression evaluator: ";
        assert!(answer.text.starts_with(words), "{expression}: {}", answer.text);
    }
}

async fn what_has_no_rows_ignores_it(target: &Target) {
    let names = target.get(&path("catalog/services", "bad(")).await.json();
    assert!(matches!(&names["fil"], Value::Array(tags) if tags.len() == 2), "{names}");
    assert_eq!(target.get(&path("session/list", "bad(")).await.text.trim(), "[]");
}

fn path(list: &str, expression: &str) -> String {
    let escaped: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("/v1/{list}?filter={escaped}")
}
