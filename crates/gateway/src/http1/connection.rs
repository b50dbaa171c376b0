//! A client's connection: waits without a buffer, serves requests in order.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::admit::{Admitted, admit};
use super::exchange;
use super::io::{read_some, write_all};
use crate::http2;
use crate::shared::Shared;
use crate::worker::alarm::Alarm;
use crate::worker::buffer::{Buffer, Output};

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It serves the next one.
    Again,
    /// It closes; nothing of the client's is unread.
    Close,
    /// It closes, and the client may still be sending: what comes is read and dropped for a moment,
    /// since a reset would take the answer away from the client.
    Linger,
    /// It is HTTP/2.
    Http2,
}

/// How long a client may go on sending to a connection that closes, and how much.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Serves one client connection to its end.
///
/// # Cancel safety
///
/// Not cancel safe: a dropped connection breaks what is in flight.
pub(crate) async fn serve(mut stream: TcpStream, peer: IpAddr, shared: Arc<Shared>) {
    // The first request must come as soon as its head must; later ones may take the idle time.
    let mut deadline = Instant::now() + shared.rules.load().timeouts.header_read;
    let mut alarm = Alarm::new(deadline);
    while becomes_readable(&stream, &shared, &mut alarm, deadline).await {
        // Boxed, so that an idle connection does not hold the room an active one needs.
        let active = Box::pin(active(&mut stream, peer, &shared, &mut alarm));
        let (after, buffer) = active.await;
        match after {
            After::Again => deadline = Instant::now() + shared.rules.load().timeouts.idle,
            After::Close => return,
            After::Linger => return linger(stream, &mut alarm).await,
            After::Http2 => return Box::pin(http2::serve(stream, buffer, peer, shared)).await,
        }
    }
}

/// Waits for the next request; false when the connection is to close.
async fn becomes_readable(
    stream: &TcpStream,
    shared: &Shared,
    alarm: &mut Alarm,
    deadline: Instant,
) -> bool {
    let mut drained = std::pin::pin!(shared.drain.cancelled());
    let ready = poll_fn(|cx| {
        if let Poll::Ready(ready) = stream.poll_read_ready(cx) {
            return Poll::Ready(ready.is_ok());
        }
        drained.as_mut().poll(cx).map(|()| false)
    });
    alarm.within(deadline, ready).await == Ok(true)
}

/// Serves requests until none is at hand.
async fn active(
    stream: &mut TcpStream,
    peer: IpAddr,
    shared: &Arc<Shared>,
    alarm: &mut Alarm,
) -> (After, Buffer) {
    let mut buffer = Buffer::default();
    loop {
        let after = one(stream, &mut buffer, peer, shared, alarm).await;
        if after != After::Again || buffer.is_empty() {
            return (after, buffer);
        }
    }
}

/// Reads a head and does what it asks.
async fn one(
    stream: &mut TcpStream,
    buffer: &mut Buffer,
    peer: IpAddr,
    shared: &Arc<Shared>,
    alarm: &mut Alarm,
) -> After {
    let mut out = Output::default();
    let rules = shared.rules.load_full();
    let mut started = None;
    let mut forgiven = false;
    loop {
        if !buffer.is_empty() {
            // The first byte starts the clock, an empty line's too.
            started.get_or_insert_with(Instant::now);
        }
        if !forgiven && buffer.filled().starts_with(b"\r\n") {
            // One empty line before a request is forgiven (RFC 9112, section 2.2).
            buffer.consume(2);
            forgiven = true;
        }
        if !buffer.is_empty() {
            let now = *started.get_or_insert_with(Instant::now);
            let (head, admitted) = admit(buffer.filled(), peer, shared, &rules, now, &mut out.0);
            match admitted {
                Admitted::More => (),
                Admitted::Http2 => return After::Http2,
                Admitted::Forward(forward) => {
                    buffer.consume(head);
                    return exchange::run(
                        stream, buffer, &mut out.0, *forward, shared, &rules, alarm,
                    )
                    .await;
                }
                Admitted::Answered { keep_alive, record } => {
                    buffer.consume(head);
                    let deadline = now + rules.timeouts.body_idle;
                    let write = write_all(stream, &out.0);
                    let written = matches!(alarm.within(deadline, write).await, Ok(Ok(())));
                    record.finish(shared, Instant::now());
                    return match (written, keep_alive) {
                        (false, _) => After::Close,
                        (true, true) => After::Again,
                        (true, false) => After::Linger,
                    };
                }
            }
        }
        let deadline = started.unwrap_or_else(Instant::now) + rules.timeouts.header_read;
        let most = rules.limits.header_bytes.max(super::admit::HTTP2_PREFACE.len());
        match alarm.within(deadline, read_some(stream, buffer, most)).await {
            Ok(Ok(0)) if buffer.is_empty() => return After::Close,
            Ok(Ok(0)) => {
                // A part of a request and then the end: nobody is there for an answer.
                return After::Close;
            }
            Ok(Ok(_)) => (),
            Ok(Err(_)) => return After::Close,
            Err(_) if buffer.is_empty() => return After::Close,
            Err(_) => {
                let answer = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\
                               Connection: close\r\n\r\n";
                let deadline = Instant::now() + Duration::from_secs(1);
                _ = alarm.within(deadline, write_all(stream, answer)).await;
                return After::Close;
            }
        }
    }
}

async fn linger(mut stream: TcpStream, alarm: &mut Alarm) {
    let deadline = Instant::now() + LINGER;
    let drop_the_rest = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut buffer = Buffer::default();
        let mut seen = 0;
        while seen < LINGER_BYTES {
            match read_some(&mut stream, &mut buffer, 16 * 1024).await {
                Ok(count) if count > 0 => seen += count,
                _ => return,
            }
            let filled = buffer.filled().len();
            buffer.consume(filled);
        }
    };
    _ = alarm.within(deadline, drop_the_rest).await;
}
