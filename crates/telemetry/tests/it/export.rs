//! What reaches a collector, and what happens without one.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use regatta_core::Secret;
use regatta_telemetry::client::{self, Outgoing};
use regatta_telemetry::{Identity, Options, Otlp, Telemetry, annotate, query, within};
use tower::ServiceExt;

use crate::collector::{Collector, attribute, exporting_to};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_request_is_a_tree_of_spans_with_the_conventions_names() {
    let (collector, address) = Collector::start().await;
    let telemetry = exporting_to(address, |_| ());
    serve(&telemetry, "/users/7?token=hunter2", Some(TRACEPARENT)).await;
    assert!(telemetry.shutdown().await);

    let server = collector.span("GET /users/{id}");
    let (call, statement) = (collector.span("POST"), collector.span("SELECT users"));
    let own = collector.span("reckon");
    assert_eq!(server.kind(), SpanKind::Server);
    assert_eq!((call.kind(), own.kind()), (SpanKind::Client, SpanKind::Internal));
    assert_eq!(server.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    for child in [&call, &statement, &own] {
        assert_eq!(child.parent_span_id, server.span_id, "{}", child.name);
        assert_eq!(child.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
    }
    let of = |key| attribute(&server.attributes, key);
    assert_eq!(of("http.request.method").as_deref(), Some("GET"));
    assert_eq!(of("http.route").as_deref(), Some("/users/{id}"));
    assert_eq!(of("url.path").as_deref(), Some("/users/7"));
    assert_eq!(of("http.response.status_code").as_deref(), Some("200"));
    assert_eq!(of("regatta.cache").as_deref(), Some("miss"));
    assert_eq!(of("error.type"), None);
    let of = |key| attribute(&call.attributes, key);
    assert_eq!(of("server.address").as_deref(), Some("10.0.0.7"));
    assert_eq!(of("server.port").as_deref(), Some("8082"));
    assert_eq!(of("error.type").as_deref(), Some("503"));
    assert_eq!(call.status.clone().unwrap().code(), StatusCode::Error);
    let of = |key| attribute(&statement.attributes, key);
    assert_eq!(of("db.system.name").as_deref(), Some("sqlite"));
    assert_eq!(of("db.operation.name").as_deref(), Some("SELECT"));
    assert_eq!(of("db.collection.name").as_deref(), Some("users"));
    let everything = format!("{:?}", collector.spans());
    assert!(!everything.contains("hunter2"), "a query's secret was exported");
}

#[tokio::test]
async fn the_resource_says_who_and_the_headers_what_the_operator_set() {
    let (collector, address) = Collector::start().await;
    let telemetry = exporting_to(address, |otlp| {
        otlp.headers.push(("Api-Key".into(), Secret::new("k")));
        otlp.gzip = true;
        otlp.metrics = false;
        otlp.logs = false;
    });
    serve(&telemetry, "/users/7", None).await;
    assert!(telemetry.shutdown().await);
    let requests = collector.traces.lock().unwrap();
    let resource = requests[0].resource_spans[0].resource.clone().unwrap();
    let of = |key| attribute(&resource.attributes, key);
    assert_eq!(of("service.name").as_deref(), Some("user-service"));
    assert_eq!(of("service.version").as_deref(), Some("v1"));
    assert_eq!(of("service.instance.id").as_deref(), Some("user-1"));
    assert_eq!(collector.headers.lock().unwrap()[0]["api-key"], "k");
    assert!(collector.metrics.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_last_metrics_go_out_at_shutdown_from_the_instruments_that_are_scraped() {
    let (collector, address) = Collector::start().await;
    let telemetry = exporting_to(address, |_| ());
    serve(&telemetry, "/users/7", None).await;
    assert!(telemetry.shutdown().await);
    let requests = collector.metrics.lock().unwrap();
    let pushed = format!("{requests:?}");
    for name in ["http.server.request.duration", "db.client.operation.duration"] {
        assert!(pushed.contains(name), "{name}");
    }
    assert!(telemetry.metrics_text().contains("http_server_request_duration_seconds_count"));
}

#[tokio::test]
async fn a_caller_that_does_not_sample_gets_no_spans() {
    let (collector, address) = Collector::start().await;
    let telemetry = exporting_to(address, |_| ());
    let unsampled = TRACEPARENT.replace("-01", "-00");
    serve(&telemetry, "/users/7", Some(&unsampled)).await;
    assert!(telemetry.shutdown().await);
    assert_eq!(collector.spans(), []);
}

#[tokio::test]
async fn many_spans_leave_in_batches_and_none_is_lost() {
    let (collector, address) = Collector::start().await;
    let telemetry = exporting_to(address, |otlp| otlp.batch = 10);
    for _ in 0..25 {
        serve(&telemetry, "/users/7", None).await;
    }
    assert!(telemetry.shutdown().await);
    assert_eq!(collector.spans().len(), 100);
    let most = collector.traces.lock().unwrap().iter().map(spans_of).max();
    assert!(most <= Some(10), "{most:?}");
    let text = telemetry.metrics_text();
    assert!(text.contains("otel_sdk_exporter_span_exported_total 100"), "{text}");
}

#[tokio::test]
async fn without_a_collector_requests_go_on_drops_are_counted_and_shutdown_is_bounded() {
    // A listener that never answers: the worst collector.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut otlp = Otlp::new(format!("http://{}", silent.local_addr().unwrap()));
    otlp.queue = 4;
    otlp.batch = 2;
    let mut options = Options::quiet();
    options.otlp = Some(otlp);
    options.shutdown_timeout = Duration::from_millis(50);
    let telemetry = Telemetry::init(Identity::new("user-service"), options).unwrap();
    for _ in 0..10 {
        serve(&telemetry, "/users/7", None).await;
    }
    let text = telemetry.metrics_text();
    let dropped = text.lines().find_map(|line| {
        line.strip_prefix(r#"otel_sdk_processor_span_processed_total{error_type="queue_full"} "#)
    });
    let dropped = dropped.unwrap_or_else(|| panic!("{text}")).parse::<u64>().unwrap();
    assert!((30..=36).contains(&dropped), "of 40 spans {dropped} were dropped");
    let shutdown = tokio::time::timeout(Duration::from_secs(10), telemetry.shutdown()).await;
    assert_eq!(shutdown, Ok(false));
}

#[tokio::test]
async fn a_refused_connection_is_no_error_of_init_and_is_told_at_shutdown() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let telemetry = exporting_to(free, |otlp| otlp.timeout = Duration::from_millis(100));
    serve(&telemetry, "/users/7", None).await;
    assert!(!telemetry.shutdown().await);
}

#[test]
fn options_out_of_range_are_refused_with_a_remedy() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let with = |change: &dyn Fn(&mut Options, &mut Otlp)| {
        let (mut options, mut otlp) = (Options::quiet(), Otlp::new("http://127.0.0.1:4317"));
        change(&mut options, &mut otlp);
        options.otlp = Some(otlp);
        let error = Telemetry::init(Identity::new("x"), options).unwrap_err();
        regatta_core::Chain(&error).to_string()
    };
    let cases: [(String, &str); 8] = [
        (with(&|options, _| options.sample_ratio = 1.5), "use 0 to 1"),
        (with(&|options, _| options.sample_ratio = f64::NAN), "use 0 to 1"),
        (with(&|_, otlp| otlp.endpoint = "collector:4317".into()), "http://127.0.0.1:4317"),
        (with(&|_, otlp| otlp.endpoint = "ftp://x".into()), "http://127.0.0.1:4317"),
        (with(&|_, otlp| otlp.endpoint = "https://x:4317".into()), "_CERTIFICATE"),
        (
            with(&|_, otlp| {
                otlp.endpoint = "https://x:4317".into();
                otlp.ca_certificate = Some("no pem".into());
            }),
            ".pem file",
        ),
        (with(&|_, otlp| otlp.queue = 0), "1 or more"),
        (with(&|_, otlp| otlp.headers.push(("a b".into(), Secret::new("x")))), "ASCII"),
    ];
    for (message, remedy) in cases {
        assert!(message.contains(remedy), "{message}");
    }
}

#[test]
fn exporting_needs_a_runtime() {
    let mut options = Options::quiet();
    options.otlp = Some(Otlp::new("http://127.0.0.1:4317"));
    let error = Telemetry::init(Identity::new("x"), options).unwrap_err().to_string();
    assert!(error.contains("inside one"), "{error}");
}

fn spans_of(
    request: &opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest,
) -> usize {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.map(|scope| scope.spans.len()).sum()
}

/// One request whose handler calls out, queries and works: four spans.
async fn serve(telemetry: &Telemetry, uri: &str, traceparent: Option<&str>) {
    async fn handler() -> &'static str {
        annotate("regatta.cache", "miss");
        let method = Method::POST;
        let mut call = client::span(Outgoing::new(&method, "/pay?card=hunter2", "10.0.0.7", 8082));
        call.respond(503, &HeaderMap::new());
        call.end();
        let found = query("sqlite", "SELECT", "users", async { Ok::<_, ()>(7) }).await;
        within("reckon", async { assert_eq!(found, Ok(7)) }).await;
        "seven"
    }
    let router = Router::new().route("/users/{id}", get(handler)).layer(telemetry.server_layer());
    let mut request = Request::get(uri);
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "seven");
}
