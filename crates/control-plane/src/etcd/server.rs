//! etcd's interface to the store, as a part to run.

use std::net::SocketAddr;
use std::sync::Arc;

use regatta_telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::app::{App, Bounds, Member};
use super::routes::routes;
use crate::accept;
use crate::kv::{Defragmenter, Limits, Options, Store};
use crate::settings::{EtcdSettings, Settings};
use crate::shared::{Shared, observed};
use crate::tls::Tls;

/// Streams of one connection: clients have one for each watch, and many watches.
const MAX_STREAMS: u32 = 4096;

/// A listener with the store it serves, ready to run.
#[derive(Debug)]
pub(crate) struct EtcdServer {
    listener: TcpListener,
    tls: Option<Tls>,
    app: App,
    bounds: accept::Bounds,
}

impl EtcdServer {
    /// Serves this store.
    pub(crate) fn new(
        listener: TcpListener,
        reachable: SocketAddr,
        settings: &Settings,
        shared: Shared,
        store: Store,
        defragmenter: Defragmenter,
    ) -> Self {
        let etcd = &settings.etcd;
        let identity = store.read(|state, _| state.identity());
        let scheme = if shared.tls.is_some() { "https" } else { "http" };
        let client_url = format!("{scheme}://{reachable}");
        let member = Member { name: settings.node_name.clone(), client_url };
        let app = App {
            store,
            defragmenter,
            identity,
            member: Arc::new(member),
            bounds: Bounds {
                request_bytes: etcd.max_request_bytes,
                watchers: etcd.max_watchers,
                progress_interval: etcd.progress_interval,
                body_read_timeout: settings.body_read_timeout,
            },
            access: shared.access,
            metrics: shared.metrics,
            copies: shared.copies,
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
        };
        let bounds = accept::Bounds {
            max_connections: etcd.max_connections,
            max_streams: MAX_STREAMS,
            header_read_timeout: settings.header_read_timeout,
            idle_timeout: settings.idle_timeout,
            drain_timeout: settings.drain_timeout,
        };
        Self { listener, tls: shared.tls, app, bounds }
    }

    /// Serves until `drain`, then ends the streams, answers what is in flight and returns.
    pub(crate) async fn run(self, telemetry: Option<Telemetry>, drain: CancellationToken) {
        let Self { listener, tls, app, bounds } = self;
        let (tasks, streams) = (app.tasks.clone(), app.drain.clone());
        let end_streams = async {
            drain.cancelled().await;
            streams.cancel();
        };
        let routes = observed(routes(app), telemetry);
        let serve = accept::serve(listener, tls, routes, bounds, drain.clone());
        tokio::join!(serve, end_streams);
        tasks.close();
        tasks.wait().await;
    }
}

/// What the settings say about the store.
pub(crate) fn options(settings: &EtcdSettings) -> Options {
    Options {
        limits: Limits {
            txn_operations: settings.max_txn_operations,
            leases: settings.max_leases,
            quota_bytes: settings.quota_bytes,
        },
        history: settings.history,
        history_bytes: settings.max_history_bytes,
    }
}
