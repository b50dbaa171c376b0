//! HTTP/2 connections: many streams each, and another connection when they are full.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared as SharedFuture, WeakShared};
use http::{Request, Response};
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::task::TaskTracker;

use super::body::{Held, PooledBody};
use super::error::{ConnectError, Unanswered};
use super::pool::{Limits, Shared};
use crate::body::RequestBody;

/// Time between two pings while streams are open, and for the answer to one: what servers of gRPC allow
/// by default, which end connections whose client pings more often (`GOAWAY`, `too_many_pings`). A
/// peer that vanished without a word is noticed sooner, by TCP; see [`super::TcpConnector`].
const PING: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(20));

/// A connection in the pool.
#[derive(Clone)]
pub(super) struct Connection {
    sender: http2::SendRequest<RequestBody>,
    streams: Arc<Streams>,
}

/// How many streams a connection has, and may have.
#[derive(Debug)]
struct Streams {
    open: AtomicUsize,
    /// What the peer allows; it may change it at any time.
    limit: AtomicUsize,
}

/// A stream that counts until it is dropped.
#[derive(Debug)]
pub(super) struct OpenStream(Arc<Streams>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        // A counter that orders nothing else.
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An attempt to connect that all callers without a connection wait for.
pub(super) type Connecting = SharedFuture<BoxFuture<'static, Result<Connection, ConnectError>>>;

/// The connections of one instance.
#[derive(Default)]
pub(super) struct Connections {
    open: Vec<(Connection, Instant)>,
    /// Weak: when all who wait for it have gone, so has the attempt.
    connecting: Option<WeakShared<BoxFuture<'static, Result<Connection, ConnectError>>>>,
}

/// Where the next stream goes.
pub(super) enum Place {
    On(Connection, OpenStream),
    After(Connecting),
}

impl Connections {
    /// A connection with room; else a new one, if there may be one more; else the emptiest, where
    /// the stream waits for its turn.
    pub(super) fn place(
        &mut self,
        now: Instant,
        most: usize,
        connect: impl FnOnce(Option<usize>) -> Connecting,
    ) -> Place {
        self.open.retain(|(connection, _)| !connection.sender.is_closed());
        let room = self.open.iter_mut().find(|(connection, _)| connection.has_room());
        if let Some((connection, used)) = room {
            *used = now;
            return connection.take();
        }
        if let Some(connecting) = self.connecting.as_ref().and_then(WeakShared::upgrade) {
            // Its result is in the pool already if it is done.
            if connecting.peek().is_none() {
                return Place::After(connecting);
            }
        }
        if self.open.len() < most.max(1) {
            // What the instance allows is not known of a new connection before its first frame.
            let known = self.open.first().map(|(connection, _)| connection.limit());
            let connecting = connect(known);
            self.connecting = connecting.downgrade();
            return Place::After(connecting);
        }
        let emptiest = self.open.iter_mut().min_by_key(|(connection, _)| connection.streams());
        let (connection, used) = emptiest.expect("there are as many as there may be, so some");
        *used = now;
        connection.take()
    }

    pub(super) fn add(&mut self, connection: Connection, now: Instant) {
        self.open.push((connection, now));
    }

    /// Forgets those that no stream has used for so long; without a sender they close.
    pub(super) fn reap(&mut self, now: Instant, idle_timeout: Duration) {
        self.open.retain(|(connection, used)| {
            let is_idle = now.saturating_duration_since(*used) >= idle_timeout;
            !connection.sender.is_closed() && (connection.streams() > 0 || !is_idle)
        });
    }

    /// Forgets all: they close when their last stream has ended.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.connecting = None;
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

impl Connection {
    fn streams(&self) -> usize {
        self.streams.open.load(Ordering::Relaxed)
    }

    fn limit(&self) -> usize {
        self.streams.limit.load(Ordering::Relaxed)
    }

    fn has_room(&self) -> bool {
        self.streams() < self.limit()
    }

    /// Called under the pool's lock, so that no two take the same place.
    fn take(&self) -> Place {
        self.streams.open.fetch_add(1, Ordering::Relaxed);
        Place::On(self.clone(), OpenStream(Arc::clone(&self.streams)))
    }
}

/// Sends over a connection with room.
///
/// A connection may be closing just now. What it hands back untouched goes over another one; after
/// a new connection did so too, the instance is at fault and the call may go elsewhere.
pub(super) async fn send(
    shared: &Arc<Shared>,
    limits: Limits,
    mut request: Request<RequestBody>,
) -> Result<Response<PooledBody>, Unanswered> {
    let mut connected = false;
    // Each round meets another connection that closes, or waits for a new one.
    for _ in 0..2 * limits.max_http2.max(1) + 2 {
        let (mut connection, stream) = match shared.place(&limits) {
            Ok(Place::On(connection, stream)) => (connection, stream),
            Ok(Place::After(connecting)) => match connecting.await {
                Ok(_) => {
                    connected = true;
                    continue;
                }
                Err(error) => return Err(Unanswered::unconnected(error, request)),
            },
            Err(error) => return Err(Unanswered::unconnected(error, request)),
        };
        match connection.sender.try_send_request(request).await {
            Ok(response) => {
                return Ok(response.map(|body| PooledBody::new(body, Held::Http2(stream))));
            }
            Err(mut error) if !connected => match error.take_message() {
                Some(untouched) => request = untouched,
                None => return Err(Unanswered::broken(error, true)),
            },
            Err(error) => return Err(Unanswered::broken(error, false)),
        }
    }
    Err(Unanswered::unconnected(ConnectError::Closes, request))
}

/// An attempt to connect that puts its connection into the pool; `streams` is what another
/// connection to the instance allows.
pub(super) fn connect(shared: &Arc<Shared>, limits: Limits, streams: Option<usize>) -> Connecting {
    let shared = Arc::clone(shared);
    let attempt = async move {
        let stream = shared.open(limits.connect_timeout).await?;
        let connection = handshake(TokioIo::new(stream), &shared.tasks, streams).await?;
        shared.add(connection.clone())?;
        Ok(connection)
    };
    attempt.boxed().shared()
}

async fn handshake(
    io: TokioIo<super::Stream>,
    tasks: &TaskTracker,
    streams: Option<usize>,
) -> Result<Connection, ConnectError> {
    let mut builder = http2::Builder::new(OnTracker(tasks.clone()));
    builder.timer(TokioTimer::new()).keep_alive_interval(PING.0).keep_alive_timeout(PING.1);
    if let Some(streams) = streams {
        builder.initial_max_send_streams(streams);
    }
    let (sender, connection) =
        builder.handshake(io).await.map_err(|error| ConnectError::Handshake(Arc::new(error)))?;
    let limit = AtomicUsize::new(connection.current_max_send_streams());
    let streams = Arc::new(Streams { open: AtomicUsize::new(0), limit });
    let told = Arc::clone(&streams);
    // Ends with its last sender and stream, or when the other side closes.
    tasks.spawn(async move {
        let mut connection = pin!(connection);
        let ended = poll_fn(|cx| {
            let polled = connection.as_mut().poll(cx);
            told.limit.store(connection.current_max_send_streams(), Ordering::Relaxed);
            polled
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "an HTTP/2 connection ended badly");
        }
    });
    Ok(Connection { sender, streams })
}

/// Spawns what hyper spawns where its owner waits for it.
#[derive(Clone)]
struct OnTracker(TaskTracker);

impl<F> Executor<F> for OnTracker
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("streams", &self.streams).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::transport::Stream;

    const SETTINGS: u8 = 4;
    const PING_FRAME: u8 = 6;

    /// The next frame's kind and flags; none when nothing comes within the time.
    async fn frame(peer: &mut DuplexStream, within: Duration) -> Option<(u8, u8)> {
        let mut head = [0; 9];
        timeout(within, peer.read_exact(&mut head)).await.ok()?.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        peer.read_exact(&mut payload).await.unwrap();
        Some((head[3], head[4]))
    }

    /// A connection, and the other end of it, which has said hello.
    async fn connected(tasks: &TaskTracker) -> (Connection, DuplexStream) {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        far.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await.unwrap();
        let io = TokioIo::new(Stream::new(near));
        let connection = handshake(io, tasks, None).await.unwrap();
        let mut preface = [0; 24];
        far.read_exact(&mut preface).await.unwrap();
        (connection, far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_is_pinged_no_more_often_than_servers_of_grpc_allow() {
        let tasks = TaskTracker::new();
        let (mut connection, mut far) = connected(&tasks).await;
        let request = Request::new(RequestBody::Full(http_body_util::Full::default()));
        let _answer = tasks.spawn(connection.sender.send_request(request));
        let began = Instant::now();
        loop {
            let (kind, flags) = frame(&mut far, Duration::from_secs(600)).await.unwrap();
            if kind == PING_FRAME && flags == 0 {
                break;
            }
        }
        assert!(began.elapsed() >= Duration::from_secs(300), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_not_pinged() {
        let tasks = TaskTracker::new();
        let (_connection, mut far) = connected(&tasks).await;
        while let Some((kind, _)) = frame(&mut far, Duration::from_secs(3600)).await {
            assert_ne!(kind, PING_FRAME);
        }
    }
}
