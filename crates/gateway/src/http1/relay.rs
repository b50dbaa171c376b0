//! A response on its way to the client.

use tokio::io::{AsyncRead, AsyncWrite};

use super::admit::Forward;
use super::chunked::{self, Decoder, Output};
use super::io::{read_some, write_all};
use super::write::{self, Frame};
use super::{Body, ResponseHead};
use crate::policy::Rules;
use crate::worker::alarm::Alarm;
use crate::worker::buffer::Buffer;

/// Below it a body is copied behind the head, so that both go out in one call.
const COPY: usize = 16 * 1024;

/// A body longer than this is moved through a larger buffer.
const LONG: u64 = 64 * 1024;

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relayed {
    /// The client has all of it; `reusable` says whether the upstream connection is.
    Whole { reusable: bool },
    /// The client broke off, or one side was silent for too long; the client must see that the body
    /// is cut off.
    Broken,
    /// The upstream cut it off, or broke its framing; the client must see it, too.
    CutOff,
}

/// What a response's head asks for.
#[derive(Debug)]
pub(crate) enum Start {
    Body(Plan),
    /// 101: from here on the bytes belong to another protocol.
    Switch,
}

/// How a body is passed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    body: Body,
    output: Output,
    reusable: bool,
}

/// Writes the client's head from the upstream's, and takes it out of the buffer.
///
/// # Errors
///
/// What makes the response one that cannot be passed on.
pub(crate) fn begin(
    response: &mut Buffer,
    head: &ResponseHead,
    forward: &mut Forward,
    out: &mut Vec<u8>,
) -> Result<Start, &'static str> {
    forward.record.status = head.status;
    if head.status == 101 {
        if !forward.upgrade || !head.upgrades {
            return Err("it switched protocols without being asked");
        }
        out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
        write::copy_lines(response.filled(), head.lines.starts(), head.length, head.dropped, out);
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        response.consume(head.length);
        return Ok(Start::Switch);
    }
    let takes_chunks = forward.minor_version == 1;
    let (frame, output) = match head.body {
        Body::None => (head.promised_length.map_or(Frame::None, Frame::Length), Output::Plain),
        Body::Length(length) => (Frame::Length(length), Output::Plain),
        Body::Chunked | Body::UntilClose if takes_chunks => (Frame::Chunks, Output::Chunks),
        Body::Chunked | Body::UntilClose => (Frame::Close, Output::Plain),
    };
    forward.keep_alive &= frame != Frame::Close;
    write::response_head(response.filled(), head, frame, &forward.common(), out);
    let plan = Plan { body: head.body, output, reusable: head.keep_alive };
    response.consume(head.length);
    Ok(Start::Body(plan))
}

/// Passes a body on as it comes; the client's pace holds the upstream back. `out` has the head.
///
/// # Cancel safety
///
/// Not cancel safe: a part may be written that the buffer no longer has.
pub(crate) async fn body<R, W>(
    upstream: &mut R,
    client: &mut W,
    response: &mut Buffer,
    out: &mut Vec<u8>,
    plan: Plan,
    rules: &Rules,
    alarm: &mut Alarm,
) -> Relayed
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let idle = rules.timeouts.body_idle;
    let mut left = match plan.body {
        Body::None | Body::Length(0) => Left::Nothing,
        Body::Length(length) => Left::Bytes(length),
        Body::Chunked => Left::Chunks(Box::default()),
        Body::UntilClose => Left::UntilClose,
    };
    let whole = Relayed::Whole { reusable: plan.reusable };
    loop {
        // What has come, behind whatever is not yet written.
        let direct = match left.step(response, out, plan.output) {
            Ok(direct) => direct,
            Err(_) => {
                // The head is gone to the client or about to: it gets what was good.
                _ = alarm.for_at_most(idle, write_all(client, out)).await;
                return Relayed::CutOff;
            }
        };
        if !out.is_empty() {
            let write = write_all(client, out);
            if !matches!(alarm.for_at_most(idle, write).await, Ok(Ok(()))) {
                return Relayed::Broken;
            }
            out.clear();
        }
        if direct > 0 {
            let write = write_all(client, &response.filled()[..direct]);
            if !matches!(alarm.for_at_most(idle, write).await, Ok(Ok(()))) {
                return Relayed::Broken;
            }
            response.consume(direct);
        }
        if matches!(left, Left::Nothing) {
            return whole;
        }
        if left.is_long() {
            response.grow(LONG as usize);
        }
        match alarm.for_at_most(idle, read_some(upstream, response, LONG as usize)).await {
            Ok(Ok(0)) if matches!(left, Left::UntilClose) => {
                if plan.output == Output::Chunks && chunked::finish(b"", out).is_err() {
                    return Relayed::Broken;
                }
                let write = write_all(client, out);
                let written = alarm.for_at_most(idle, write).await;
                out.clear();
                return if matches!(written, Ok(Ok(()))) { whole } else { Relayed::Broken };
            }
            Ok(Ok(count)) if count > 0 => (),
            Ok(_) => return Relayed::CutOff,
            Err(_) => return Relayed::Broken,
        }
    }
}

#[derive(Debug)]
enum Left {
    Nothing,
    Bytes(u64),
    Chunks(Box<Decoder>),
    UntilClose,
}

impl Left {
    /// Moves what has come to `out`, or says how many bytes of the buffer are to be written as they
    /// are, which saves copying long bodies.
    fn step(
        &mut self,
        response: &mut Buffer,
        out: &mut Vec<u8>,
        output: Output,
    ) -> Result<usize, chunked::BadChunk> {
        match self {
            Self::Nothing => Ok(0),
            Self::Bytes(left) => {
                let filled = response.filled();
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(filled.len());
                *left -= take as u64;
                if *left == 0 {
                    *self = Self::Nothing;
                }
                if out.is_empty() || take > COPY {
                    return Ok(take);
                }
                out.extend_from_slice(&filled[..take]);
                response.consume(take);
                Ok(0)
            }
            Self::Chunks(decoder) => {
                let taken = decoder.feed(response.filled(), output, out)?;
                response.consume(taken);
                if decoder.is_done() {
                    if output == Output::Chunks {
                        chunked::finish(decoder.trailers(), out)?;
                    }
                    *self = Self::Nothing;
                }
                Ok(0)
            }
            Self::UntilClose => {
                chunked::append(output, response.filled(), out);
                let length = response.filled().len();
                response.consume(length);
                Ok(0)
            }
        }
    }

    fn is_long(&self) -> bool {
        matches!(self, Self::Bytes(left) if *left > LONG)
    }
}
