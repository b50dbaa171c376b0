//! Checks: what each kind finds, what services say of themselves, maintenance.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tonic_health::ServingStatus;

use super::Target;

pub(super) async fn suite(target: &Target) {
    a_service_reports_on_itself(target).await;
    a_silent_service_is_critical(target).await;
    several_checks_are_numbered_and_the_worst_counts(target).await;
    a_tcp_check_follows_the_listener(target).await;
    an_http_check_reads_the_status(target).await;
    a_grpc_check_asks_the_health_service(target).await;
    a_check_of_its_own_belongs_to_a_service_or_the_node(target).await;
    maintenance_takes_a_service_or_the_node_out_and_back(target).await;
}

async fn a_service_reports_on_itself(target: &Target) {
    let body = r#"{"name":"job","check":{"ttl":"1h","notes":"n"}}"#;
    target.done("/v1/agent/service/register", body).await;
    target.until("/v1/health/checks/job", |checks| checks[0]["Status"] == "critical").await;
    target.done("/v1/agent/check/pass/service:job?note=all%20well", "").await;
    target.until("/v1/health/service/job?passing", |found| found[0].is_object()).await;
    let check = &target.get("/v1/agent/checks").await.json()["service:job"];
    assert_eq!((&check["Output"], &check["Notes"]), (&json!("all well"), &json!("n")));
    assert_eq!(
        (&check["Name"], &check["ServiceID"]),
        (&json!("Service 'job' check"), &json!("job"))
    );
    target.done("/v1/agent/check/warn/service:job", "").await;
    target.until("/v1/health/state/warning", |found| found[0]["CheckID"] == "service:job").await;
    let warned = target.get("/v1/agent/health/service/id/job").await;
    assert_eq!(
        (warned.status.as_u16(), &warned.json()["AggregatedStatus"]),
        (429, &json!("warning"))
    );
    let update = r#"{"Status":"passing","Output":"x"}"#;
    target.done("/v1/agent/check/update/service:job", update).await;
    assert_eq!(target.get("/v1/agent/health/service/name/job").await.status, 200);
    target.done("/v1/agent/check/fail/service:job", "").await;
    target.until("/v1/health/state/critical", |found| found[0]["CheckID"] == "service:job").await;
    let failed = target.get("/v1/agent/health/service/name/job?format=text").await;
    assert_eq!((failed.status.as_u16(), failed.text.as_str()), (503, "critical"));
    gone(target, "job").await;
}

async fn a_silent_service_is_critical(target: &Target) {
    let body = r#"{"name":"silent","check":{"ttl":"300ms","status":"passing"}}"#;
    target.done("/v1/agent/service/register", body).await;
    target.until("/v1/health/checks/silent", |checks| checks[0]["Status"] == "critical").await;
    let check = &target.get("/v1/agent/checks").await.json()["service:silent"];
    assert_eq!(check["Output"], "TTL expired");
    target.done("/v1/agent/check/pass/service:silent?note=all+well", "").await;
    let said = "TTL expired (last output before timeout follows): all well";
    let is_said = |checks: &Value| checks["service:silent"]["Output"] == said;
    target.until("/v1/agent/checks", is_said).await;
    gone(target, "silent").await;
}

async fn several_checks_are_numbered_and_the_worst_counts(target: &Target) {
    let body = r#"{"name":"many","checks":[{"ttl":"1h","status":"passing"},
        {"ttl":"1h","name":"second","status":"warning"}]}"#;
    target.done("/v1/agent/service/register", body).await;
    let checks = target.get("/v1/agent/checks").await.json();
    assert_eq!(checks["service:many:1"]["Status"], "passing");
    assert_eq!(checks["service:many:2"]["Name"], "second");
    assert_eq!(target.get("/v1/agent/health/service/id/many").await.status, 429);
    gone(target, "many").await;
}

async fn a_tcp_check_follows_the_listener(target: &Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let body =
        format!(r#"{{"name":"tcp","check":{{"tcp":"{address}","interval":"1s","timeout":"1s"}}}}"#);
    target.done("/v1/agent/service/register", &body).await;
    target.until("/v1/health/service/tcp?passing", |found| found[0].is_object()).await;
    drop(listener);
    target.until("/v1/health/checks/tcp", |checks| checks[0]["Status"] == "critical").await;
    let check = &target.get("/v1/agent/checks").await.json()["service:tcp"];
    assert!(check["Output"].as_str().unwrap().contains("refused"), "{check}");
    gone(target, "tcp").await;
}

async fn an_http_check_reads_the_status(target: &Target) {
    let status = Arc::new(AtomicU16::new(200));
    let address = answering(Arc::clone(&status)).await;
    let body = format!(
        r#"{{"name":"http","check":{{"http":"http://{address}/ready","method":"POST",
            "header":{{"X-Probe":["yes"]}},"interval":"1s","timeout":"500ms"}}}}"#
    );
    target.done("/v1/agent/service/register", &body).await;
    for (answer, expected) in [(200, "passing"), (429, "warning"), (503, "critical")] {
        status.store(answer, Ordering::Relaxed);
        let path = "/v1/health/checks/http";
        target.until(path, |checks| checks[0]["Status"] == expected).await;
        let check = &target.get("/v1/agent/checks").await.json()["service:http"];
        let output = check["Output"].as_str().unwrap();
        assert!(output.contains(&answer.to_string()) && output.contains("said"), "{output}");
    }
    gone(target, "http").await;
}

