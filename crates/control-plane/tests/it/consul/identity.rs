//! Who a client talks to: the agent, its members, the leader.

use serde_json::json;

use super::Target;

pub(super) async fn suite(target: &Target) {
    let own = target.get("/v1/agent/self").await.json();
    for key in ["Config", "Coord", "DebugConfig", "Member", "Meta", "Stats"] {
        assert!(own[key].is_object(), "{key}");
    }
    assert_eq!(own["Config"]["Datacenter"], "dc1");
    assert_eq!(own["Config"]["Version"], "1.8.7");
    assert_eq!(own["Config"]["Server"], true);
    let members = target.get("/v1/agent/members").await.json();
    assert_eq!(members, json!([own["Member"]]));
    assert_eq!(members[0]["Status"], 1);
    assert_eq!(target.get("/v1/agent/members?segment=_all").await.json(), members);
    let wide = target.get("/v1/agent/members?wan=1").await.json();
    assert_eq!(wide[0]["Name"], format!("{}.dc1", target.node));
    let leader = target.get("/v1/status/leader").await.json();
    assert_eq!(leader, own["Stats"]["consul"]["leader_addr"]);
    assert_eq!(target.get("/v1/status/peers").await.json(), json!([leader]));
    assert_eq!(target.get("/v1/catalog/datacenters").await.json(), json!(["dc1"]));
    let states = target.get("/v1/health/state/any").await.json();
    assert_eq!(states.as_array().unwrap().len(), 1, "only serfHealth on an idle agent");
    let path = format!("/v1/health/node/{}", target.node);
    assert_eq!(target.get(&path).await.json()[0]["CheckID"], "serfHealth");
    assert_eq!(target.get("/v1/agent/services").await.json(), json!({}));
    assert_eq!(target.get("/").await.text, "Consul Agent");
}
