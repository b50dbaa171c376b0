//! A client's connection: waits without a buffer, serves requests in order.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFuture;

use super::admit::{Admitted, admit, refused};
use super::exchange;
use super::io::{read_some, write_all};
use crate::http2;
use crate::policy::{Denial, Settled};
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
    let mut most = shared.rules.load().timeouts.header_read;
    let mut alarm = Alarm::new(Instant::now() + most);
    let drain = shared.drain.clone();
    let begins = std::pin::pin!(drain.cancelled());
    let mut drain = Drain { begins, is_awaited: false };
    while becomes_readable(&stream, &shared, &mut drain, &mut alarm, most).await {
        // Boxed, so that an idle connection does not hold the room an active one needs.
        let active = Box::pin(active(&mut stream, peer, &shared, &mut alarm));
        let (after, buffer) = active.await;
        match after {
            After::Again => most = shared.rules.load().timeouts.idle,
            After::Close => return,
            After::Linger => return linger(stream, &mut alarm).await,
            After::Http2 => return Box::pin(http2::serve(stream, buffer, peer, shared)).await,
        }
    }
}

/// What wakes a connection when the gateway drains.
struct Drain<'p, 't> {
    begins: Pin<&'p mut WaitForCancellationFuture<'t>>,
    /// It wakes the connection's task, which stays the same; waiting anew for each request would take
    /// locks that all cores share.
    is_awaited: bool,
}

/// Waits for the next request; false when the connection is to close.
async fn becomes_readable(
    stream: &TcpStream,
    shared: &Shared,
    drain: &mut Drain<'_, '_>,
    alarm: &mut Alarm,
    most: Duration,
) -> bool {
    let ready = poll_fn(|cx| {
        if let Poll::Ready(ready) = stream.poll_read_ready(cx) {
            return Poll::Ready(ready.is_ok());
        }
        let begun = shared.is_draining()
            || !std::mem::replace(&mut drain.is_awaited, true)
                && drain.begins.as_mut().poll(cx).is_ready();
        if begun { Poll::Ready(false) } else { Poll::Pending }
    });
    alarm.for_at_most(most, ready).await == Ok(true)
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
    let mut settled = Settled::default();
    let mut progress = HeadProgress::default();
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
        if !buffer.is_empty() && progress.is_worth_parsing(buffer.filled()) {
            let now = *started.get_or_insert_with(Instant::now);
            let bytes = buffer.filled();
            let (head, admitted) =
                admit(bytes, peer, shared, &rules, now, &mut settled, &mut out.0);
            match admitted {
                Admitted::More => (),
                Admitted::Wait(wait) => {
                    out.0.clear();
                    progress = HeadProgress::default();
                    wait.settle(shared, &rules, &mut settled).await;
                    continue;
                }
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
                    let write = write_all(stream, &out.0);
                    let written = alarm.for_at_most(rules.timeouts.body_idle, write).await;
                    let written = matches!(written, Ok(Ok(())));
                    record.finish(shared, Instant::now());
                    return match (written, keep_alive) {
                        (false, _) => After::Close,
                        (true, true) => After::Again,
                        (true, false) => After::Linger,
                    };
                }
            }
        }
        let time = rules.timeouts.header_read;
        let most = rules.limits.header_bytes.max(super::admit::HTTP2_PREFACE.len());
        let read = read_some(stream, buffer, most);
        let read = match started {
            Some(started) => alarm.within(started + time, read).await,
            None => alarm.for_at_most(time, read).await,
        };
        match read {
            Ok(Ok(0)) if buffer.is_empty() => return After::Close,
            Ok(Ok(0)) => {
                // A part of a request and then the end: nobody is there for an answer.
                return After::Close;
            }
            Ok(Ok(_)) => (),
            Ok(Err(_)) => return After::Close,
            Err(_) if buffer.is_empty() => return After::Close,
            Err(_) => {
                let now = started.unwrap_or_else(Instant::now);
                let denial = Denial::head_too_slow();
                let refused = refused(denial, peer, shared, now, &mut out.0);
                let deadline = Instant::now() + Duration::from_secs(1);
                _ = alarm.within(deadline, write_all(stream, &out.0)).await;
                if let Admitted::Answered { record, .. } = refused {
                    record.finish(shared, Instant::now());
                }
                return After::Close;
            }
        }
    }
}

/// How far a head that comes in pieces has been looked at, so that a client which sends it byte by
/// byte does not have it parsed anew for each.
#[derive(Debug, Default)]
struct HeadProgress {
    seen: usize,
    /// Parse again from here on, though no end is in sight: what is wrong is told early.
    again_at: usize,
}

impl HeadProgress {
    /// Whether the head may be whole, or has doubled since it was parsed last; what came first is.
    fn is_worth_parsing(&mut self, bytes: &[u8]) -> bool {
        // The end may lie across the seam.
        let fresh = &bytes[self.seen.saturating_sub(3).min(bytes.len())..];
        self.seen = bytes.len();
        let ends = || {
            fresh.windows(2).any(|pair| pair == b"\n\n")
                || fresh.windows(3).any(|three| three == b"\n\r\n")
        };
        if bytes.len() < self.again_at && !ends() {
            return false;
        }
        self.again_at = bytes.len() * 2;
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_comes_byte_by_byte_is_parsed_a_few_times_and_when_it_is_whole() {
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "y".repeat(1000));
        let mut progress = HeadProgress::default();
        let parsed: Vec<_> = (1..=head.len())
            .filter(|length| progress.is_worth_parsing(&head.as_bytes()[..*length]))
            .collect();
        assert!(parsed.len() <= 13, "{parsed:?}");
        assert_eq!(parsed.last(), Some(&head.len()));
        let mut progress = HeadProgress::default();
        assert!(progress.is_worth_parsing(b"GET / HTTP/1.1\r\nHost: h\r\n"));
        assert!(progress.is_worth_parsing(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
}