async fn a_grpc_check_asks_the_health_service(target: &Target) {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop.Orders", ServingStatus::Serving).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(health);
    TaskTracker::new().spawn(server.serve_with_incoming(incoming));
    let body = format!(
        r#"{{"name":"grpc","checks":[
            {{"grpc":"{address}","interval":"1s","timeout":"1s"}},
            {{"grpc":"{address}/shop.Orders","interval":"1s","timeout":"1s"}},
            {{"grpc":"{address}/shop.Nothing","interval":"1s","timeout":"1s"}}]}}"#
    );
    target.done("/v1/agent/service/register", &body).await;
    let statuses = |checks: &serde_json::Value| {
        [1, 2, 3].map(|n| checks[format!("service:grpc:{n}")]["Status"].clone())
    };
    let wanted = [json!("passing"), json!("passing"), json!("critical")];
    target.until("/v1/agent/checks", |checks| statuses(checks) == wanted).await;
    reporter.set_service_status("shop.Orders", ServingStatus::NotServing).await;
    let wanted = [json!("passing"), json!("critical"), json!("critical")];
    target.until("/v1/agent/checks", |checks| statuses(checks) == wanted).await;
    gone(target, "grpc").await;
}

async fn a_check_of_its_own_belongs_to_a_service_or_the_node(target: &Target) {
    target.done("/v1/agent/service/register", r#"{"name":"owner"}"#).await;
    let body = r#"{"name":"extra","serviceid":"owner","ttl":"1h","status":"passing"}"#;
    target.done("/v1/agent/check/register", body).await;
    target.until("/v1/health/checks/owner", |checks| checks[0]["CheckID"] == "extra").await;
    target.done("/v1/agent/check/register", r#"{"name":"disk","id":"d","ttl":"1h"}"#).await;
    target.until("/v1/health/service/owner?passing", |found| found[0].is_null()).await;
    let path = format!("/v1/health/node/{}", target.node);
    target.until(&path, |checks| checks.to_string().contains("\"disk\"")).await;
    let refused = r#"{"name":"c","serviceid":"none","ttl":"10s"}"#;
    let answer = target.put("/v1/agent/check/register", refused).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.text, r#"ServiceID "none" does not exist"#);
    target.done("/v1/agent/check/deregister/d", "").await;
    target.until("/v1/health/service/owner?passing", |found| found[0].is_object()).await;
    target.done("/v1/agent/check/deregister/extra", "").await;
    target.until("/v1/health/checks/owner", |checks| *checks == json!([])).await;
    gone(target, "owner").await;
}

async fn maintenance_takes_a_service_or_the_node_out_and_back(target: &Target) {
    target.done("/v1/agent/service/register", r#"{"name":"kept"}"#).await;
    for (path, id) in [
        ("/v1/agent/service/maintenance/kept", "_service_maintenance:kept"),
        ("/v1/agent/maintenance", "_node_maintenance"),
    ] {
        target.done(&format!("{path}?enable=true&reason=because"), "").await;
        target.until("/v1/health/service/kept?passing", |found| found[0].is_null()).await;
        let check = &target.get("/v1/agent/checks").await.json()[id];
        assert_eq!((&check["Notes"], &check["Status"]), (&json!("because"), &json!("critical")));
        assert_eq!(check["Type"], "maintenance");
        let health = target.get("/v1/agent/health/service/id/kept").await;
        assert_eq!(health.json()["AggregatedStatus"], "maintenance", "{path}");
        target.done(&format!("{path}?enable=false"), "").await;
        target.until("/v1/health/service/kept?passing", |found| found[0].is_object()).await;
    }
    gone(target, "kept").await;
}

async fn gone(target: &Target, service: &str) {
    target.done(&format!("/v1/agent/service/deregister/{service}"), "").await;
    let path = format!("/v1/catalog/service/{service}");
    target.until(&path, |found| *found == json!([])).await;
}

/// A server that answers `POST /ready` with this status, if the probe's header is there.
pub(crate) async fn answering(status: Arc<AtomicU16>) -> SocketAddr {
    let handler = async move |headers: HeaderMap| {
        let asked = headers.get("x-probe").is_some_and(|value| value == "yes");
        let status = if asked { status.load(Ordering::Relaxed) } else { 418 };
        (StatusCode::from_u16(status).unwrap(), "said")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/ready", post(handler));
    TaskTracker::new().spawn(async move { axum::serve(listener, routes).await });
    address
}
