//! HTTP/1.1 connections: one request at a time, kept for the next.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use http::{Request, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::body::{Held, PooledBody};
use super::error::{ConnectError, Unanswered};
use super::pool::{Limits, Shared};
use crate::body::RequestBody;
use crate::feed::Feed;
use crate::upload::Progress;

pub(super) type Sender = http1::SendRequest<RequestBody>;

/// A connection that waits for its next request.
pub(super) struct Idle {
    pub(super) sender: Sender,
    pub(super) since: Instant,
}

impl Idle {
    /// Whether it may still be open and its server still wait. Unless the limit is well under the
    /// server's own, a request could meet the closing of the connection half-way.
    pub(super) fn is_usable(&self, now: Instant, limits: &Limits) -> bool {
        now.saturating_duration_since(self.since) < limits.idle_timeout && !self.sender.is_closed()
    }
}

/// Sends over an idle connection, else over a new one.
///
/// An idle connection may be closing just now. What it hands back untouched goes over the next
/// one, so the race costs nothing; this ends, because each round uses up an idle connection.
pub(super) async fn send(
    shared: &Arc<Shared>,
    limits: Limits,
    mut request: Request<RequestBody>,
) -> Result<Response<PooledBody>, Unanswered> {
    let feed = request.body().feed();
    loop {
        let (mut sender, is_new) = match shared.take_idle(&limits) {
            Some(sender) => (sender, false),
            None => match connect(shared, limits).await {
                Ok(sender) => (sender, true),
                Err(error) => return Err(Unanswered::unconnected(error, request)),
            },
        };
        // The body before this one has ended, and the connection is about to notice.
        if sender.ready().await.is_err() && !is_new {
            continue;
        }
        match sender.try_send_request(request).await {
            Ok(response) => {
                let lease = Lease { sender, pool: Arc::downgrade(shared), limits, feed };
                let held = Held::Http1(lease);
                return Ok(response.map(|incoming| PooledBody::new(incoming, held)));
            }
            Err(mut error) if !is_new => match error.take_message() {
                Some(untouched) => request = untouched,
                None => return Err(Unanswered::broken(error, true)),
            },
            Err(error) => return Err(Unanswered::broken(error, false)),
        }
    }
}

async fn connect(shared: &Arc<Shared>, limits: Limits) -> Result<Sender, ConnectError> {
    let stream = shared.open(limits.connect_timeout).await?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) =
        handshake.map_err(|error| ConnectError::Handshake(Arc::new(error)))?;
    // Ends with its sender, or when the other side closes.
    shared.tasks.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP/1.1 connection ended badly");
        }
    });
    Ok(sender)
}

/// A connection in use. Dropped, it closes the connection.
pub(super) struct Lease {
    sender: Sender,
    pool: Weak<Shared>,
    limits: Limits,
    feed: Option<Feed>,
}

impl Lease {
    /// The answer was read to its end: keeps the connection for the next request, unless half a
    /// request is on it.
    pub(super) fn give_back(self) {
        let progress = self.feed.as_ref().and_then(Feed::progress);
        let is_sending = progress.is_some_and(Progress::is_sending);
        if let Some(pool) = self.pool.upgrade()
            && !self.sender.is_closed()
            && !is_sending
        {
            pool.keep(self.sender, &self.limits);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}
