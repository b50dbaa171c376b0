//! What a connection's parts tell each other about it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::watchdog::Activity;

/// The first bytes of the HTTP/2 preface (RFC 9113, section 3.4), and its length.
const HTTP2_PREFACE: (&[u8], u64) = (b"PRI", 24);

/// Counts what happens on one connection.
///
/// All orderings are relaxed: the numbers guard no other memory, and a look that is late by one
/// request is corrected by the next.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Of the server's phase, whose tokens would cost each answer a lock.
    is_leaving: Arc<AtomicBool>,
    requests: AtomicU64,
    in_flight: AtomicU32,
    is_reading: AtomicBool,
    /// Bytes read, up to the first that is past the length of the preface.
    bytes: AtomicU64,
    /// Whether the first byte is that of the preface; no method of HTTP/1.1 in use begins with PRI.
    is_http2: AtomicBool,
    /// Whether the latest write found no room: the peer reads more slowly than we write.
    is_blocked: AtomicBool,
    /// Bytes written.
    written: AtomicU64,
}

impl Gauge {
    /// Of a connection of a server that says by this flag when clients are to go elsewhere.
    pub(super) fn new(is_leaving: Arc<AtomicBool>) -> Self {
        Self { is_leaving, ..Self::default() }
    }

    pub(super) fn activity(&self) -> Activity {
        Activity {
            requests: self.requests.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            is_reading: self.is_reading.load(Relaxed),
            // A peer that began the preface and stopped is as slow as any other.
            is_http2: self.is_http2.load(Relaxed) && self.bytes.load(Relaxed) >= HTTP2_PREFACE.1,
            is_blocked: self.is_blocked.load(Relaxed),
            written: self.written.load(Relaxed),
        }
    }

    fn read(&self, bytes: &[u8]) {
        let before = self.bytes.load(Relaxed);
        if before < HTTP2_PREFACE.1 {
            if before == 0 {
                self.is_http2.store(bytes.starts_with(HTTP2_PREFACE.0), Relaxed);
            }
            self.bytes.store(before + bytes.len() as u64, Relaxed);
        }
        if !self.is_reading.load(Relaxed) {
            self.is_reading.store(true, Relaxed);
        }
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = result {
            // One task at a time writes, so nothing is lost between load and store.
            self.written.store(self.written.load(Relaxed) + *bytes as u64, Relaxed);
        }
        let is_blocked = result.is_pending();
        if self.is_blocked.load(Relaxed) != is_blocked {
            self.is_blocked.store(is_blocked, Relaxed);
        }
    }

    /// A request's header is complete; it is in flight until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        // Only the connection's own task begins requests; they end anywhere.
        self.requests.store(self.requests.load(Relaxed) + 1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        self.is_reading.store(false, Relaxed);
        InFlight(self.clone())
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Gauge>);

impl InFlight {
    /// Whether clients are asked to go elsewhere.
    pub(super) fn is_leaving(&self) -> bool {
        self.0.is_leaving.load(Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

pin_project! {
    /// A body that keeps its request in flight until it is dropped, if it has the guard.
    pub(crate) struct InFlightBody<B> {
        #[pin]
        pub(crate) body: B,
        pub(crate) in_flight: Option<InFlight>,
    }
}

impl<B: Body> Body for InFlightBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request's body, read from the connection.
pub(super) struct RequestBody {
    pub(super) body: Incoming,
    pub(super) gauge: Arc<Gauge>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // The bytes that came since the header were this body and not the next header: a
        // connection that rests after an upload is idle. Those of a next header that came with
        // the last of the body are forgotten; its next byte tells of it.
        self.gauge.is_reading.store(false, Relaxed);
    }
}

pin_project! {
    /// A connection's stream of bytes, which tells the gauge what it reads and writes.
    pub(super) struct Gauged<T> {
        #[pin]
        pub(super) stream: T,
        pub(super) gauge: Arc<Gauge>,
        // Travels with the stream, so that an upgraded connection (WebSocket) still counts.
        pub(super) permit: OwnedSemaphorePermit,
    }
}

impl<T: AsyncRead> AsyncRead for Gauged<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        let result = this.stream.poll_read(cx, buffer);
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() {
            this.gauge.read(bytes);
        }
        result
    }
}

impl<T: AsyncWrite> AsyncWrite for Gauged<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let result = this.stream.poll_write(cx, bytes);
        this.gauge.wrote(&result);
        result
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let mut joined = [0; JOINED];
        let result = match join(slices, &mut joined) {
            Some(bytes) => this.stream.poll_write(cx, bytes),
            None => this.stream.poll_write_vectored(cx, slices),
        };
        this.gauge.wrote(&result);
        result
    }
}

/// Most bytes that are copied together to be written at once: a head and a short body.
const JOINED: usize = 512;

/// Several short slices as one, if they have room: the kernel takes one for some 150 ns less, and a
/// copy of so few bytes is a tenth of that.
fn join<'a>(slices: &[io::IoSlice<'_>], room: &'a mut [u8; JOINED]) -> Option<&'a [u8]> {
    if slices.len() < 2 {
        return None;
    }
    let mut length = 0;
    for slice in slices {
        let end = length + slice.len();
        room.get_mut(length..end)?.copy_from_slice(slice);
        length = end;
    }
    Some(&room[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_being_read_from_its_first_byte_to_its_request() {
        let gauge = Arc::new(Gauge::default());
        assert!(!gauge.activity().is_reading);
        gauge.read(b"GET / HT");
        assert!(gauge.activity().is_reading);
        let in_flight = gauge.begin();
        let during = gauge.activity();
        assert_eq!((during.is_reading, during.in_flight, during.requests), (false, 1, 1));
        drop(in_flight);
        assert_eq!(gauge.activity().in_flight, 0);
    }

    #[test]
    fn a_write_without_room_is_blocked_until_one_finds_it() {
        let gauge = Gauge::default();
        gauge.wrote(&Poll::Ready(Ok(7)));
        gauge.wrote(&Poll::Pending);
        let blocked = gauge.activity();
        assert_eq!((blocked.is_blocked, blocked.written), (true, 7));
        gauge.wrote(&Poll::Ready(Ok(3)));
        let free = gauge.activity();
        assert_eq!((free.is_blocked, free.written), (false, 10));
    }

    #[test]
    fn what_is_short_is_written_as_one_and_the_rest_as_it_is() {
        let join = |parts: &[&[u8]]| {
            let slices: Vec<_> = parts.iter().map(|part| io::IoSlice::new(part)).collect();
            super::join(&slices, &mut [0; JOINED]).map(<[u8]>::to_vec)
        };
        assert_eq!(join(&[b"head", b"", b"body"]).unwrap(), b"headbody");
        let most = [b'x'; JOINED];
        assert_eq!(join(&[&most[1..], b"y"]).unwrap().len(), JOINED);
        assert_eq!(join(&[&most, b"y"]), None);
        assert_eq!(join(&[b"alone"]), None);
    }

    #[test]
    fn only_a_whole_preface_makes_it_http2() {
        let gauge = Gauge::default();
        gauge.read(b"PRI * HTTP");
        assert!(!gauge.activity().is_http2);
        gauge.read(b"/2.0\r\n\r\nSM\r\n\r\n");
        assert!(gauge.activity().is_http2);
        let other = Gauge::default();
        other.read(b"GET /a/path/of/some/length HTTP/1.1\r\n");
        assert!(!other.activity().is_http2);
    }
}
