//! Statements to a database: one span and one measurement each.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};
use pin_project_lite::pin_project;
use regatta_core::Context;

use crate::metrics::OTHER;
use crate::span::{self, Recording};
use crate::status::Outcome;
use crate::{Telemetry, clock, ids};

/// Runs a statement in a span, such as `query("sqlite", "SELECT", "users", …)`.
///
/// All three texts are constants of the program, so no value of a query can get into them:
/// `system` is `db.system.name` (`sqlite`, `postgresql`), `operation` is `db.operation.name`,
/// `table` is `db.collection.name`. An error counts as `_OTHER`; see [`query_classified`].
///
/// # Cancel safety
///
/// As cancel safe as the future it wraps; a dropped one is counted as `cancelled`.
pub fn query<F, T, E>(
    system: &'static str,
    operation: &'static str,
    table: &'static str,
    future: F,
) -> Query<F, E>
where
    F: Future<Output = Result<T, E>>,
{
    query_classified(system, operation, table, future, |_| OTHER)
}

/// The same as [`query`], with the name of an error, such as `unique_violation`.
///
/// # Cancel safety
///
/// As cancel safe as the future it wraps; a dropped one is counted as `cancelled`.
pub fn query_classified<F, T, E>(
    system: &'static str,
    operation: &'static str,
    table: &'static str,
    future: F,
    error_type: fn(&E) -> &'static str,
) -> Query<F, E>
where
    F: Future<Output = Result<T, E>>,
{
    Query { statement: Statement { system, operation, table }, error_type, running: None, future }
}

#[derive(Clone, Copy, Debug)]
struct Statement {
    system: &'static str,
    operation: &'static str,
    table: &'static str,
}

pin_project! {
    /// A statement being run. It starts when it is first polled.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Query<F, E> {
        statement: Statement,
        error_type: fn(&E) -> &'static str,
        running: Option<Running>,
        #[pin]
        future: F,
    }
}

impl<F, T, E> Future for Query<F, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let statement = *this.statement;
        let running = this.running.get_or_insert_with(|| Running::start(statement));
        let result = ready!(this.future.poll(cx));
        running.outcome = match &result {
            Ok(_) => Outcome::default(),
            Err(error) => Outcome::failed((this.error_type)(error)),
        };
        // Dropping it ends the span.
        *this.running = None;
        Poll::Ready(result)
    }
}

#[derive(Debug)]
struct Running {
    telemetry: Telemetry,
    statement: Statement,
    recording: Option<Arc<Recording>>,
    started: Instant,
    outcome: Outcome,
}

impl Running {
    fn start(statement: Statement) -> Self {
        let telemetry = span::telemetry();
        let recording = telemetry.exports_spans().then(|| record(&telemetry, statement)).flatten();
        let outcome = Outcome::failed("cancelled");
        Self { telemetry, statement, recording, started: clock::now(), outcome }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let elapsed = clock::now().saturating_duration_since(self.started);
        let (outcome, Statement { system, operation, table }) = (self.outcome, self.statement);
        let key = (system, operation);
        let error = outcome.error.map(|error| KeyValue::new("error.type", error));
        let queries = &self.telemetry.instruments().queries;
        queries.record(elapsed, table, key, outcome, |table| {
            let mut attributes = vec![
                KeyValue::new("db.system.name", system),
                KeyValue::new("db.operation.name", operation),
                KeyValue::new("db.collection.name", table.to_owned()),
            ];
            attributes.extend(error.clone());
            attributes
        });
        let Some(recording) = self.recording.take() else { return };
        let status = if error.is_some() { Status::error("") } else { Status::Unset };
        error.into_iter().for_each(|error| recording.annotate(error));
        let name = format!("{operation} {table}");
        recording.end(&self.telemetry, name.into(), elapsed, status);
    }
}

fn record(telemetry: &Telemetry, statement: Statement) -> Option<Arc<Recording>> {
    let context = Context::current();
    let parent = context.as_ref().and_then(|context| context.trace.as_ref());
    let trace = ids::next(parent, telemetry.sample_ratio());
    let recording = Recording::start(telemetry, &trace, parent, SpanKind::Client)?;
    recording.annotate(KeyValue::new("db.system.name", statement.system));
    recording.annotate(KeyValue::new("db.operation.name", statement.operation));
    recording.annotate(KeyValue::new("db.collection.name", statement.table));
    Some(recording)
}
