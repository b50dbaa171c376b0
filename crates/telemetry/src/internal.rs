//! A span of one's own around a piece of work.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Instant;

use opentelemetry::trace::{SpanKind, Status};
use pin_project_lite::pin_project;
use regatta_core::{Context, InContext};

use crate::span::{self, Current, Recording, Scoped};
use crate::{Telemetry, clock, ids};

/// Runs a future in a span of this name; what it calls and queries become its children.
///
/// # Cancel safety
///
/// As cancel safe as the future it wraps; the span ends when it is dropped.
pub fn within<F: Future>(name: &'static str, future: F) -> Within<F> {
    let telemetry = span::telemetry();
    let outer = Context::current();
    let parent = outer.as_ref().and_then(|context| context.trace.as_ref());
    let trace = ids::next(parent, telemetry.sample_ratio());
    let recording = Recording::start(&telemetry, &trace, parent, SpanKind::Internal);
    let mut context = outer.as_deref().cloned().unwrap_or_default();
    context.trace = Some(trace);
    let current = Current { telemetry: telemetry.clone(), recording: recording.clone() };
    Within {
        span: Some(Running { telemetry, name, recording, started: clock::now() }),
        future: Arc::new(context).scope(Scoped::new(current, future)),
    }
}

pin_project! {
    /// A future that runs in a span of its own.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Within<F> {
        span: Option<Running>,
        #[pin]
        future: InContext<Scoped<F>>,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.future.poll(cx));
        *this.span = None;
        Poll::Ready(output)
    }
}

#[derive(Debug)]
struct Running {
    telemetry: Telemetry,
    name: &'static str,
    recording: Option<Arc<Recording>>,
    started: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(recording) = self.recording.take() else { return };
        let elapsed = clock::now().saturating_duration_since(self.started);
        let status = if std::thread::panicking() { Status::error("panic") } else { Status::Unset };
        recording.end(&self.telemetry, self.name.into(), elapsed, status);
    }
}
