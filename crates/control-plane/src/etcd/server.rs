//! The key-value store with etcd's interface to it, as a part to run.

use std::net::SocketAddr;
use std::sync::Arc;

use regatta_telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::app::{App, Bounds, Member};
use super::routes::routes;
use crate::accept;
use crate::kv::{Identity, Limits, LogError, Options, Store, Writer, open};
use crate::settings::{EtcdSettings, Settings};
use crate::shared::{Shared, observed};
use crate::tls::Tls;

/// Streams of one connection: clients have one for each watch, and many watches.
const MAX_STREAMS: u32 = 4096;

/// A listener with its store, ready to run.
#[derive(Debug)]
pub(crate) struct EtcdServer {
    listener: TcpListener,
    tls: Option<Tls>,
    app: App,
    writer: Writer,
    bounds: accept::Bounds,
}

impl EtcdServer {
    /// Opens the store; reads and writes files, so it is not for the runtime's threads.
    pub(crate) fn open(
        listener: TcpListener,
        reachable: SocketAddr,
        settings: &Settings,
        shared: Shared,
    ) -> Result<Self, LogError> {
        let etcd = &settings.etcd;
        let now = tokio::time::Instant::now().into_std();
        let fresh = Identity {
            cluster: rand::random_range(1..=u64::MAX),
            member: rand::random_range(1..=u64::MAX),
            term: 0,
        };
        let folder = settings.data_dir.join("kv");
        let (store, writer, defragmenter) = open(&folder, options(etcd), now, fresh)?;
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
            },
            access: shared.access,
            metrics: shared.metrics,
            snapshots: Arc::new(Semaphore::new(1)),
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
        };
        let bounds = accept::Bounds {
            max_connections: etcd.max_connections,
            max_streams: MAX_STREAMS,
            header_read_timeout: settings.header_read_timeout,
            drain_timeout: settings.drain_timeout,
        };
        Ok(Self { listener, tls: shared.tls, app, writer, bounds })
    }

    /// The store, for others in this process.
    pub(crate) fn store(&self) -> Store {
        self.app.store.clone()
    }

    /// Serves until `drain`, then ends the streams, answers what is in flight and returns.
    pub(crate) async fn run(self, telemetry: Option<Telemetry>, drain: CancellationToken) {
        let Self { listener, tls, app, writer, bounds } = self;
        let writing = TaskTracker::new();
        writing.spawn(writer.run());
        writing.close();
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
        // The writer ends when the last user of the store has.
        writing.wait().await;
    }
}

fn options(settings: &EtcdSettings) -> Options {
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
