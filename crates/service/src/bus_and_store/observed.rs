//! A handler in a span, measured.

use std::time::Duration;

use async_trait::async_trait;
use regatta_events::{CloudEvent, Failure, GroupName, Handler};
use regatta_telemetry::Telemetry;
use regatta_telemetry::opentelemetry::KeyValue;
use regatta_telemetry::opentelemetry::metrics::Histogram;
use tokio::time::Instant;

/// What a handler does, and how long it takes. Counts also a handler that is dropped because its
/// lease ran out, as `cancelled`.
pub(super) struct Observed<H> {
    inner: H,
    group: GroupName,
    durations: Histogram<f64>,
}

impl<H> Observed<H> {
    pub(super) fn new(inner: H, group: GroupName, telemetry: &Telemetry) -> Self {
        let durations = telemetry
            .meter()
            .f64_histogram("messaging.process.duration")
            .with_description("Time that handling an event takes")
            .with_unit("s")
            .build();
        Self { inner, group, durations }
    }
}

#[async_trait]
impl<H: Handler> Handler for Observed<H> {
    async fn handle(&self, event: &CloudEvent, delivery: u32) -> Result<(), Failure> {
        let mut running = Running {
            durations: &self.durations,
            group: &self.group,
            started: Instant::now(),
            outcome: "cancelled",
        };
        let work = async {
            regatta_telemetry::annotate("messaging.message.id", event.id().to_owned());
            regatta_telemetry::annotate(
                "messaging.destination.name",
                event.event_type().to_owned(),
            );
            regatta_telemetry::annotate("messaging.consumer.group.name", self.group.to_string());
            regatta_telemetry::annotate("messaging.delivery.number", i64::from(delivery));
            self.inner.handle(event, delivery).await
        };
        let handled = regatta_telemetry::within("process event", work).await;
        running.outcome = match &handled {
            Ok(()) => "ack",
            Err(Failure::Retry(_)) => "retry",
            Err(Failure::Reject(_)) => "reject",
            Err(Failure::Away(_)) => "away",
        };
        handled
    }
}

/// Measures when it is dropped.
struct Running<'a> {
    durations: &'a Histogram<f64>,
    group: &'a GroupName,
    started: Instant,
    outcome: &'static str,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let elapsed: Duration = self.started.elapsed();
        self.durations.record(
            elapsed.as_secs_f64(),
            &[
                KeyValue::new("messaging.consumer.group.name", self.group.to_string()),
                KeyValue::new("messaging.process.outcome", self.outcome),
            ],
        );
    }
}
