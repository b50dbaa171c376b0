//! Instances that are reached without a network: each connection is a pipe.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use regatta_client::{Client, Connect, Policies, Stream};
use regatta_core::Endpoint;
use regatta_discovery::{MemoryRegistry, Register, Registration};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Serves the same routes at every endpoint.
#[derive(Clone)]
pub(crate) struct Memory {
    routes: Router,
    server: Builder<TokioExecutor>,
    tasks: TaskTracker,
    /// Connections opened so far, and still open.
    opened: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    /// Whether a server closes each connection after its first answer, without saying so.
    closes: bool,
    /// Nothing connects until this is cancelled.
    gate: CancellationToken,
}

impl Memory {
    pub(crate) fn new(routes: Router) -> Self {
        let (server, gate) = (Builder::new(TokioExecutor::new()), CancellationToken::new());
        gate.cancel();
        let (tasks, opened, open) = (TaskTracker::new(), Arc::default(), Arc::default());
        Self { routes, server, tasks, opened, open, closes: false, gate }
    }

    /// Allows so many streams on each HTTP/2 connection.
    pub(crate) fn with_streams(mut self, most: u32) -> Self {
        self.server.http2().max_concurrent_streams(most);
        self
    }

    /// Closes each connection right after its first answer.
    pub(crate) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Connects nobody before the gate is opened.
    pub(crate) fn gated(mut self) -> (Self, CancellationToken) {
        self.gate = CancellationToken::new();
        let gate = self.gate.clone();
        (self, gate)
    }

    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Waits until so many connections are open.
    pub(crate) async fn until_open(&self, wanted: usize) {
        let settled = async {
            while self.open() != wanted {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        let patience = std::time::Duration::from_secs(1);
        let settled = tokio::time::timeout(patience, settled).await;
        assert!(settled.is_ok(), "{} connections are open, not {wanted}", self.open());
    }

    /// Waits until at most so many connections are open.
    pub(crate) async fn until_open_at_most(&self, most: usize) {
        let settled = async {
            while self.open() > most {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        let patience = std::time::Duration::from_secs(1);
        let settled = tokio::time::timeout(patience, settled).await;
        assert!(settled.is_ok(), "{} connections are open, not {most}", self.open());
    }

    /// A client that finds so many instances of `user-service` here.
    pub(crate) async fn client(
        &self,
        instances: u16,
        policies: impl Into<Policies>,
    ) -> (Client, MemoryRegistry) {
        let registry = MemoryRegistry::new();
        for port in 1..=instances {
            registry.register(&Registration::new(instance(port))).await.unwrap();
        }
        let found = Arc::new(registry.clone());
        (Client::with_connector(found, policies, Arc::new(self.clone())).unwrap(), registry)
    }
}

pub(crate) fn instance(port: u16) -> regatta_core::Instance {
    let endpoint = Endpoint::try_new("127.0.0.1", port).unwrap();
    regatta_core::Instance::new(crate::fleet::name(), endpoint)
}

#[async_trait]
impl Connect for Memory {
    async fn connect(&self, _: &Endpoint) -> io::Result<Stream> {
        self.gate.cancelled().await;
        let (near, far) = tokio::io::duplex(64 << 10);
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        let (server, open, closes) = (self.server.clone(), Arc::clone(&self.open), self.closes);
        let (answered, routes) = (CancellationToken::new(), self.routes.clone());
        let told = answered.clone();
        let routes = routes.layer(axum::middleware::map_response(
            move |answer: axum::response::Response| {
                told.cancel();
                std::future::ready(answer)
            },
        ));
        self.tasks.spawn(async move {
            let connection =
                server.serve_connection(TokioIo::new(far), TowerToHyperService::new(routes));
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ended = connection.as_mut() => (),
                // Once more, so that the answer is written; then the pipe is dropped.
                () = answered.cancelled(), if closes => {
                    let write = tokio::task::yield_now();
                    tokio::select! { biased; _ended = connection => (), () = write => () }
                }
            }
            open.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(Stream::new(near))
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("open", &self.open).finish_non_exhaustive()
    }
}
