//! A connection that counts what goes through it: its stream and its requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::GREETING;
use super::pace::Activity;

/// Says that the first bytes were others.
const NO_GREETING: usize = usize::MAX;

/// What is counted of one connection. Relaxed ordering: the numbers guard nothing, and a look that
/// is late by one is put right by the next.
#[derive(Debug, Default)]
pub(super) struct Counts {
    requests: AtomicU64,
    in_flight: AtomicU64,
    is_reading: AtomicBool,
    /// Bytes of the greeting that came.
    greeted: AtomicUsize,
    written: AtomicU64,
}

impl Counts {
    pub(super) fn activity(&self) -> Activity {
        Activity {
            requests: self.requests.load(Relaxed),
            is_busy: self.in_flight.load(Relaxed) > 0,
            is_reading: self.is_reading.load(Relaxed),
            is_http2: self.greeted.load(Relaxed) == GREETING.len(),
            written: self.written.load(Relaxed),
        }
    }

    fn read(&self, bytes: &[u8]) {
        let missing = GREETING.get(self.greeted.load(Relaxed)..).unwrap_or_default();
        if !missing.is_empty() {
            let length = bytes.len().min(missing.len());
            match bytes[..length] == missing[..length] {
                true => _ = self.greeted.fetch_add(length, Relaxed),
                false => self.greeted.store(NO_GREETING, Relaxed),
            }
        }
        self.is_reading.store(true, Relaxed);
    }

    fn begin(self: &Arc<Self>) -> InFlight {
        self.requests.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// A request that is being answered.
#[derive(Debug)]
struct InFlight(Arc<Counts>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
        self.0.is_reading.store(false, Relaxed);
    }
}

/// A stream whose bytes are counted.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    counts: Arc<Counts>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, counts: Arc<Counts>) -> Self {
        Self { stream, counts }
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = result {
            self.counts.written.fetch_add(*bytes as u64, Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(bytes) = buffer.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.counts.read(bytes);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A service whose requests are counted.
#[derive(Clone, Debug)]
pub(super) struct Counted<S> {
    service: S,
    counts: Arc<Counts>,
}

impl<S> Counted<S> {
    pub(super) fn new(service: S, counts: Arc<Counts>) -> Self {
        Self { service, counts }
    }
}

impl<S, R> hyper::service::Service<R> for Counted<S>
where
    S: hyper::service::Service<R, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn call(&self, request: R) -> Self::Future {
        let (in_flight, answer) = (self.counts.begin(), self.service.call(request));
        Box::pin(async move {
            let answer = answer.await;
            drop(in_flight);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What is known of a connection after these pieces came.
    async fn after(pieces: &[&[u8]]) -> Activity {
        let counts = Arc::new(Counts::default());
        for piece in pieces {
            let mut watched = Watched::new(*piece, Arc::clone(&counts));
            watched.read_exact(&mut vec![0; piece.len()]).await.unwrap();
        }
        counts.activity()
    }

    #[tokio::test]
    async fn a_whole_greeting_is_http2_and_half_of_one_is_not() {
        assert!(after(&[GREETING]).await.is_http2);
        assert!(after(&[&GREETING[..1], &GREETING[1..], b"frames"]).await.is_http2);
        assert!(!after(&[&GREETING[..23]]).await.is_http2);
        assert!(!after(&[b"P", b"UT /v1/agent/service/register HTTP/1.1\r\n"]).await.is_http2);
        assert!(!after(&[b"PUT /v1/agent/service/register HTTP/1.1\r\n"]).await.is_http2);
        let nothing = after(&[]).await;
        assert!(!nothing.is_http2 && !nothing.is_reading);
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_answered() {
        let counts = Arc::new(Counts::default());
        counts.read(b"GET");
        let in_flight = counts.begin();
        assert!(counts.activity().is_busy);
        drop(in_flight);
        let answered = Activity { requests: 1, ..Activity::default() };
        assert_eq!(counts.activity(), answered);
    }
}
