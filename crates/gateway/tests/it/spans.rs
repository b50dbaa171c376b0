//! OpenTelemetry spans, as a collector gets them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use regatta_gateway::Settings;
use regatta_resilience::{breaker, outlier};
use regatta_telemetry::{Identity, Options, Otlp, Telemetry};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::TaskTracker;

use crate::support::{LIMIT, Running, answering, echo, get, get_with, settings, start, upstream};

const CALLERS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn the_service_is_told_the_try_whose_span_is_exported_under_the_requests() {
    let (collector, telemetry, settings) = exporting().await;
    let mut service = echo().await;
    let gateway = start(settings, &[service.addr]).await;
    let lines = format!("traceparent: {CALLERS}\r\ntracestate: v=1\r\n");
    assert_eq!(get_with(gateway.addr, "/a/x?secret=1", &lines).await.status, 200);
    let seen = service.request().await;
    assert_eq!(seen.field("tracestate"), Some("v=1"));

    let spans = collector.spans(gateway, &telemetry).await;
    assert_eq!(spans.len(), 2, "health is not traced: {spans:?}");
    let own = spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    let call = spans.iter().find(|span| span.kind() == SpanKind::Client).unwrap();
    assert_eq!(hex(&own.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(call.parent_span_id, own.span_id);
    assert_eq!(hex(&call.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    let told = format!("00-{}-{}-01", hex(&call.trace_id), hex(&call.span_id));
    assert_eq!(seen.field("traceparent"), Some(told.as_str()));
    assert_eq!(attribute(own, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(attribute(own, "url.path").as_deref(), Some("/a/x"));
    assert_eq!(attribute(call, "url.path").as_deref(), Some("/x"));
    assert_eq!(attribute(call, "service.peer.name").as_deref(), Some("a"));
    let port = service.addr.port().to_string();
    assert_eq!(attribute(call, "server.port"), Some(port));
}

#[tokio::test]
async fn a_span_says_what_its_request_did_to_an_instance_and_which_try_was_a_probe() {
    let (collector, telemetry, mut settings) = exporting().await;
    let broken = answering("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n").await;
    let cluster = &mut settings.traffic.cluster;
    let soon = std::time::Duration::from_millis(1);
    cluster.breaker =
        Some(breaker::Settings::default().with_failure_threshold(2).with_open_for(soon));
    let mut outlier = outlier::Settings::default();
    outlier.consecutive_failures = 2;
    (cluster.outlier, cluster.service_breaker) = (Some(outlier), None);
    let gateway = start(settings, &[broken.addr]).await;
    for _ in 0..2 {
        assert_eq!(get(gateway.addr, "/a/x").await.status, 500);
    }
    while get(gateway.addr, "/a/probe").await.status != 500 {}

    let spans = collector.spans(gateway, &telemetry).await;
    let having = |key: &str, kind: SpanKind| {
        let has = |span: &&Span| span.kind() == kind && attribute(span, key).is_some();
        spans.iter().filter(has).collect::<Vec<_>>()
    };
    let changed = having("regatta.breaker.changed_to", SpanKind::Server);
    let states: Vec<_> =
        changed.iter().map(|span| attribute(span, "regatta.breaker.changed_to").unwrap()).collect();
    assert_eq!(states, ["open", "open"], "by its threshold, and by the probe");
    assert_eq!(having("regatta.ejected", SpanKind::Server).len(), 1);
    let [probe] = having("regatta.breaker.probe", SpanKind::Client)[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(attribute(probe, "url.path").as_deref(), Some("/probe"));
}

#[tokio::test]
async fn each_try_has_a_span_of_its_own() {
    let (collector, telemetry, settings) = exporting().await;
    let down = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let mut services = [answering(down).await, answering(down).await];
    let gateway = start(settings, &[services[0].addr, services[1].addr]).await;
    assert_eq!(get(gateway.addr, "/a/x").await.status, 503);

    let spans = collector.spans(gateway, &telemetry).await;
    let own = spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    assert!(own.parent_span_id.is_empty(), "a new trace");
    let mut told = Vec::new();
    for service in &mut services {
        let seen = service.request().await;
        told.push(seen.field("traceparent").unwrap().to_owned());
    }
    let calls: Vec<_> = spans.iter().filter(|span| span.kind() == SpanKind::Client).collect();
    assert_eq!(calls.len(), 2);
    for call in &calls {
        assert_eq!(call.parent_span_id, own.span_id);
        assert_eq!(attribute(call, "error.type").as_deref(), Some("503"));
        let name = format!("00-{}-{}-01", hex(&call.trace_id), hex(&call.span_id));
        assert!(told.contains(&name), "{name} in {told:?}");
    }
    let again = calls.iter().filter_map(|call| attribute(call, "http.request.resend_count"));
    assert_eq!(again.collect::<Vec<_>>(), ["1"]);
}

#[tokio::test]
async fn a_grpc_calls_spans_have_the_status_of_its_trailers() {
    let (collector, telemetry, settings) = exporting().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let service = failing_grpc_service(Arc::clone(&told)).await;
    let gateway = start(settings, &[service]).await;
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let (executor, io) = (TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    TaskTracker::new().spawn(connection);
    let request = Request::post("http://shop/a/pkg.Greeter/Hi")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("traceparent", CALLERS)
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "5");

    let spans = collector.spans(gateway, &telemetry).await;
    assert_eq!(spans.len(), 2, "{spans:?}");
    let call = spans.iter().find(|span| span.kind() == SpanKind::Client).unwrap();
    for span in &spans {
        assert_eq!(span.name, "pkg.Greeter/Hi");
        let status = attribute(span, "rpc.response.status_code");
        assert_eq!(status.as_deref(), Some("NOT_FOUND"), "{span:?}");
    }
    let name = format!("00-{}-{}-01", hex(&call.trace_id), hex(&call.span_id));
    assert_eq!(*told.lock().unwrap(), [name]);
}

#[tokio::test]
async fn a_request_that_is_turned_away_and_one_that_breaks_off_have_spans_too() {
    let (collector, telemetry, settings) = exporting().await;
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let service = upstream(Arc::new(|_, _| (cut.into(), true))).await;
    let gateway = start(settings, &[service.addr]).await;
    assert_eq!(get(gateway.addr, "/nobody/x").await.status, 404);
    let mut wire = crate::support::Wire::connect(gateway.addr).await;
    wire.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(wire.rest().await.ends_with(b"half"));

    let spans = collector.spans(gateway, &telemetry).await;
    let found = |key, value: &str| {
        let has = |span: &&Span| attribute(span, key).as_deref() == Some(value);
        spans.iter().filter(has).count()
    };
    assert_eq!(found("http.response.status_code", "404"), 1);
    assert_eq!(found("error.type", "broken_off"), 2, "the request and its try: {spans:?}");
}

/// Settings of a gateway that exports, with the collector and what flushes.
async fn exporting() -> (Collector, Telemetry, Settings) {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    TaskTracker::new().spawn(server);
    let mut otlp = Otlp::new(format!("http://{address}"));
    otlp.timeout = LIMIT / 2;
    (otlp.metrics, otlp.logs) = (false, false);
    let mut options = Options::quiet();
    options.otlp = Some(otlp);
    let telemetry = Telemetry::init(Identity::new("gateway"), options).unwrap();
    let mut settings = settings();
    settings.telemetry = Some(telemetry.clone());
    (collector, telemetry, settings)
}

/// Answers NOT_FOUND in its trailers.
async fn failing_grpc_service(told: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: Request<Incoming>| {
            let trace = request.headers()["traceparent"].to_str().unwrap().to_owned();
            told.lock().unwrap().push(trace);
            async {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("5"));
                let frames = [Ok::<_, Infallible>(Frame::<Bytes>::trailers(trailers))];
                let body = StreamBody::new(futures::stream::iter(frames));
                let response = Response::builder().header("content-type", "application/grpc");
                Ok::<_, Infallible>(response.body(body).unwrap())
            }
        });
        let io = TokioIo::new(stream);
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        _ = builder.serve_connection(io, service).await;
    });
    address
}

#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    /// All spans, once the gateway has ended and they are flushed.
    async fn spans(&self, mut gateway: Running, telemetry: &Telemetry) -> Vec<Span> {
        gateway.drain.cancel();
        let ended = gateway.ended.take().unwrap();
        tokio::time::timeout(LIMIT, ended).await.unwrap().unwrap();
        assert!(telemetry.shutdown().await);
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
