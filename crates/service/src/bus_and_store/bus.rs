//! The bus as the service uses it: what is published is measured and carries its trace.

use std::sync::Arc;

use async_trait::async_trait;
use regatta_core::{Context, TraceContext};
use regatta_events::{
    BusError, CloudEvent, DeadLetter, Deliveries, EventBus, GroupName, GroupStanding, HistoryQuery,
    Logged, Redrive, Start, Subscription,
};
use regatta_telemetry::Telemetry;
use regatta_telemetry::opentelemetry::KeyValue;
use regatta_telemetry::opentelemetry::metrics::Counter;

/// A bus that counts what is published and tells each event where it comes from.
#[derive(Debug)]
pub(super) struct TracedBus {
    inner: Arc<dyn EventBus>,
    published: Counter<u64>,
}

impl TracedBus {
    pub(super) fn new(inner: Arc<dyn EventBus>, telemetry: &Telemetry) -> Self {
        let published = telemetry
            .meter()
            .u64_counter("messaging.client.sent.messages")
            .with_description("Events given to the bus; those that failed have an error.type")
            .build();
        Self { inner, published }
    }
}

#[async_trait]
impl EventBus for TracedBus {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), BusError> {
        let traced: Vec<_> = events.iter().cloned().map(traced).collect();
        let publishing = self.inner.publish(&traced);
        let published = regatta_telemetry::within("publish events", publishing).await;
        let mut attributes = vec![KeyValue::new("messaging.operation.name", "publish")];
        if let Err(error) = &published {
            attributes.push(KeyValue::new("error.type", name(error)));
        }
        self.published.add(events.len() as u64, &attributes);
        published
    }

    async fn subscribe(&self, asks: Subscription) -> Result<Box<dyn Deliveries>, BusError> {
        self.inner.subscribe(asks).await
    }

    async fn probe(&self) -> Result<(), BusError> {
        self.inner.probe().await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Logged>, BusError> {
        self.inner.history(query).await
    }

    async fn replay(&self, group: &GroupName, start: Start) -> Result<(), BusError> {
        self.inner.replay(group, start).await
    }

    async fn dead_letters(
        &self,
        group: &GroupName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        self.inner.dead_letters(group, after, limit).await
    }

    async fn redrive(&self, group: &GroupName, redrive: &Redrive) -> Result<u64, BusError> {
        self.inner.redrive(group, redrive).await
    }

    async fn groups(&self) -> Result<Vec<GroupStanding>, BusError> {
        self.inner.groups().await
    }

    async fn standing(&self, group: &GroupName) -> Result<GroupStanding, BusError> {
        self.inner.standing(group).await
    }

    async fn forget(&self, group: &GroupName) -> Result<bool, BusError> {
        self.inner.forget(group).await
    }
}

/// The event with the trace and the request that it is published in, unless it names its own.
pub(super) fn traced(mut event: CloudEvent) -> CloudEvent {
    let Some(context) = Context::current() else { return event };
    let trace = context.trace.as_ref().and_then(|trace| {
        let mut text = [0; TraceContext::LENGTH];
        trace.write_to(&mut text);
        String::from_utf8(text.to_vec()).ok()
    });
    let request = context.request_id.as_deref().map(str::to_owned);
    for (name, value) in [(CloudEvent::TRACEPARENT, trace), (CloudEvent::CORRELATION_ID, request)] {
        if let (None, Some(value)) = (event.extension(name), value)
            // A request id with control characters is no attribute; the event goes without it.
            && let Ok(named) = event.clone().with_extension(name, value)
        {
            event = named;
        }
    }
    event
}

/// The error as a metric names it.
fn name(error: &BusError) -> &'static str {
    match error {
        BusError::Unavailable(_) => "unavailable",
        BusError::Full { .. } => "full",
        BusError::TooLarge { .. } => "too_large",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_event_carries_the_trace_and_the_request_it_is_published_in() {
        let mut context = Context::default();
        context.trace = TraceContext::try_new(0xab, 0xcd, true);
        context.request_id = Some("r-1".into());
        let context = Arc::new(context);
        let event = CloudEvent::try_new("1", "/a", "b").unwrap();
        let plain = context.clone().scope(async { traced(event.clone()) }).await;
        let trace = plain.extension(CloudEvent::TRACEPARENT).unwrap();
        assert!(trace.contains("ab-00000000000000cd-01"), "{trace}");
        assert_eq!(plain.extension(CloudEvent::CORRELATION_ID), Some("r-1"));

        let own = event.clone().with_extension(CloudEvent::TRACEPARENT, "own").unwrap();
        let own = context.scope(async { traced(own) }).await;
        assert_eq!(own.extension(CloudEvent::TRACEPARENT), Some("own"), "what it names stays");
        assert_eq!(traced(event.clone()), event, "outside of a request there is none");
    }
}
