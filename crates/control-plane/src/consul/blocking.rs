//! Answers reads with an index, at once or after a change.

use axum::response::Response;
use http::{HeaderValue, StatusCode};
use rand::Rng;
use serde_json::Value;
use tokio::time::Instant;

use super::app::{App, json};
use super::failure::Failure;
use super::query::Query;
use crate::registry::{State, Topic};

/// Answers with what `read` finds and the index of the topic; waits first if the query says so.
///
/// Cancel safe: a client that goes away frees its place.
pub(crate) async fn indexed(
    app: &App,
    query: &Query,
    topic: Topic,
    read: impl Fn(&State) -> Value,
) -> Result<Response, Failure> {
    query.check(&app.identity.datacenter)?;
    if let Some(blocking) = query.blocking()? {
        let Ok(_place) = app.blocked.clone().try_acquire_owned() else {
            let text = "too many blocking queries; raise `max_blocked_queries` or ask less often";
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, text));
        };
        let _counted = app.metrics.blocked();
        // Consul adds up to a sixteenth, so that clients started together do not stay together.
        let jitter = blocking.wait.mul_f64(rand::rng().random::<f64>() / 16.0);
        let deadline = Instant::now() + blocking.wait + jitter;
        let mut waking = app.engine.subscribe(topic.clone());
        while app.engine.read(|state| state.index_of(&topic)) <= blocking.index {
            tokio::select! {
                () = waking.woken() => (),
                () = tokio::time::sleep_until(deadline) => break,
                () = app.drain.cancelled() => break,
            }
        }
    }
    let (index, value) = app.engine.read(|state| (state.index_of(&topic), read(state)));
    let mut response = json(query, &value);
    let headers = response.headers_mut();
    headers.insert("x-consul-index", HeaderValue::from(index));
    headers.insert("x-consul-knownleader", HeaderValue::from_static("true"));
    headers.insert("x-consul-lastcontact", HeaderValue::from_static("0"));
    Ok(response)
}
