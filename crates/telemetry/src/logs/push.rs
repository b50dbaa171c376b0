//! Log events as records for the collector.

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry::trace::TraceFlags;
use regatta_core::Context;
use serde_json::Value;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;

use super::fields::Fields;
use crate::clock;
use crate::export::{LogSink, TARGET};

/// Crates that carry an export; exporting that would feed on itself.
const MACHINERY: [&str; 5] = ["tonic", "h2", "hyper", "hyper_util", "tower"];

/// Hands each event to the queue of log records.
#[derive(Debug)]
pub(super) struct Push(pub(super) LogSink);

impl<S: Subscriber> Layer<S> for Push {
    fn on_event(&self, event: &Event<'_>, _context: tracing_subscriber::layer::Context<'_, S>) {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        if is_machinery(target) {
            return;
        }
        let fields = Fields::of(event);
        let logger = &self.0.logger;
        let mut record = logger.create_log_record();
        record.set_timestamp(clock::wall());
        record.set_observed_timestamp(clock::wall());
        record.set_severity_number(severity(level));
        record.set_severity_text(level.as_str());
        record.set_target(target.to_owned());
        record.set_body(AnyValue::from(fields.message));
        for (name, value) in fields.others {
            record.add_attribute(name, any(value));
        }
        if let Some(request) = Context::current() {
            if let Some(trace) = &request.trace {
                let flags =
                    if trace.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
                let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
                record.set_trace_context(trace_id.into(), span_id.into(), Some(flags));
            }
            if let Some(request_id) = &request.request_id {
                record.add_attribute("request_id", request_id.to_string());
            }
        }
        logger.emit(record);
    }
}

fn is_machinery(target: &str) -> bool {
    let root = target.split("::").next().unwrap_or_default();
    root.starts_with("opentelemetry") || MACHINERY.contains(&root) || target == TARGET
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

fn any(value: Value) -> AnyValue {
    match value {
        Value::Bool(value) => value.into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => value.into(),
            (None, Some(value)) => value.into(),
            (None, None) => number.to_string().into(),
        },
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machinery_of_exports_is_known_by_its_crates() {
        for target in ["h2", "h2::codec", "hyper_util::client", "opentelemetry_sdk::trace", TARGET]
        {
            assert!(is_machinery(target), "{target}");
        }
        for target in ["h2o", "user_service", "regatta_telemetry::server"] {
            assert!(!is_machinery(target), "{target}");
        }
    }
}
