//! One HTTP/2 connection of a client.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::forward;
use super::prefixed::Prefixed;
use super::reader::StreamSpawner;
use super::streams::Streams;
use crate::shared::Shared;
use crate::worker::buffer::Buffer;

/// A connection without a frame for this long is asked whether it lives, and closed if it is not.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// What a stream may send ahead of its reader: enough for a long fat pipe, bounded per connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Serves a connection whose first bytes are in `read`.
///
/// On drain the client gets GOAWAY and its open streams are finished.
///
/// # Cancel safety
///
/// Not cancel safe: dropping breaks the open streams.
pub(crate) async fn serve(stream: TcpStream, read: Buffer, peer: IpAddr, shared: Arc<Shared>) {
    let (limits, idle) = {
        let rules = shared.rules.load();
        (rules.limits, rules.timeouts.idle)
    };
    let streams = Arc::new(Streams::new(Instant::now()));
    let service = {
        let (shared, streams) = (Arc::clone(&shared), Arc::clone(&streams));
        service_fn(move |request| {
            let (shared, open) = (Arc::clone(&shared), streams.open());
            // Boxed: hyper and the runtime move a stream's future several times, all of its bytes.
            Box::pin(async move {
                Ok::<_, Infallible>(forward::serve(request, peer, open, &shared).await)
            })
        })
    };
    let io = TokioIo::new(Prefixed::new(read, stream));
    let connection = hyper::server::conn::http2::Builder::new(StreamSpawner)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = finish(&streams, idle, &shared) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = shared.stop.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        // A client that breaks off is an everyday event.
        tracing::debug!(%peer, error = %regatta_core::Chain(&error), "HTTP/2 connection ended");
    }
}

/// Ends when the gateway drains, or when the client has had no stream open for long.
async fn finish(streams: &Streams, idle: Duration, shared: &Shared) {
    tokio::select! {
        () = shared.drain.cancelled() => (),
        () = streams.unused_for(idle) => (),
    }
}
