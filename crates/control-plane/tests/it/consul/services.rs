//! Services of the agent, as it lists them and as the catalog does.

use serde_json::json;
use tokio_util::task::TaskTracker;

use super::Target;

pub(super) async fn suite(target: &Target) {
    a_service_is_registered_listed_and_removed(target).await;
    keys_are_read_in_any_case_and_null_is_absent(target).await;
    registering_again_replaces(target).await;
    an_id_is_any_text(target).await;
    queries_select_by_tags_and_health(target).await;
    a_definition_has_a_hash_whose_change_can_be_waited_for(target).await;
}

async fn a_definition_has_a_hash_whose_change_can_be_waited_for(target: &Target) {
    target.done("/v1/agent/service/register", r#"{"name":"hashed","port":1}"#).await;
    let path = "/v1/agent/service/hashed";
    let answer = target.get(path).await;
    let hash = answer.json()["ContentHash"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("x-consul-contenthash"), hash);
    let waited = target.get(&format!("{path}?hash={hash}&wait=50ms")).await.json();
    assert_eq!(waited["ContentHash"], json!(hash));
    let other = target.get(&format!("{path}?hash=other&wait=20s")).await.json();
    assert_eq!(other["ContentHash"], json!(hash));
    let (api, query) = (target.api.clone(), format!("{path}?hash={hash}&wait=20s"));
    let waiting = TaskTracker::new().spawn(async move { api.get(&query).await.json() });
    target.done("/v1/agent/service/register", r#"{"name":"hashed","port":2}"#).await;
    let changed = waiting.await.unwrap();
    assert_eq!(changed["Port"], 2);
    assert_ne!(changed["ContentHash"], json!(hash));
    target.done("/v1/agent/service/deregister/hashed", "").await;
    assert_eq!(target.get(&format!("{path}?hash={hash}")).await.status, 404);
}

async fn a_service_is_registered_listed_and_removed(target: &Target) {
    let body = r#"{"name":"web","id":"web-1","address":"10.0.0.1","port":80,"tags":["a","b"]}"#;
    let answer = target.put("/v1/agent/service/register", body).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    let own = json!({"Address": "10.0.0.1", "Port": 80});
    assert_eq!(
        target.get("/v1/agent/services").await.json()["web-1"],
        json!({"ID": "web-1", "Service": "web", "Tags": ["a", "b"], "Meta": {}, "Port": 80,
            "Address": "10.0.0.1", "Weights": {"Passing": 1, "Warning": 1},
            "EnableTagOverride": false, "TaggedAddresses": {"lan_ipv4": own, "wan_ipv4": own}}),
    );
    let one = target.get("/v1/agent/service/web-1").await.json();
    assert_eq!((&one["ID"], &one["Service"]), (&json!("web-1"), &json!("web")));
    let names = target.until("/v1/catalog/services", |names| names["web"].is_array()).await;
    let mut tags: Vec<_> = names["web"].as_array().unwrap().clone();
    tags.sort_by_key(ToString::to_string);
    assert_eq!((&names["consul"], tags), (&json!([]), vec![json!("a"), json!("b")]));
    let entry = &target.get("/v1/health/service/web").await.json()[0];
    assert_eq!(entry["Node"]["Datacenter"], "dc1");
    assert_eq!(entry["Service"]["Address"], "10.0.0.1");
    assert_eq!(entry["Checks"][0]["CheckID"], "serfHealth");
    assert_eq!(entry["Checks"][0]["ServiceID"], "");
    let entry = &target.get("/v1/catalog/service/web").await.json()[0];
    assert_eq!((&entry["ServicePort"], &entry["ServiceTags"]), (&json!(80), &json!(["a", "b"])));
    target.done("/v1/agent/service/deregister/web-1", "").await;
    assert_eq!(target.get("/v1/agent/services").await.json(), json!({}));
    target.until("/v1/health/service/web", |found| *found == json!([])).await;
    // Again, as Consul 1.8 has it.
    target.done("/v1/agent/service/deregister/web-1", "").await;
}

async fn keys_are_read_in_any_case_and_null_is_absent(target: &Target) {
    let body = r#"{"NAME":"web","tags":null,"check":null,"enabletagoverride":true,
        "tagged_addresses":{"lan":{"address":"a","port":1}},"Meta":{"Some_Key":"v"}}"#;
    target.done("/v1/agent/service/register", body).await;
    let service = &target.get("/v1/agent/services").await.json()["web"];
    assert_eq!(service["Tags"], json!([]));
    assert_eq!(service["EnableTagOverride"], true);
    assert_eq!(service["TaggedAddresses"]["lan"], json!({"Address": "a", "Port": 1}));
    assert_eq!(service["Meta"], json!({"Some_Key": "v"}));
    target.done("/v1/agent/service/deregister/web", "").await;
}

async fn registering_again_replaces(target: &Target) {
    for port in [1, 2] {
        let body = format!(r#"{{"name":"again","port":{port},"tags":["t{port}"]}}"#);
        target.done("/v1/agent/service/register", &body).await;
        let path = "/v1/catalog/service/again";
        let found = target.until(path, |found| found[0]["ServicePort"] == port).await;
        assert_eq!(found.as_array().unwrap().len(), 1);
        assert_eq!(found[0]["ServiceTags"], json!([format!("t{port}")]));
    }
    target.done("/v1/agent/service/deregister/again", "").await;
}

async fn an_id_is_any_text(target: &Target) {
    for (id, escaped) in
        [("a/b", "a%2Fb"), ("a#127.0.0.1#80", "a%23127.0.0.1%2380"), ("ü b", "%C3%BC%20b")]
    {
        let body = json!({"name": "ids", "id": id}).to_string();
        target.done("/v1/agent/service/register", &body).await;
        assert_eq!(target.get(&format!("/v1/agent/service/{escaped}")).await.json()["ID"], id);
        target.done(&format!("/v1/agent/service/deregister/{escaped}"), "").await;
        assert_eq!(target.get(&format!("/v1/agent/service/{escaped}")).await.status, 404);
    }
}

async fn queries_select_by_tags_and_health(target: &Target) {
    for (id, tags, status) in
        [("s1", "\"x\",\"y\"", "passing"), ("s2", "\"x\"", "critical"), ("s3", "\"X\"", "warning")]
    {
        let body = format!(
            r#"{{"name":"chosen","id":"{id}","tags":[{tags}],"check":{{"ttl":"1h","status":"{status}"}}}}"#
        );
        target.done("/v1/agent/service/register", &body).await;
    }
    target
        .until("/v1/health/service/chosen", |all| all.as_array().is_some_and(|all| all.len() == 3))
        .await;
    for (query, wanted) in [
        ("", &["s1", "s2", "s3"][..]),
        ("?passing", &["s1"]),
        ("?passing=True", &["s1"]),
        ("?passing=false", &["s1", "s2", "s3"]),
        ("?tag=x", &["s1", "s2", "s3"]),
        ("?tag=x&tag=y", &["s1"]),
        ("?tag=x&passing=1", &["s1"]),
        ("?tag=", &[]),
        ("?tag=z", &[]),
        ("?near=_agent", &["s1", "s2", "s3"]),
        ("?node-meta=consul-network-segment:", &["s1", "s2", "s3"]),
        ("?node-meta=rack:r1", &[]),
        ("?dc=dc1&stale&token=x", &["s1", "s2", "s3"]),
    ] {
        let found = target.get(&format!("/v1/health/service/chosen{query}")).await.json();
        let mut ids: Vec<_> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["Service"]["ID"].as_str().unwrap())
            .collect();
        // Sorted but for `near`.
        ids.sort_unstable();
        assert_eq!(ids, wanted, "{query}");
    }
    for id in ["s1", "s2", "s3"] {
        target.done(&format!("/v1/agent/service/deregister/{id}"), "").await;
    }
}
