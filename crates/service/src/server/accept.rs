//! The accept loop: at most so many connections, closed politely.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower_service::Service;

use super::connection;
use super::limits::Limits;
use super::phase::Phase;
use super::watchdog::Watchdog;
use crate::serve::Peer;

/// Connections that may wait in the kernel's queue.
const BACKLOG: i32 = 1024;

/// Pause after an error such as running out of file descriptors, which only time can cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds the port. Port 0 takes any free one.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for connections of the old process to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until the phase is closed and the last request in flight is answered, or its time is
/// over ([`Phase::cut_off`]). Returns the number of connections that were cut off.
pub(crate) async fn serve<S, F, B>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    phase: Phase,
) -> usize
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future = F>,
    S: Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let builder = Arc::new(builder(&limits));
    let semaphore = Arc::new(Semaphore::new(limits.max_connections));
    let mut connections = JoinSet::new();
    let spawn = |stream: TcpStream, peer: SocketAddr, permit, connections: &mut JoinSet<()>| {
        prepare(&stream);
        let watchdog = Watchdog::new(&limits);
        let (builder, service, phase) = (builder.clone(), service.clone(), phase.clone());
        let peer = limits.tells_peers.then_some(Peer(peer.ip()));
        let stream = (stream, peer, permit);
        connections.spawn(connection::serve(stream, builder, service, watchdog, phase));
    };
    loop {
        // Reaps what has ended, so that the set holds open connections only.
        while connections.try_join_next().is_some() {}
        let accept = async {
            let permit = semaphore.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            biased;
            () = phase.closed().cancelled() => break,
            accepted = accept => accepted,
        };
        match (permit, stream) {
            (Ok(permit), Ok((stream, peer))) => spawn(stream, peer, permit, &mut connections),
            (Err(_closed), _) => break,
            (_, Err(error)) if is_of_one_connection(&error) => (),
            (_, Err(error)) => {
                tracing::error!(%error, "cannot accept connections; pausing");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Connections that the kernel has accepted for us belong to us: closing now would reset them.
    while let Ok(permit) = semaphore.clone().try_acquire_owned() {
        match listener.accept().now_or_never() {
            Some(Ok((stream, peer))) => spawn(stream, peer, permit, &mut connections),
            _ => break,
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    let _elapsed = tokio::time::timeout_at(phase.cut_off(), finish).await;
    let cut_off = connections.len();
    connections.shutdown().await;
    cut_off
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The watchdog does this; see there.
        .header_read_timeout(None)
        // What does not fit is answered with 431.
        .max_buf_size(limits.max_header_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams)
        .keep_alive_interval(limits.http2_keep_alive)
        .keep_alive_timeout(limits.http2_keep_alive)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX));
    builder
}

fn prepare(stream: &TcpStream) {
    // Answers are written whole; Nagle's algorithm would only delay the last segment.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}

/// Whether the error speaks of the connection and not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
