//! Copies between our registry and a real Consul, both ways.

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use regatta_control_plane::transfer::{Endpoint, Tally, Transfer, TransferError};
use regatta_testkit::Consul;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::server::Server;

/// Keys of one folder: more than are read together.
const MANY: usize = 150;
/// Bytes of a value that no transaction takes: base64 makes it a third larger.
const LARGE: usize = 500 << 10;
const BINARY: &[u8] = &[0, 255, 10, 13, 128, 0];
const FLAGS: u64 = u64::MAX >> 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_go_to_a_real_consul_and_come_back() {
    let server = Server::start().await;
    let consul = Consul::start().await.unwrap_or_else(|error| panic!("{error}"));
    let (ours, theirs) = (server.address.to_string(), consul.address());
    let there = Api::new(&theirs);
    fill_keys(&server).await;
    let all = MANY as u64 + 6;

    let mut out = Transfer::new(endpoint(&ours), endpoint(&theirs));
    out.dry_run = true;
    let report = out.run().await.unwrap();
    assert_eq!((counts(&report.keys), report.leased), ([all + 1, all, 0, 0], 1));
    assert_eq!(there.get("/v1/kv/shop/?keys").await.status, 404, "a dry run writes nothing");
    out.dry_run = false;
    assert_eq!(counts(&out.run().await.unwrap().keys), [all + 1, all, 0, 0]);
    assert_eq!(counts(&out.run().await.unwrap().keys), [all + 1, 0, all, 0]);
    assert_eq!(raw(&there, "shop/binary").await, BINARY);
    assert_eq!(there.get("/v1/kv/shop/binary").await.json()[0]["Flags"], FLAGS);
    let large = there.get("/v1/kv/shop/large").await.json();
    assert_eq!((raw(&there, "shop/large").await.len(), &large[0]["Flags"]), (LARGE, &json!(7)));
    assert_eq!(there.get("/v1/kv/shop/empty").await.json()[0]["Value"], Value::Null);
    assert_eq!(there.get("/v1/kv/shop/lock").await.status, 404, "the lock of a client");
    let odd = there.put("/v1/txn", r#"[{"KV":{"Verb":"get","Key":"shop//a/../b"}}]"#).await;
    assert_eq!(odd.status, 200, "{}", odd.text);

    // Back, by prefix, into a store that has one of the keys with another value.
    let fresh = Server::start().await;
    fresh.done("/v1/kv/shop/many/7", "own").await;
    fresh.done("/v1/kv/bank/only-here", "1").await;
    let mut import = Transfer::new(endpoint(&theirs), endpoint(&fresh.address.to_string()));
    import.prefix = "shop/".to_owned();
    import.keep = true;
    assert_eq!(counts(&import.run().await.unwrap().keys), [all - 1, all - 2, 0, 1]);
    assert_eq!(raw(&fresh, "shop/many/7").await, b"own");
    import.keep = false;
    assert_eq!(counts(&import.run().await.unwrap().keys), [all - 1, 1, all - 2, 0]);
    assert_eq!(raw(&fresh, "shop/many/7").await, b"7");
    assert_eq!(raw(&fresh, "shop/large").await.len(), LARGE);
    assert_eq!(raw(&fresh, "bank/only-here").await, b"1", "nothing is deleted");
    assert_eq!(fresh.get("/v1/kv/bank/a").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_without_an_agent_go_to_a_real_consul_and_come_back_whole() {
    let server = Server::start().await;
    let consul = Consul::start().await.unwrap_or_else(|error| panic!("{error}"));
    let (ours, theirs) = (server.address.to_string(), consul.address());
    let there = Api::new(&theirs);
    fill_catalog(&server).await;

    let mut out = Transfer::new(endpoint(&ours), endpoint(&theirs));
    out.dry_run = true;
    let report = out.run().await.unwrap();
    assert_eq!((counts(&report.nodes), counts(&report.services)), ([2, 2, 0, 0], [2, 2, 0, 0]));
    assert_eq!(there.get("/v1/catalog/nodes").await.json().as_array().unwrap().len(), 1);
    out.dry_run = false;
    let report = out.run().await.unwrap();
    assert_eq!((counts(&report.nodes), counts(&report.services)), ([2, 2, 0, 0], [2, 2, 0, 0]));
    let report = out.run().await.unwrap();
    assert_eq!((counts(&report.nodes), counts(&report.services)), ([2, 0, 2, 0], [2, 0, 2, 0]));
    is_whole(&there).await;

    let fresh = Server::start().await;
    let body = r#"{"Node":"db-1","Address":"10.9.9.9","Service":{"Service":"db","ID":"db-a"}}"#;
    fresh.done("/v1/catalog/register", body).await;
    let mut back = Transfer::new(endpoint(&theirs), endpoint(&fresh.address.to_string()));
    back.keep = true;
    let report = back.run().await.unwrap();
    assert_eq!((counts(&report.nodes), counts(&report.services)), ([2, 1, 0, 1], [2, 1, 0, 1]));
    let kept = fresh.get("/v1/catalog/node/db-1").await.json();
    assert_eq!(kept["Node"]["Address"], "10.9.9.9");
    assert_eq!(kept["Services"]["db-a"]["Port"], 0);
    back.keep = false;
    let report = back.run().await.unwrap();
    assert_eq!((counts(&report.nodes), counts(&report.services)), ([2, 1, 1, 0], [2, 1, 1, 0]));
    is_whole(&fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_of_an_agent_go_along_unless_they_register_themselves() {
    let server = Server::start().await;
    let consul = Consul::start().await.unwrap_or_else(|error| panic!("{error}"));
    let (ours, theirs) = (server.address.to_string(), consul.address());
    let there = Api::new(&theirs);
    for body in [
        r#"{"Name":"own","Port":1,"Meta":{"incarnation":"17"}}"#,
        r#"{"Name":"plain","Port":2,"Tags":["a"],"Weights":{"Passing":7,"Warning":2}}"#,
        r#"{"Name":"probed","Address":"127.0.0.1","Port":3,"Check":{"TTL":"90m","Notes":"n",
            "Status":"passing"}}"#,
    ] {
        server.done("/v1/agent/service/register", body).await;
    }
    let out = Transfer::new(endpoint(&ours), endpoint(&theirs));
    let report = out.run().await.unwrap();
    let rest = (report.own_services, report.untold_services);
    assert_eq!((counts(&report.services), rest), ([2, 2, 0, 0], (1, 0)));
    let services = there.get("/v1/agent/services").await.json();
    assert_eq!(services["plain"]["Weights"], json!({ "Passing": 7, "Warning": 2 }));
    assert_eq!(services["plain"]["Address"], "127.0.0.1", "where it is, not where Consul is");
    assert_eq!(services.get("own"), None);
    let check = &there.get("/v1/agent/checks").await.json()["service:probed"];
    assert_eq!((&check["Status"], &check["Type"]), (&json!("passing"), &json!("ttl")));
    // Its check is one that can be reported to.
    there.done("/v1/agent/check/pass/service:probed", "").await;
    let report = out.run().await.unwrap();
    assert_eq!(counts(&report.services), [2, 0, 2, 0]);
    server.done("/v1/agent/service/register", r#"{"Name":"plain","Port":4}"#).await;
    let mut keep = out.clone();
    keep.keep = true;
    assert_eq!(counts(&keep.run().await.unwrap().services), [2, 0, 1, 1]);
    assert_eq!(counts(&out.run().await.unwrap().services), [2, 1, 1, 0]);

    // A real Consul does not tell what a check asks, so a service with one stays where it is.
    let fresh = Server::start().await;
    let back = Transfer::new(endpoint(&theirs), endpoint(&fresh.address.to_string()));
    let wait = there.until("/v1/catalog/node/real", |node| node["Services"]["plain"]["Port"] == 4);
    wait.await;
    let report = back.run().await.unwrap();
    assert_eq!((counts(&report.services), report.untold_services), ([1, 1, 0, 0], 1));
    assert_eq!(fresh.get("/v1/agent/services").await.json()["plain"]["Port"], 4);
}

#[tokio::test]
async fn a_server_that_is_no_consul_is_told_before_anything_is_done() {
    let server = Server::start().await;
    server.done("/v1/kv/a", "1").await;
    let leader = || Router::new().route("/v1/status/leader", get(async || "\"10.0.0.1:8300\""));
    let lists = |list: &'static str| {
        leader()
            .route("/v1/kv/", get(async move || list))
            .route("/v1/txn", axum::routing::put(async || "{}"))
    };
    for (routes, said) in [
        (Router::new(), "404"),
        (Router::new().fallback(async || "\"\""), "no leader"),
        (Router::new().fallback(async || "{}"), "no Consul"),
        (Router::new().fallback(async || "<html>"), "no JSON"),
        (leader(), "404"),
        (lists("[]"), "no results"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = endpoint(&listener.local_addr().unwrap().to_string());
        TaskTracker::new().spawn(async move { axum::serve(listener, routes).await });
        let own = endpoint(&server.address.to_string());
        let error = Transfer::new(own, other.clone()).run().await.unwrap_err();
        assert!(matches!(&error, TransferError::Refused { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(said) && text.contains(&other.to_string()), "{text}");
    }
}

fn endpoint(address: &str) -> Endpoint {
    format!("consul://{address}").parse().unwrap()
}

fn counts(of: &Tally) -> [u64; 4] {
    [of.found, of.written, of.unchanged, of.kept]
}

async fn raw(api: &Api, key: &str) -> Vec<u8> {
    let url = format!("http://{}/v1/kv/{key}?raw", api.address);
    api.client.get(url).send().await.unwrap().bytes().await.unwrap().to_vec()
}

async fn fill_keys(server: &Server) {
    let many = (0..MANY).map(|number| async move {
        server.done(&format!("/v1/kv/shop/many/{number}"), &number.to_string()).await;
    });
    futures::future::join_all(many).await;
    let put = async |path: &str, value: Vec<u8>| {
        let url = format!("http://{}/v1/kv/{path}", server.address);
        let answer = server.client.put(url).body(value).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap().trim(), "true");
    };
    put(&format!("shop/binary?flags={FLAGS}"), BINARY.to_vec()).await;
    put("shop/large?flags=7", vec![b'x'; LARGE]).await;
    put("shop/empty", Vec::new()).await;
    put("shop/", b"a folder that is a key".to_vec()).await;
    put("bank/a", b"1".to_vec()).await;
    // No path can carry this one.
    let set = json!([{ "KV": { "Verb": "set", "Key": "shop//a/../b",
        "Value": BASE64_STANDARD.encode("odd") } }]);
    server.done("/v1/txn", &set.to_string()).await;
    let session = server.put("/v1/session/create", "{}").await.json();
    let id = session["ID"].as_str().unwrap();
    put(&format!("shop/lock?acquire={id}"), b"mine".to_vec()).await;
}

async fn fill_catalog(server: &Server) {
    let db = json!({
        "Node": "db-1", "Address": "10.0.0.9", "NodeMeta": { "rack": "r1" },
        "TaggedAddresses": { "wan": "1.2.3.4" },
        "Service": {
            "Service": "db", "ID": "db-a", "Port": 5432, "Tags": ["primary"],
            "Meta": { "m": "1" }, "Weights": { "Passing": 7, "Warning": 3 },
            "EnableTagOverride": true,
            "TaggedAddresses": { "wan": { "Address": "1.2.3.4", "Port": 99 } },
        },
        "Checks": [
            { "Node": "db-1", "CheckID": "probe", "Name": "Probe", "Status": "warning",
              "Notes": "n", "Output": "o", "ServiceID": "db-a",
              "Definition": { "TCP": "10.0.0.9:5432", "Interval": "30s", "Timeout": "5s" } },
            { "Node": "db-1", "CheckID": "ping", "Name": "Ping", "Status": "passing" },
        ],
    });
    let more = json!({ "Node": "db-1", "SkipNodeUpdate": true, "Service": { "Service": "more" } });
    let router = json!({ "Node": "router", "Address": "10.0.0.1",
        "Check": { "Node": "router", "CheckID": "ping", "Name": "Ping", "Status": "critical" } });
    for body in [db, more, router] {
        server.done("/v1/catalog/register", &body.to_string()).await;
    }
}

/// Whether everything of the catalog that was filled is here.
async fn is_whole(api: &Api) {
    let node = api.get("/v1/catalog/node/db-1").await.json();
    assert_eq!(node["Node"]["Address"], "10.0.0.9");
    assert_eq!(node["Node"]["Meta"], json!({ "rack": "r1" }));
    assert_eq!(node["Node"]["TaggedAddresses"], json!({ "wan": "1.2.3.4" }));
    let db = &node["Services"]["db-a"];
    assert_eq!(db["Weights"], json!({ "Passing": 7, "Warning": 3 }));
    assert_eq!((&db["EnableTagOverride"], &db["Meta"]["m"]), (&json!(true), &json!("1")));
    assert_eq!(db["TaggedAddresses"]["wan"], json!({ "Address": "1.2.3.4", "Port": 99 }));
    let checks = api.get("/v1/health/node/db-1").await.json();
    let check = |id: &str| {
        let mut checks = checks.as_array().unwrap().iter();
        checks.find(|check| check["CheckID"] == id).unwrap_or_else(|| panic!("{checks:?}")).clone()
    };
    let (probe, ping) = (check("probe"), check("ping"));
    assert_eq!((&probe["Status"], &probe["ServiceID"]), (&json!("warning"), &json!("db-a")));
    assert_eq!(probe["Definition"]["TCP"], "10.0.0.9:5432");
    assert_eq!((&ping["Status"], &ping["ServiceID"]), (&json!("passing"), &json!("")));
    let router = api.get("/v1/health/node/router").await.json();
    assert_eq!(router[0]["Status"], "critical");
}
