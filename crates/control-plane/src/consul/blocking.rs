//! Answers reads with an index, at once or after a change.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderValue, StatusCode};
use rand::Rng;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::app::{App, json};
use super::failure::Failure;
use super::filter::Filter;
use super::query::Query;
use crate::metrics::Blocked;
use crate::registry::{State, Topic};

/// Answers with what `read` finds and the index of the topic; waits first if the query says so.
/// `write` makes the answer of it when the registry's lock is free again: the writer waits for that
/// lock, and the answer may be long.
///
/// Cancel safe: a client that goes away frees its place.
pub(crate) async fn indexed<Rows>(
    app: &App,
    query: &Query,
    topic: Topic,
    read: impl FnOnce(&State) -> Rows,
    write: impl FnOnce(Rows) -> Value,
) -> Result<Response, Failure> {
    answer(app, query, topic, read, |rows| Ok(write(rows))).await
}

/// The same for an answer of which the query may want a part.
///
/// Cancel safe: a client that goes away frees its place.
pub(crate) async fn filtered<Rows>(
    app: &App,
    query: &Query,
    topic: Topic,
    read: impl FnOnce(&State) -> Rows,
    write: impl FnOnce(Rows) -> Value,
) -> Result<Response, Failure> {
    let filter = Filter::of(query)?;
    answer(app, query, topic, read, |rows| filter.apply(write(rows))).await
}

async fn answer<Rows>(
    app: &App,
    query: &Query,
    topic: Topic,
    read: impl FnOnce(&State) -> Rows,
    write: impl FnOnce(Rows) -> Result<Value, Failure>,
) -> Result<Response, Failure> {
    query.check(&app.identity.datacenter)?;
    hold(app, query, &topic).await?;
    let (index, rows) = app.engine.read(|state| (state.index_of(&topic), read(state)));
    Ok(with_index(json(query, &write(rows)?), index))
}

/// Waits, if the query says so, until the index of the topic exceeds the one it names.
///
/// Cancel safe: a client that goes away frees its place.
pub(crate) async fn hold(app: &App, query: &Query, topic: &Topic) -> Result<(), Failure> {
    let Some(held) = Held::begin(app, query)? else { return Ok(()) };
    let mut waking = app.engine.subscribe(topic.clone());
    while app.engine.read(|state| state.index_of(topic)) <= held.index {
        if !held.is_woken(waking.woken()).await {
            break;
        }
    }
    Ok(())
}

/// A blocking query's place.
#[derive(Debug)]
pub(crate) struct Held {
    /// The index that the client knows.
    pub(crate) index: u64,
    deadline: Instant,
    drain: CancellationToken,
    _place: OwnedSemaphorePermit,
    _counted: Blocked,
}

impl Held {
    /// A place for a query that blocks; none for one that does not.
    pub(crate) fn begin(app: &App, query: &Query) -> Result<Option<Self>, Failure> {
        match query.blocking()? {
            Some(blocking) => Self::hold(app, blocking.index, blocking.wait).map(Some),
            None => Ok(None),
        }
    }

    /// The same for a query that waits for another hash than the one it names.
    pub(crate) fn for_hash(app: &App, query: &Query) -> Result<Option<Self>, Failure> {
        match query.get("hash").filter(|hash| !hash.is_empty()) {
            Some(_) => Self::hold(app, 0, query.wait()?).map(Some),
            None => Ok(None),
        }
    }

    fn hold(app: &App, index: u64, wait: Duration) -> Result<Self, Failure> {
        let Ok(place) = app.blocked.clone().try_acquire_owned() else {
            let text = "too many blocking queries; raise `max_blocked_queries` or ask less often";
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, text));
        };
        // Consul adds up to a sixteenth, so that clients started together do not stay together.
        let jitter = wait.mul_f64(rand::rng().random::<f64>() / 16.0);
        Ok(Self {
            index,
            deadline: Instant::now() + wait + jitter,
            drain: app.drain.clone(),
            _place: place,
            _counted: app.metrics.blocked(),
        })
    }

    /// Waits for this; no when the time is over before or the control plane stops.
    ///
    /// Cancel safe if what it waits for is.
    pub(crate) async fn is_woken(&self, woken: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = woken => true,
            () = tokio::time::sleep_until(self.deadline) => false,
            () = self.drain.cancelled() => false,
        }
    }
}

/// The answer with its index.
pub(crate) fn with_index(mut response: Response, index: u64) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-consul-index", HeaderValue::from(index));
    headers.insert("x-consul-knownleader", HeaderValue::from_static("true"));
    headers.insert("x-consul-lastcontact", HeaderValue::from_static("0"));
    response
}
