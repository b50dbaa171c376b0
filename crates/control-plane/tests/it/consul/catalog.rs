//! The catalog: nodes of others, with what is on them.

use serde_json::json;

use super::Target;

pub(super) async fn suite(target: &Target) {
    an_external_node_is_listed_with_its_service(target).await;
    a_node_is_found_in_any_case_and_its_update_may_be_skipped(target).await;
    parts_of_a_node_are_removed_alone_and_together(target).await;
    a_check_of_another_keeps_what_it_asks(target).await;
}

async fn a_check_of_another_keeps_what_it_asks(target: &Target) {
    let body = r#"{"Node":"ext","Address":"10.0.0.8","Check":{"CheckID":"web","Name":"web",
        "Definition":{"HTTP":"http://10.0.0.8/","Interval":"10s","Timeout":"5s"}}}"#;
    target.done("/v1/catalog/register", body).await;
    let definition = &target.get("/v1/health/node/ext").await.json()[0]["Definition"];
    assert_eq!(definition["HTTP"], "http://10.0.0.8/");
    assert_eq!((&definition["Interval"], &definition["Timeout"]), (&json!("10s"), &json!("5s")));
    target.done("/v1/catalog/deregister", r#"{"Node":"ext"}"#).await;
}

async fn an_external_node_is_listed_with_its_service(target: &Target) {
    let body = r#"{"node":"db-1","address":"10.0.0.9","nodemeta":{"rack":"r1"},
        "service":{"service":"db","id":"db-a","port":5432,"tags":["Primary"]},
        "check":{"name":"probe","status":"passing","serviceid":"db-a"}}"#;
    let answer = target.put("/v1/catalog/register", body).await;
    assert_eq!((answer.status.as_u16(), answer.text.trim()), (200, "true"));
    let wanted = "/v1/health/service/db?passing&tag=primary&node-meta=rack:r1";
    let found = target.get(wanted).await.json();
    assert_eq!(found[0]["Checks"][0]["Status"], "passing");
    assert_eq!(found[0]["Node"]["Meta"], json!({"rack": "r1"}));
    assert_eq!(target.get("/v1/health/service/db?tag=replica").await.json(), json!([]));
    assert_eq!(target.get("/v1/health/service/db?node-meta=rack:r2").await.json(), json!([]));
    for path in ["/v1/health/checks/db", "/v1/health/state/any"] {
        let on =
            async |rack: &str| target.get(&format!("{path}?node-meta=rack:{rack}")).await.json();
        assert_eq!(on("r1").await[0]["Name"], "probe", "{path}");
        assert_eq!(on("r2").await, json!([]), "{path}");
    }
    let nodes = target.get("/v1/catalog/nodes?node-meta=rack:r1").await.json();
    assert_eq!((&nodes[0]["Node"], &nodes[0]["Address"]), (&json!("db-1"), &json!("10.0.0.9")));
    let names = target.get("/v1/catalog/services?node-meta=rack:r1").await.json();
    assert_eq!(names, json!({"db": ["Primary"]}));
    assert_eq!(target.get("/v1/catalog/node/none").await.text.trim(), "null");
}

async fn a_node_is_found_in_any_case_and_its_update_may_be_skipped(target: &Target) {
    let node = target.get("/v1/catalog/node/DB-1").await.json();
    assert_eq!(node["Services"]["db-a"]["Port"], 5432);
    let list = target.get("/v1/catalog/node-services/db-1").await.json();
    assert_eq!(list["Services"][0]["ID"], "db-a");
    assert_eq!(target.get("/v1/health/node/Db-1").await.json()[0]["CheckID"], "probe");
    let body = r#"{"node":"db-1","address":"1.1.1.1","skipnodeupdate":true,
        "service":{"service":"more"}}"#;
    target.done("/v1/catalog/register", body).await;
    let node = target.get("/v1/catalog/node/db-1").await.json();
    assert_eq!(node["Node"]["Address"], "10.0.0.9");
    assert_eq!(node["Services"]["more"]["Service"], "more");
}

async fn parts_of_a_node_are_removed_alone_and_together(target: &Target) {
    let removed = async |body: &str| {
        assert_eq!(target.put("/v1/catalog/deregister", body).await.text.trim(), "true");
    };
    removed(r#"{"node":"db-1","checkid":"probe"}"#).await;
    assert_eq!(target.get("/v1/health/checks/db").await.json(), json!([]));
    removed(r#"{"node":"db-1","serviceid":"db-a"}"#).await;
    assert_eq!(target.get("/v1/catalog/service/db").await.json(), json!([]));
    removed(r#"{"node":"db-1"}"#).await;
    assert_eq!(target.get("/v1/catalog/nodes").await.json().as_array().unwrap().len(), 1);
    assert_eq!(target.get("/v1/catalog/service/more").await.json(), json!([]));
    removed(r#"{"node":"db-1"}"#).await;
}
