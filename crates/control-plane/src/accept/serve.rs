//! Accepts connections and serves them, bounded, until drain.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::mended::Mended;
use super::pace::Pace;
use super::watched::{Counted, Counts, Watched};
use crate::tls::Tls;

/// How often an HTTP/2 client is asked whether it is there, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How connections are bounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_connections: usize,
    /// Requests at once on one HTTP/2 connection.
    pub(crate) max_streams: u32,
    pub(crate) header_read_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) drain_timeout: Duration,
}

/// Serves the routes on every connection until `drain`, then lets requests in flight finish for at
/// most the drain timeout.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    routes: Router,
    bounds: Bounds,
    drain: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(bounds.max_connections.min(Semaphore::MAX_PERMITS)));
    let (graceful, connections) = (GracefulShutdown::new(), TaskTracker::new());
    let cut = CancellationToken::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // What takes too long is closed by its pace; see there.
        .header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        // A client that vanished without a word is noticed although its streams wait for ever.
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(bounds.max_streams);
    loop {
        let accept = async {
            // Taken before accepting: what is too much waits in the kernel's queue.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, accept(&listener).await)
        };
        let (place, stream) = tokio::select! {
            () = drain.cancelled() => break,
            accepted = accept => accepted,
        };
        let acceptor = tls.as_ref().map(Tls::acceptor);
        let (builder, routes) = (builder.clone(), routes.clone());
        let (watcher, cut) = (graceful.watcher(), cut.clone());
        connections.spawn(async move {
            let served = async {
                let Some(acceptor) = acceptor else {
                    return serve_one(&builder, stream, routes, watcher, bounds).await;
                };
                // A client that does not go on with its handshake loses its place.
                let limit = bounds.header_read_timeout;
                match tokio::time::timeout(limit, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => serve_one(&builder, stream, routes, watcher, bounds).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a client failed its TLS handshake"),
                    Err(_) => tracing::debug!("a client did not finish its TLS handshake in time"),
                }
            };
            tokio::select! {
                () = served => (),
                () = cut.cancelled() => (),
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(bounds.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight after the drain timeout; cut");
    }
    cut.cancel();
    connections.wait().await;
}

/// Serves the requests of one connection, for as long as it keeps its pace.
async fn serve_one(
    builder: &Builder<TokioExecutor>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    routes: Router,
    watcher: Watcher,
    bounds: Bounds,
) {
    let counts = Arc::new(Counts::default());
    let stream = Mended::new(Watched::new(stream, Arc::clone(&counts)));
    let service = Counted::new(TowerToHyperService::new(routes), Arc::clone(&counts));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let mut served = pin!(watcher.watch(connection));
    let mut pace = Pace::new(bounds.header_read_timeout, bounds.idle_timeout);
    let mut looks = tokio::time::interval(pace.period());
    loop {
        tokio::select! {
            ended = &mut served => {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection ended badly");
                }
                return;
            }
            now = looks.tick() => if pace.is_over(now.into_std(), counts.activity()) {
                tracing::debug!("a connection was silent for too long; closed");
                return;
            }
        }
    }
}

/// Accepts one connection; an error such as too many open files is waited out.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                // Answers are small and waited for; a failure to say so only makes them later.
                let _slower = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again in 100 ms");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
