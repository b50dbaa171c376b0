//! Instances that are reached without a network: each connection is a pipe.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use regatta_client::{Client, Connect, Policies, Stream};
use regatta_core::Endpoint;
use regatta_discovery::{MemoryRegistry, Register, Registration};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
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
    /// The servers' ends.
    ends: Arc<Mutex<Vec<End>>>,
    /// Nothing connects until this is cancelled.
    gate: CancellationToken,
}

impl Memory {
    pub(crate) fn new(routes: Router) -> Self {
        let (server, gate) = (Builder::new(TokioExecutor::new()), CancellationToken::new());
        gate.cancel();
        let (tasks, opened, open) = (TaskTracker::new(), Arc::default(), Arc::default());
        Self { routes, server, tasks, opened, open, ends: Arc::default(), gate }
    }

    /// Allows so many streams on each HTTP/2 connection.
    pub(crate) fn with_streams(mut self, most: u32) -> Self {
        self.server.http2().max_concurrent_streams(most);
        self
    }

    /// Closes every connection at this very moment, before any task runs.
    pub(crate) fn cut(&self) {
        self.ends.lock().unwrap().drain(..).for_each(|end| drop(end.0.lock().unwrap().take()));
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
        let end = End(Arc::new(Mutex::new(Some(far))));
        self.ends.lock().unwrap().push(end.clone());
        let (server, open) = (self.server.clone(), Arc::clone(&self.open));
        let routes = TowerToHyperService::new(self.routes.clone());
        self.tasks.spawn(async move {
            drop(server.serve_connection(TokioIo::new(end), routes).await);
            open.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(Stream::new(near))
    }
}

/// A server's end of a pipe, until it is cut.
#[derive(Clone)]
struct End(Arc<Mutex<Option<DuplexStream>>>);

impl End {
    fn with<T>(&self, cut: T, act: impl FnOnce(Pin<&mut DuplexStream>) -> T) -> T {
        self.0.lock().unwrap().as_mut().map(|stream| act(Pin::new(stream))).unwrap_or(cut)
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(Poll::Ready(Ok(())), |stream| stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let cut = Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        self.with(cut, |stream| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(Poll::Ready(Ok(())), |stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(Poll::Ready(Ok(())), |stream| stream.poll_shutdown(cx))
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("open", &self.open).finish_non_exhaustive()
    }
}
