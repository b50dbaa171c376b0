//! The connections to one instance.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response};
use regatta_core::Endpoint;
use tokio_util::task::TaskTracker;

use super::error::{ConnectError, Unanswered};
use super::http1::{self, Idle};
use super::http2::{self, Connection, Connections, Place};
use super::{Connect, PooledBody, Protocol, Stream};
use crate::body::RequestBody;

/// How connections are bounded; as of each call, so that a change needs no new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_idle: usize,
    pub(crate) max_http2: usize,
}

/// The connections to one instance. Closed or dropped, it drains: what is idle closes at once, what
/// is in flight finishes, and no request begins.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

/// What the pool shares with the connections that return to it.
pub(super) struct Shared {
    endpoint: Endpoint,
    connector: Arc<dyn Connect>,
    pub(super) tasks: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// The one used last at the end: it is the freshest.
    idle: Vec<Idle>,
    http2: Connections,
}

impl Pool {
    /// No connection yet. The connections' tasks belong to the tracker.
    pub(crate) fn new(endpoint: Endpoint, connector: Arc<dyn Connect>, tasks: TaskTracker) -> Self {
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { endpoint, connector, tasks, state }) }
    }

    /// Sends a request over a connection that waits, else a new one, and returns the answer's head.
    ///
    /// Dropping the future closes an HTTP/1.1 connection and resets an HTTP/2 stream.
    pub(crate) async fn send(
        &self,
        protocol: Protocol,
        limits: Limits,
        request: Request<RequestBody>,
    ) -> Result<Response<PooledBody>, Unanswered> {
        match protocol {
            Protocol::Http => http1::send(&self.shared, limits, request).await,
            Protocol::Grpc => http2::send(&self.shared, limits, request).await,
        }
    }

    /// Closes what is idle and lets no request begin.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        state.idle.clear();
        state.http2.clear();
    }

    /// Closes what was idle for longer than the limit.
    pub(crate) fn reap(&self, now: Instant, limits: &Limits) {
        let mut state = self.shared.lock();
        state.idle.retain(|idle| idle.is_usable(now, limits));
        state.http2.reap(now, limits.idle_timeout);
    }

    /// Connections that are open for the next request: idle ones of HTTP/1.1, and all of HTTP/2.
    pub(crate) fn open(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.idle.len(), state.http2.len())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    pub(super) fn take_idle(&self, limits: &Limits) -> Option<http1::Sender> {
        let now = crate::call::now();
        let mut state = self.lock();
        while let Some(idle) = state.idle.pop() {
            if idle.is_usable(now, limits) {
                return Some(idle.sender);
            }
        }
        None
    }

    /// Keeps a connection for the next request, if there is room for it.
    pub(super) fn keep(&self, sender: http1::Sender, limits: &Limits) {
        let since = crate::call::now();
        let mut state = self.lock();
        if !state.is_closed && state.idle.len() < limits.max_idle {
            state.idle.push(Idle { sender, since });
        }
    }

    pub(super) fn place(self: &Arc<Self>, limits: &Limits) -> Result<Place, ConnectError> {
        let now = crate::call::now();
        let mut state = self.lock();
        if state.is_closed {
            return Err(ConnectError::Removed);
        }
        Ok(state.http2.place(now, limits.max_http2, |known| http2::connect(self, *limits, known)))
    }

    pub(super) fn add(&self, connection: Connection) -> Result<(), ConnectError> {
        let now = crate::call::now();
        let mut state = self.lock();
        if state.is_closed {
            return Err(ConnectError::Removed);
        }
        state.http2.add(connection, now);
        Ok(())
    }

    /// Opens a stream to the instance.
    pub(super) async fn open(&self, within: Duration) -> Result<Stream, ConnectError> {
        if self.lock().is_closed {
            return Err(ConnectError::Removed);
        }
        match tokio::time::timeout(within, self.connector.connect(&self.endpoint)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(ConnectError::Io(Arc::new(error))),
            Err(_elapsed) => Err(ConnectError::Timeout { within }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
