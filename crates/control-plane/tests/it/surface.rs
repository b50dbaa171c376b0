//! The shapes of Consul's API: what clients send, what they read.

use std::io::{Read, Write};

use reqwest::Method;
use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn a_service_is_registered_listed_and_removed() {
    let server = Server::start().await;
    let body = r#"{"name":"web","id":"web-1","address":"10.0.0.1","port":80,"tags":["a","b"]}"#;
    let answer = server.put("/v1/agent/service/register", body).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    assert_eq!(
        server.get("/v1/agent/services").await.json()["web-1"],
        json!({"ID": "web-1", "Service": "web", "Tags": ["a", "b"], "Meta": {}, "Port": 80,
            "Address": "10.0.0.1", "Weights": {"Passing": 1, "Warning": 1},
            "EnableTagOverride": false, "TaggedAddresses": {}}),
    );
    let names = server.get("/v1/catalog/services").await.json();
    assert_eq!(names, json!({"consul": [], "web": ["a", "b"]}));
    let entry = &server.get("/v1/health/service/web").await.json()[0];
    assert_eq!(entry["Node"]["Datacenter"], "dc1");
    assert_eq!(entry["Service"]["Address"], "10.0.0.1");
    assert_eq!(entry["Checks"][0]["CheckID"], "serfHealth");
    assert_eq!(entry["Checks"][0]["ServiceID"], "");
    let entry = &server.get("/v1/catalog/service/web").await.json()[0];
    assert_eq!((&entry["ServicePort"], &entry["ServiceTags"]), (&json!(80), &json!(["a", "b"])));
    server.done("/v1/agent/service/deregister/web-1", "").await;
    assert_eq!(server.get("/v1/agent/services").await.json(), json!({}));
    assert_eq!(server.get("/v1/health/service/web").await.json(), json!([]));
    // Again, as Consul 1.8 has it.
    server.done("/v1/agent/service/deregister/web-1", "").await;
}

#[tokio::test]
async fn keys_are_read_in_any_case_and_null_lists_stay_lists() {
    let server = Server::start().await;
    let body = r#"{"NAME":"web","tags":null,"enabletagoverride":true,
        "tagged_addresses":{"lan":{"address":"a","port":1}},"Meta":{"Some_Key":"v"}}"#;
    server.done("/v1/agent/service/register", body).await;
    let service = &server.get("/v1/agent/services").await.json()["web"];
    assert_eq!(service["Tags"], json!([]));
    assert_eq!(service["EnableTagOverride"], true);
    assert_eq!(service["TaggedAddresses"]["lan"], json!({"Address": "a", "Port": 1}));
    assert_eq!(service["Meta"], json!({"Some_Key": "v"}));
}

