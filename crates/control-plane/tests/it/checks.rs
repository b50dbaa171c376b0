//! Health checks of real listeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::server::Server;

#[tokio::test]
async fn a_tcp_check_runs_at_once_and_follows_the_listener() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let body = format!(r#"{{"name":"web","check":{{"tcp":"{address}","interval":"1s"}}}}"#);
    let asked = tokio::time::Instant::now();
    server.done("/v1/agent/service/register", &body).await;
    server.until("/v1/health/service/web?passing", |found| found[0].is_object()).await;
    // Far less than the interval, were it not for slow machines.
    assert!(asked.elapsed() < Duration::from_secs(1), "took {:?}", asked.elapsed());
    drop(listener);
    server.until("/v1/health/service/web?passing", |found| found[0].is_null()).await;
    let check = &server.get("/v1/agent/checks").await.json()["service:web"];
    assert!(check["Output"].as_str().unwrap().contains("refused"), "{check}");
    let _listener = TcpListener::bind(address).await.unwrap();
    server.until("/v1/health/service/web?passing", |found| found[0].is_object()).await;
}

#[tokio::test]
async fn an_http_check_sends_its_method_and_header_and_reads_the_status() {
    let server = Server::start().await;
    let status = Arc::new(AtomicU16::new(200));
    let address = answering(Arc::clone(&status)).await;
    let body = format!(
        r#"{{"name":"web","check":{{"http":"http://{address}/ready","method":"POST",
            "header":{{"X-Probe":["yes"]}},"interval":"1s","timeout":"500ms"}}}}"#
    );
    server.done("/v1/agent/service/register", &body).await;
    for (answer, expected) in [(200, "passing"), (429, "warning"), (503, "critical")] {
        status.store(answer, Ordering::Relaxed);
        let path = "/v1/health/checks/web";
        let checks = server.until(path, |checks| checks[0]["Status"] == expected).await;
        let output = checks[0]["Output"].as_str().unwrap();
        assert!(output.contains(&answer.to_string()) && output.contains("said"), "{output}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_critical_after_the_timeout() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let body = format!(
        r#"{{"name":"web","check":{{"http":"{url}","interval":"1s","timeout":"50ms",
            "status":"passing"}}}}"#
    );
    server.done("/v1/agent/service/register", &body).await;
    let path = "/v1/health/checks/web";
    let checks = server.until(path, |checks| checks[0]["Status"] == "critical").await;
    assert!(!checks[0]["Output"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_service_that_stays_silent_or_critical_for_too_long_is_deregistered() {
    let server = Server::with(|s| s.min_deregister_after = Duration::from_millis(1)).await;
    let body = r#"{"name":"job","check":{"ttl":"50ms","status":"passing",
        "DeregisterCriticalServiceAfter":"100ms"}}"#;
    server.done("/v1/agent/service/register", body).await;
    let lasting = r#"{"name":"other","check":{"ttl":"50ms","status":"passing"}}"#;
    server.done("/v1/agent/service/register", lasting).await;
    server.until("/v1/agent/services", |found| found["job"].is_null()).await;
    let checks = server.until("/v1/agent/checks", |c| c["service:other"]["Status"] == "critical");
    assert_eq!(checks.await["service:other"]["Output"], "TTL expired");
    assert!(server.get("/v1/agent/services").await.json()["other"].is_object());
}

/// Each took a sync of its own, one after the other.
#[tokio::test]
async fn services_that_fall_silent_together_are_written_together() {
    let server = Server::start().await;
    for service in ["a", "b", "c", "d"] {
        let checks: Vec<_> = (0..64)
            .map(|number| {
                let id = format!("{service}-{number}");
                serde_json::json!({"CheckID": id, "TTL": "500ms", "Status": "passing"})
            })
            .collect();
        let body = serde_json::json!({"Name": service, "Checks": checks}).to_string();
        server.done("/v1/agent/service/register", &body).await;
    }
    let before = syncs(&server).await;
    let all = |found: &serde_json::Value| found.as_array().is_some_and(|found| found.len() == 256);
    server.until("/v1/health/state/critical", all).await;
    let taken = syncs(&server).await - before;
    assert!(taken <= 64, "{taken} syncs");
    let metrics = server.get("/metrics").await.text;
    let line = "check_results_total{kind=\"ttl\",status=\"critical\"} 256\n";
    assert!(metrics.contains(line), "{metrics}");
}

/// How many groups were written and synced.
async fn syncs(server: &Server) -> u64 {
    let metrics = server.get("/metrics").await.text;
    let mut lines = metrics.lines();
    let count =
        lines.find_map(|line| line.strip_prefix("regatta_store_sync_seconds_count ")).unwrap();
    count.parse().unwrap()
}

/// The second silence was noticed only when some other check was due: nothing woke the runner.
#[tokio::test]
async fn a_service_that_speaks_up_again_and_falls_silent_again_is_critical_again() {
    let server = Server::start().await;
    let body = r#"{"name":"job","check":{"ttl":"50ms"}}"#;
    server.done("/v1/agent/service/register", body).await;
    for round in ["first", "second"] {
        let path = "/v1/agent/checks";
        let expired = |checks: &serde_json::Value| {
            let said = checks["service:job"]["Output"].as_str().unwrap_or_default();
            said.starts_with("TTL expired")
        };
        server.until(path, expired).await;
        server.done(&format!("/v1/agent/check/pass/service:job?note={round}"), "").await;
    }
    server.until("/v1/health/state/critical", |found| found[0].is_object()).await;
}

#[tokio::test]
async fn checks_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::at(([127, 0, 0, 1], 0).into(), folder.path()).await;
    let body = format!(r#"{{"name":"web","check":{{"tcp":"{address}","interval":"1s"}}}}"#);
    server.done("/v1/agent/service/register", &body).await;
    server.until("/v1/health/service/web?passing", |found| found[0].is_object()).await;
    server.stop().await;
    let server = Server::at(([127, 0, 0, 1], 0).into(), folder.path()).await;
    assert_eq!(server.passing("web").await, ["web"], "as it was before the restart");
    drop(listener);
    server.until("/v1/health/service/web?passing", |found| found[0].is_null()).await;
}

/// A server that answers `POST /ready` with this status, if the probe's header is there.
async fn answering(status: Arc<AtomicU16>) -> SocketAddr {
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
