//! The span that is being recorded, and the future it travels with.

use std::borrow::Cow;
use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use pin_project_lite::pin_project;
use regatta_core::TraceContext;

use crate::{Telemetry, clock};

/// Most attributes one span takes; more are dropped and counted (OpenTelemetry's default limit).
const MOST_ATTRIBUTES: usize = 128;

/// Whose telemetry the polled future belongs to, and the span it is recording.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) telemetry: Telemetry,
    pub(crate) recording: Option<Arc<Recording>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// A span that will be exported.
#[derive(Debug)]
pub(crate) struct Recording {
    trace: TraceContext,
    parent: Option<u64>,
    parent_is_remote: bool,
    kind: SpanKind,
    started: SystemTime,
    attributes: Mutex<Attributes>,
}

#[derive(Debug, Default)]
struct Attributes {
    kept: Vec<KeyValue>,
    dropped: u32,
}

/// Adds an attribute to the span of the future that is being polled, such as
/// `annotate("regatta.retry.attempt", 2)`; does nothing when no span is recorded.
///
/// Never put personal data, secrets or query literals into it.
pub fn annotate(key: &'static str, value: impl Into<Value>) {
    CURRENT.with_borrow(|current| {
        if let Some(recording) = current.as_ref().and_then(|current| current.recording.as_ref()) {
            recording.annotate(KeyValue::new(key, value));
        }
    });
}

/// Whether [`annotate`] has a span to write to; ask before computing a costly value.
pub fn is_recording() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|it| it.recording.is_some()))
}

/// The telemetry of the future that is being polled, or the process's.
pub(crate) fn telemetry() -> Telemetry {
    CURRENT
        .with_borrow(|current| current.as_ref().map(|current| current.telemetry.clone()))
        .unwrap_or_else(Telemetry::global)
}

impl Recording {
    /// Starts a span if it is sampled and there is somewhere to send it.
    pub(crate) fn start(
        telemetry: &Telemetry,
        trace: &TraceContext,
        parent: Option<&TraceContext>,
        kind: SpanKind,
    ) -> Option<Arc<Self>> {
        (trace.sampled && telemetry.exports_spans()).then(|| {
            Arc::new(Self {
                trace: trace.clone(),
                parent: parent.map(TraceContext::span_id),
                parent_is_remote: kind == SpanKind::Server,
                kind,
                started: clock::wall(),
                attributes: Mutex::default(),
            })
        })
    }

    pub(crate) fn annotate(&self, attribute: KeyValue) {
        let mut attributes = self.attributes.lock().unwrap_or_else(PoisonError::into_inner);
        if attributes.kept.len() < MOST_ATTRIBUTES {
            attributes.kept.push(attribute);
        } else {
            attributes.dropped += 1;
        }
    }

    /// Hands the span to the exporter; the end is the start and what the monotonic clock measured.
    pub(crate) fn end(
        &self,
        telemetry: &Telemetry,
        name: Cow<'static, str>,
        elapsed: Duration,
        status: Status,
    ) {
        let attributes =
            std::mem::take(&mut *self.attributes.lock().unwrap_or_else(PoisonError::into_inner));
        telemetry.export_span(SpanData {
            span_context: span_context(&self.trace),
            parent_span_id: self.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: self.parent.is_some() && self.parent_is_remote,
            span_kind: self.kind.clone(),
            name,
            start_time: self.started,
            end_time: self.started + elapsed,
            attributes: attributes.kept,
            dropped_attributes_count: attributes.dropped,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: scope(),
        });
    }
}

/// The scope that names this crate as the maker of spans and instruments.
pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("regatta").with_version(env!("CARGO_PKG_VERSION")).build()
}

fn span_context(trace: &TraceContext) -> SpanContext {
    let flags = if trace.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let state = trace.state.as_deref().and_then(|state| state.parse::<TraceState>().ok());
    SpanContext::new(
        TraceId::from(trace.trace_id()),
        SpanId::from(trace.span_id()),
        flags,
        false,
        state.unwrap_or_default(),
    )
}

pin_project! {
    /// A future whose span and telemetry are current while it is polled.
    #[derive(Debug)]
    pub(crate) struct Scoped<F> {
        current: Option<Current>,
        #[pin]
        future: F,
    }
}

impl<F> Scoped<F> {
    pub(crate) fn new(current: Current, future: F) -> Self {
        Self { current: Some(current), future }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        enter(this.current, || this.future.poll(cx))
    }
}

/// Runs something at once with what is in `slot` as the current span and telemetry.
// Inlined, so that what the work owns is not moved once more on its way in.
#[inline]
pub(crate) fn enter<T>(slot: &mut Option<Current>, work: impl FnOnce() -> T) -> T {
    /// Puts the outer span back, also when the work panics.
    struct Restore<'a>(&'a mut Option<Current>);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            CURRENT.with_borrow_mut(|current| std::mem::swap(current, self.0));
        }
    }
    CURRENT.with_borrow_mut(|current| std::mem::swap(current, slot));
    let _restore = Restore(slot);
    work()
}

/// The output of a future that never waits.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut cx = task::Context::from_waker(task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the future awaits nothing"),
    }
}
