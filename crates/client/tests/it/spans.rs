//! Spans of calls, as a collector gets them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use regatta_client::Error;
use regatta_resilience::breaker::Settings;
use regatta_telemetry::{Identity, Options, Otlp, Telemetry};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::TaskTracker;

use crate::fleet::{Does, Fleet, options};

#[tokio::test]
async fn a_span_says_what_its_call_did_to_the_breaker_and_a_rejected_call_has_one_too() {
    let (collector, telemetry) = exporting().await;
    let fleet = Fleet::new();
    fleet.serve(Does::Answer(500)).await;
    let mut options = options();
    options.cluster.breaker = Some(Settings::default().with_failure_threshold(2));
    let users = fleet.client(options);
    for _ in 0..2 {
        assert_eq!(users.get("/users/1").send().await.unwrap().status(), 500);
    }
    let error = users.get("/users/2").send().await.unwrap_err();
    assert!(matches!(error, Error::BreakerOpen { .. }), "{error}");

    let spans = collector.spans(&telemetry).await;
    let opened =
        |span: &&Span| attribute(span, "regatta.breaker.changed_to") == Some("open".into());
    assert_eq!((spans.len(), spans.iter().filter(opened).count()), (3, 1), "{spans:?}");
    let path = |path: &str| {
        let has = |span: &&Span| attribute(span, "url.path").as_deref() == Some(path);
        spans.iter().filter(has).collect::<Vec<_>>()
    };
    let [rejected] = path("/users/2")[..] else { panic!("{spans:?}") };
    assert_eq!(attribute(rejected, "error.type").as_deref(), Some("breaker_open"));
    assert_eq!(attribute(rejected, "service.peer.name").as_deref(), Some("user-service"));
    assert_eq!(attribute(rejected, "server.address"), None, "it went to nobody");
}

#[tokio::test]
async fn a_span_says_that_its_call_ejected_the_instance() {
    let (collector, telemetry) = exporting().await;
    let fleet = Fleet::new();
    fleet.serve(Does::Answer(500)).await;
    let mut options = options();
    let mut outlier = regatta_resilience::outlier::Settings::default();
    outlier.consecutive_failures = 2;
    (options.cluster.outlier, options.cluster.breaker) = (Some(outlier), None);
    let users = fleet.client(options);
    for number in 1..=2 {
        users.get(&format!("/users/{number}")).send().await.unwrap();
    }
    let spans = collector.spans(&telemetry).await;
    let ejected = |span: &&Span| attribute(span, "regatta.ejected").is_some();
    let [span] = spans.iter().filter(ejected).collect::<Vec<_>>()[..] else { panic!("{spans:?}") };
    assert_eq!(attribute(span, "url.path").as_deref(), Some("/users/2"));
}

#[tokio::test]
async fn a_probe_is_marked_and_says_what_came_of_it() {
    let (collector, telemetry) = exporting().await;
    let fleet = Fleet::new();
    fleet.serve(Does::Answer(500)).await;
    let mut options = options();
    let soon = Duration::from_millis(1);
    let breaker = Settings::default().with_failure_threshold(1).with_open_for(soon);
    options.cluster.breaker = Some(breaker);
    let users = fleet.client(options);
    users.get("/").send().await.unwrap();
    while users.get("/").send().await.is_err() {
        tokio::task::yield_now().await;
    }
    let spans = collector.spans(&telemetry).await;
    let is_probe = |span: &&Span| attribute(span, "regatta.breaker.probe").is_some();
    let [probe] = spans.iter().filter(is_probe).collect::<Vec<_>>()[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(attribute(probe, "regatta.breaker.changed_to").as_deref(), Some("open"));
}

/// Telemetry of this process that exports spans, with the collector.
async fn exporting() -> (Collector, Telemetry) {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    TaskTracker::new().spawn(server);
    let mut otlp = Otlp::new(format!("http://{address}"));
    otlp.timeout = Duration::from_secs(5);
    (otlp.metrics, otlp.logs) = (false, false);
    let mut options = Options::quiet();
    options.otlp = Some(otlp);
    let telemetry = Telemetry::init(Identity::new("caller"), options).unwrap();
    (collector, telemetry)
}

#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    /// All spans, flushed.
    async fn spans(&self, telemetry: &Telemetry) -> Vec<Span> {
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
        other => Some(format!("{other:?}")),
    }
}
