//! Calls that go out.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use regatta_core::{Context, Deadline, TraceContext};
use regatta_telemetry::client::{ClientSpan, Outgoing};
use regatta_telemetry::{ATTEMPT_COUNT, Identity, Options, Telemetry};

#[tokio::test]
async fn a_call_carries_trace_state_baggage_request_id_and_what_is_left_of_the_deadline() {
    let headers = injected(context(), |it| it).await;
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let trace: TraceContext = text("traceparent").parse().unwrap();
    assert_eq!(trace.trace_id(), 5);
    assert_ne!(trace.span_id(), 6);
    assert_eq!(text("tracestate"), "vendor=1");
    assert_eq!(text("baggage"), "tenant=a");
    assert_eq!(text("x-request-id"), "r-1");
    let left = text("x-envoy-expected-rq-timeout-ms").parse::<u64>().unwrap();
    assert!((9_000..=10_000).contains(&left), "{left}");
    assert_eq!(text("x-envoy-attempt-count"), "1");
}

#[tokio::test]
async fn a_grpc_call_carries_grpcs_deadline() {
    let headers = injected(context(), Outgoing::grpc).await;
    let left = regatta_core::parse_grpc_timeout(headers["grpc-timeout"].to_str().unwrap()).unwrap();
    assert!(left <= Duration::from_secs(10) && left > Duration::from_secs(9), "{left:?}");
    assert!(!headers.contains_key("x-envoy-expected-rq-timeout-ms"));
}

#[tokio::test]
async fn the_earlier_of_the_calls_and_the_contexts_deadline_counts() {
    let now = tokio::time::Instant::now().into_std();
    for (seconds, most) in [(2, 2_000), (60, 10_000)] {
        let deadline = Deadline::after(now, Duration::from_secs(seconds));
        let headers = injected(context(), |it| it.deadline(deadline)).await;
        let left = headers["x-envoy-expected-rq-timeout-ms"].to_str().unwrap();
        let left = left.parse::<u64>().unwrap();
        assert!(left <= most && left > most - 1_000, "{left}");
    }
}

#[tokio::test]
async fn a_retry_is_marked_and_so_is_every_call_of_a_hop_that_serves_one() {
    let retry = injected(context(), |it| it.attempt(2)).await;
    assert_eq!(retry[ATTEMPT_COUNT], "3");
    let mut serving_a_retry = context();
    serving_a_retry.serves_retry = true;
    let first = injected(serving_a_retry, |it| it).await;
    assert_eq!(first[ATTEMPT_COUNT], "2");
}

#[tokio::test]
async fn a_call_is_as_urgent_as_the_request_it_serves() {
    assert!(!injected(context(), |it| it).await.contains_key("priority"));
    let mut urgent = context();
    urgent.urgency = Some(1);
    assert_eq!(injected(urgent, |it| it).await["priority"], "u=1");
}

#[test]
fn a_call_outside_a_request_begins_a_trace_of_its_own() {
    let mut headers = HeaderMap::new();
    headers.insert("tracestate", HeaderValue::from_static("stale=1"));
    let method = Method::GET;
    let call = ClientSpan::start(&telemetry(), Outgoing::new(&method, "/", "127.0.0.1", 1));
    call.inject(&mut headers);
    assert!(headers["traceparent"].to_str().unwrap().parse::<TraceContext>().unwrap().sampled);
    assert!(!headers.contains_key("tracestate"));
    call.end();
}

#[test]
fn calls_are_measured_by_peer_and_outcome() {
    let telemetry = telemetry();
    let method = Method::GET;
    let start = || ClientSpan::start(&telemetry, Outgoing::new(&method, "/x", "10.0.0.1", 80));
    let mut answered = start();
    answered.respond(200, &HeaderMap::new());
    answered.end();
    let mut failed = start();
    failed.fail("timeout");
    failed.end();
    drop(start());
    let mut rpc =
        ClientSpan::start(&telemetry, Outgoing::new(&method, "/a.B/Get", "::1", 90).grpc());
    rpc.respond(200, &HeaderMap::new());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("14"));
    rpc.trailers(&trailers);
    rpc.end();
    let text = telemetry.metrics_text();
    for expected in [
        r#"http_client_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",server_address="10.0.0.1",server_port="80"} 1"#,
        r#"http_client_request_duration_seconds_count{error_type="timeout",http_request_method="GET",server_address="10.0.0.1",server_port="80"} 1"#,
        r#"http_client_request_duration_seconds_count{error_type="cancelled",http_request_method="GET",server_address="10.0.0.1",server_port="80"} 1"#,
        r#"rpc_client_call_duration_seconds_count{error_type="UNAVAILABLE",rpc_response_status_code="UNAVAILABLE",rpc_system_name="grpc",server_address="::1",server_port="90"} 1"#,
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

fn telemetry() -> Telemetry {
    Telemetry::init(Identity::new("x"), Options::quiet()).unwrap()
}

fn context() -> Context {
    let mut context = Context::default();
    context.trace = TraceContext::try_new(5, 6, true).map(|trace| trace.with_state("vendor=1"));
    context.baggage = Some("tenant=a".into());
    context.request_id = Some("r-1".into());
    let now = tokio::time::Instant::now().into_std();
    context.deadline = Some(Deadline::after(now, Duration::from_secs(10)));
    context
}

async fn injected(
    context: Context,
    change: impl FnOnce(Outgoing<'static>) -> Outgoing<'static>,
) -> HeaderMap {
    let telemetry = telemetry();
    let call = async {
        let outgoing = Outgoing::new(&Method::GET, "/orders/1", "127.0.0.1", 80);
        let call = ClientSpan::start(&telemetry, change(outgoing));
        let mut headers = HeaderMap::new();
        call.inject(&mut headers);
        call.end();
        headers
    };
    Arc::new(context).scope(call).await
}