#[tokio::test]
async fn errors_are_plain_text_with_consuls_status_and_words() {
    let server = Server::start().await;
    let big = format!(r#"{{"name":"{}"}}"#, "a".repeat(2 << 20));
    for (method, path, body, status, words) in [
        (Method::PUT, "/v1/agent/service/register", "{", 400, "Request decode failed"),
        (Method::PUT, "/v1/agent/service/register", "", 400, "Request decode failed"),
        (Method::PUT, "/v1/agent/service/register", "{}", 400, "Missing service name"),
        (Method::PUT, "/v1/agent/service/register", r#"{"name":"a","x":1}"#, 400, "unknown field"),
        (Method::PUT, "/v1/agent/service/register", big.as_str(), 413, "too large"),
        (Method::POST, "/v1/agent/service/register", "{}", 405, "method POST not allowed"),
        (Method::DELETE, "/v1/agent/services", "", 405, "method DELETE not allowed"),
        (Method::GET, "/v1/agent/service/none", "", 404, "unknown service ID: none"),
        (Method::GET, "/v1/kv/a", "", 404, "not a recognized HTTP API endpoint"),
        (Method::GET, "/v1/catalog/nodes?dc=dc9", "", 500, "No path to datacenter"),
        (Method::GET, "/v1/catalog/nodes?stale&consistent", "", 400, "conflicting semantics"),
        (Method::GET, "/v1/catalog/nodes?index=x", "", 400, "Invalid index"),
        (Method::GET, "/v1/catalog/nodes?index=1&wait=x", "", 400, "Invalid wait time"),
        (Method::GET, "/v1/health/service/a?filter=x", "", 400, "not supported"),
        (Method::GET, "/v1/health/state/fine", "", 400, "Invalid state"),
        (Method::PUT, "/v1/agent/check/pass/none", "", 500, "does not have associated TTL"),
        (Method::PUT, "/v1/agent/check/update/none", r#"{"Status":"x"}"#, 400, "Invalid check"),
        (Method::PUT, "/v1/agent/service/maintenance/none?enable=1", "", 404, "No service"),
        (Method::PUT, "/v1/agent/service/maintenance/none", "", 400, "Missing value for enable"),
        (Method::PUT, "/v1/catalog/register", r#"{"node":"a"}"#, 500, "Must provide node"),
        (Method::PUT, "/v1/catalog/deregister", r#"{"node":"regatta"}"#, 500, "itself"),
    ] {
        let answer = server.call(method.clone(), path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert!(answer.text.contains(words), "{method} {path}: {}", answer.text);
        assert!(answer.header("content-type").starts_with("text/plain"), "{method} {path}");
        if status == 405 {
            assert!(!answer.header("allow").is_empty(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_check_of_an_unknown_service_is_refused() {
    let server = Server::start().await;
    let body = r#"{"name":"c","serviceid":"none","ttl":"10s"}"#;
    let answer = server.put("/v1/agent/check/register", body).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.text, r#"ServiceID "none" does not exist"#);
}

#[tokio::test]
async fn a_service_reports_on_itself_by_a_ttl_check() {
    let server = Server::start().await;
    let body = r#"{"name":"job","check":{"ttl":"1h"}}"#;
    server.done("/v1/agent/service/register", body).await;
    assert!(server.passing("job").await.is_empty(), "critical until the first report");
    server.done("/v1/agent/check/pass/service:job?note=all%20well", "").await;
    assert_eq!(server.passing("job").await, ["job"]);
    let check = &server.get("/v1/agent/checks").await.json()["service:job"];
    assert_eq!((&check["Output"], &check["Type"]), (&json!("all well"), &json!("ttl")));
    server.done("/v1/agent/check/warn/service:job", "").await;
    assert!(server.passing("job").await.is_empty());
    let warned = server.get("/v1/agent/health/service/id/job").await;
    assert_eq!(warned.status, 429);
    let update = r#"{"Status":"passing","Output":"x"}"#;
    server.done("/v1/agent/check/update/service:job", update).await;
    assert_eq!(server.passing("job").await, ["job"]);
    server.done("/v1/agent/check/fail/service:job", "").await;
    let states = server.get("/v1/health/state/critical").await.json();
    assert_eq!(states[0]["CheckID"], "service:job");
    assert_eq!(server.get("/v1/agent/health/service/name/job?format=text").await.text, "critical");
}

#[tokio::test]
async fn maintenance_takes_a_service_or_the_node_out_and_back() {
    let server = Server::start().await;
    server.done("/v1/agent/service/register", r#"{"name":"web"}"#).await;
    for path in ["/v1/agent/service/maintenance/web", "/v1/agent/maintenance"] {
        server.done(&format!("{path}?enable=true&reason=because"), "").await;
        assert!(server.passing("web").await.is_empty(), "{path}");
        let checks = server.get("/v1/agent/checks").await.json();
        assert!(checks.to_string().contains("because"), "{path}");
        server.done(&format!("{path}?enable=false"), "").await;
        assert_eq!(server.passing("web").await, ["web"], "{path}");
    }
}

#[tokio::test]
async fn nodes_of_others_live_in_the_catalog() {
    let server = Server::start().await;
    let body = r#"{"node":"db-1","address":"10.0.0.9","nodemeta":{"rack":"r1"},
        "service":{"service":"db","id":"db-a","port":5432,"tags":["Primary"]},
        "check":{"name":"probe","status":"passing","serviceid":"db-a"}}"#;
    let answer = server.put("/v1/catalog/register", body).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "true"));
    let wanted = "/v1/health/service/db?passing&tag=primary&node-meta=rack:r1";
    assert_eq!(server.get(wanted).await.json().as_array().unwrap().len(), 1);
    assert_eq!(server.get("/v1/health/service/db?tag=replica").await.json(), json!([]));
    assert_eq!(server.get("/v1/health/service/db?node-meta=rack:r2").await.json(), json!([]));
    let node = server.get("/v1/catalog/node/db-1").await.json();
    assert_eq!(node["Services"]["db-a"]["Port"], 5432);
    assert_eq!(server.get("/v1/catalog/node/none").await.text, "null");
    let removal = r#"{"node":"db-1"}"#;
    assert_eq!(server.put("/v1/catalog/deregister", removal).await.text, "true");
    assert_eq!(server.get("/v1/catalog/nodes").await.json().as_array().unwrap().len(), 1);
    assert_eq!(server.get("/v1/health/service/db").await.json(), json!([]));
}

#[tokio::test]
async fn tells_who_it_is_as_consul_does() {
    let server = Server::start().await;
    let own = server.get("/v1/agent/self").await.json();
    let keys: Vec<_> = own.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["Config", "Coord", "DebugConfig", "Member", "Meta", "Stats"]);
    let members = server.get("/v1/agent/members").await.json();
    assert_eq!(members, json!([own["Member"]]));
    let leader = server.get("/v1/status/leader").await.json();
    assert_eq!(leader, own["Stats"]["consul"]["leader_addr"]);
    assert_eq!(server.get("/v1/status/peers").await.json(), json!([leader]));
    assert_eq!(server.get("/v1/catalog/datacenters").await.json(), json!(["dc1"]));
    let states = server.get("/v1/health/state/any").await.json();
    assert_eq!(states.as_array().unwrap().len(), 1, "only serfHealth on an idle agent");
    assert_eq!(server.get("/v1/health/node/regatta").await.json()[0]["CheckID"], "serfHealth");
}

#[tokio::test]
async fn its_own_health_and_metrics_are_beside_consuls_paths() {
    let server = Server::start().await;
    assert_eq!(server.get("/health/live").await.json(), json!({"status": "alive"}));
    assert_eq!(server.get("/health/ready").await.json(), json!({"status": "ready"}));
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("regatta_control_services 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_client_that_sends_no_content_type_and_chunks_is_understood() {
    let server = Server::start().await;
    let address = server.address;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = "PUT /v1/agent/service/register HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let body = "e\r\n{\"name\":\"chip\"\r\n1\r\n}\r\n0\r\n\r\n";
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.passing("chip").await, ["chip"]);
}

#[tokio::test]
async fn one_service_too_many_is_refused_with_the_setting_to_raise() {
    let server = Server::with(|settings| settings.max_services = 2).await;
    server.done("/v1/agent/service/register", r#"{"name":"a"}"#).await;
    let answer = server.put("/v1/agent/service/register", r#"{"name":"b"}"#).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text.contains("max_services"), "{}", answer.text);
    server.done("/v1/agent/service/register", r#"{"name":"a","port":1}"#).await;
}
