//! The process's own log, as the collector gets it.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use regatta_core::{Context, TraceContext};
use regatta_telemetry::{Identity, Options, Otlp, Telemetry};

use crate::collector::{Collector, attribute};

#[tokio::test]
async fn a_log_record_names_the_request_it_belongs_to_and_exports_do_not_feed_on_themselves() {
    let (collector, address) = Collector::start().await;
    let mut options = Options::default();
    let mut otlp = Otlp::new(format!("http://{address}"));
    otlp.batch_interval = Duration::from_millis(1);
    options.otlp = Some(otlp);
    if let Some(logs) = &mut options.logs {
        logs.filter = "trace".into();
    }
    let telemetry = Telemetry::init(Identity::new("user-service"), options).unwrap();
    let mut context = Context::default();
    context.trace = TraceContext::try_new(0xa, 0xb, true);
    context.request_id = Some("r-1".into());
    let logging = async { tracing::warn!(amount = 5, reason = "limit", "declined") };
    Arc::new(context).scope(logging).await;
    // The export of this record logs much at this level, which would be exported in turn.
    let arrived = async {
        while collector.logs.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), arrived).await.unwrap();
    assert!(telemetry.shutdown().await);

    let requests = collector.logs.lock().unwrap();
    let records: Vec<_> = requests
        .iter()
        .flat_map(|request| &request.resource_logs)
        .flat_map(|resource| &resource.scope_logs)
        .flat_map(|scope| &scope.log_records)
        .collect();
    let is = |text: &'static str| Some(Value::StringValue(text.into()));
    let of = |text| {
        records.iter().find(|it| it.body.as_ref().and_then(|body| body.value.clone()) == is(text))
    };
    let record = of("declined").unwrap();
    assert_eq!(record.severity_text, "WARN");
    assert_eq!(record.trace_id, 0xa_u128.to_be_bytes());
    assert_eq!(record.span_id, 0xb_u64.to_be_bytes());
    assert_eq!(attribute(&record.attributes, "amount").as_deref(), Some("5"));
    assert_eq!(attribute(&record.attributes, "reason").as_deref(), Some("limit"));
    assert_eq!(attribute(&record.attributes, "request_id").as_deref(), Some("r-1"));
    assert!(records.len() < 10, "{} records: exports log about exports", records.len());
}

#[test]
fn a_filter_that_does_not_parse_is_refused_with_an_example() {
    let mut options = Options::default();
    if let Some(logs) = &mut options.logs {
        logs.filter = "info,=,".into();
    }
    let error = Telemetry::init(Identity::new("x"), options).unwrap_err();
    let message = regatta_core::Chain(&error).to_string();
    assert!(message.contains("info,sqlx=warn"), "{message}");
}
