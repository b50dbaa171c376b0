//! What every handler needs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bounds::Bounds;
use super::events::Events;
use super::query::Query;
use crate::access::Access;
use crate::checks::SharedSchedule;
use crate::copies::Copies;
use crate::kv::{Defragmenter, Store};
use crate::metrics::Metrics;
use crate::store::Engine;

/// What every handler needs; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) schedule: SharedSchedule,
    pub(crate) identity: Arc<Identity>,
    /// One permit per blocking query.
    pub(crate) blocked: Arc<Semaphore>,
    pub(crate) bounds: Bounds,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    pub(crate) access: Access,
    pub(crate) max_body_bytes: usize,
    pub(crate) body_read_timeout: Duration,
    /// etcd's keys, for their figures.
    pub(crate) store: Store,
    /// Makes backups.
    pub(crate) defragmenter: Defragmenter,
    pub(crate) copies: Copies,
    /// What goes on behind an answer; shutdown waits for it.
    pub(crate) tasks: TaskTracker,
    /// Ends blocking queries early.
    pub(crate) drain: CancellationToken,
}

/// Who this control plane is to Consul's clients.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node: String,
    pub(crate) node_id: String,
    pub(crate) datacenter: String,
    pub(crate) address: SocketAddr,
}

impl Identity {
    /// Consul's version whose surface this is; clients decide by it what they may ask.
    pub(crate) const VERSION: &'static str = "1.8.7";
    /// Where a Consul server's own protocol would listen; nothing does here, but clients compare
    /// the places where this shows.
    pub(crate) const SERVER_PORT: u16 = 8300;

    pub(crate) fn leader(&self) -> String {
        SocketAddr::new(self.address.ip(), Self::SERVER_PORT).to_string()
    }
}

/// A JSON answer, indented when the query has `pretty`.
pub(crate) fn json(query: &Query, value: &Value) -> Response {
    let text = if query.flag("pretty") { format!("{value:#}\n") } else { value.to_string() };
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// The same for a type that writes itself.
pub(crate) fn json_text(query: &Query, value: &impl Serialize) -> Response {
    let text = match query.flag("pretty") {
        true => serde_json::to_vec_pretty(value),
        false => serde_json::to_vec(value),
    };
    let text = text.expect("answers have text keys only");
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
