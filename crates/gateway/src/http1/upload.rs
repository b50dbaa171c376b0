//! A request's body on its way to the upstream.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use super::chunked::{self, Decoder, Output};
use super::io::read_some;
use super::{Body, Refusal};
use crate::policy::{Denial, Rules};
use crate::worker::alarm::{Alarm, TimedOut};
use crate::worker::buffer::Buffer;

/// Why a body did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadError {
    /// It breaks the grammar or is too long.
    Refused(Refusal),
    /// The client stopped sending.
    TooSlow,
    /// The client left.
    Gone,
    /// The upstream stopped reading; its answer may say why.
    Upstream,
}

impl UploadError {
    /// What the client is told; none when it is not there or not at fault.
    pub(crate) fn denial(self) -> Option<Denial> {
        match self {
            Self::Refused(refusal) => Some(refusal.into()),
            Self::TooSlow => Some(Denial::body_too_slow()),
            Self::Gone | Self::Upstream => None,
        }
    }
}

/// Bytes of a body that are kept to send it again; a longer one is sent once. As in the calls of
/// services and over HTTP/2.
const MOST_KEPT: usize = 64 * 1024;

/// How much of a body has been passed on.
#[derive(Debug)]
pub(crate) struct Upload {
    left: Left,
    /// Bytes of data that may still come.
    allowed: u64,
    /// Whether what is written is kept, up to [`MOST_KEPT`].
    keeps: bool,
    /// Whether something was written that is not kept.
    is_lost: bool,
    /// Taken from the client, framed; what is not yet written, so that a sender that is dropped
    /// half-way leaves no hole in the body, and before it what is kept.
    pending: Vec<u8>,
    /// How much of `pending` is written.
    written: usize,
}

#[derive(Debug)]
enum Left {
    Nothing,
    Bytes(u64),
    Chunks(Box<Decoder>),
}

impl Upload {
    /// Appends the body to the head as far as it has come and its framing is known.
    ///
    /// `may_repeat` is whether the request may be sent again, if its body is at hand.
    ///
    /// # Errors
    ///
    /// [`UploadError::Refused`] when what has come breaks the grammar.
    pub(crate) fn begin(
        body: Body,
        buffer: &mut Buffer,
        out: &mut Vec<u8>,
        most: u64,
        may_repeat: bool,
    ) -> Result<Self, UploadError> {
        let left = match body {
            Body::None | Body::UntilClose | Body::Length(0) => Left::Nothing,
            Body::Length(length) => Left::Bytes(length),
            Body::Chunked => Left::Chunks(Box::default()),
        };
        let is_long = matches!(left, Left::Bytes(length) if length > MOST_KEPT as u64);
        let mut upload = Self {
            left,
            allowed: most,
            keeps: may_repeat && !is_long,
            is_lost: false,
            pending: Vec::new(),
            written: 0,
        };
        match upload.left {
            Left::Bytes(length) if length <= buffer.filled().len() as u64 => {
                upload.step(buffer, out)?;
            }
            Left::Chunks(_) => upload.step(buffer, out)?,
            Left::Bytes(_) | Left::Nothing => (),
        }
        Ok(upload)
    }

    /// Whether all of it is with the upstream.
    pub(crate) fn is_done(&self) -> bool {
        self.is_taken() && self.written == self.pending.len()
    }

    /// Whether all of it is taken from the client, so that the next request may follow.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    /// Whether what was taken from the client is still at hand, so that it can be sent again.
    pub(crate) fn may_come_again(&self) -> bool {
        !self.is_lost
    }

    /// Begins again, behind what stands in the head's buffer.
    pub(crate) fn rewind(&mut self) {
        debug_assert!(!self.is_lost, "what is lost is sent once");
        self.written = 0;
    }

    /// Keeps nothing any more: the answer stands.
    pub(crate) fn settle(&mut self) {
        self.keeps = false;
        self.drop_written();
    }

    /// Drops what is written, unless it is kept.
    fn drop_written(&mut self) {
        if self.written < self.pending.len() || self.pending.is_empty() {
            return;
        }
        self.keeps &= self.pending.len() <= MOST_KEPT;
        if !self.keeps {
            self.is_lost = true;
            self.written = 0;
            self.pending.clear();
            if self.is_taken() {
                self.pending = Vec::new();
            }
        }
    }

    /// Moves what is in the buffer to `out`, framed for the upstream.
    fn step(&mut self, buffer: &mut Buffer, out: &mut Vec<u8>) -> Result<(), UploadError> {
        match &mut self.left {
            Left::Nothing => (),
            Left::Bytes(left) => {
                let filled = buffer.filled();
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(filled.len());
                out.extend_from_slice(&filled[..take]);
                buffer.consume(take);
                *left -= take as u64;
                if *left == 0 {
                    self.left = Left::Nothing;
                }
            }
            Left::Chunks(decoder) => {
                let before = out.len();
                let taken = decoder
                    .feed(buffer.filled(), Output::Plain, out)
                    .map_err(|error| UploadError::Refused(Refusal::Malformed(error.0)))?;
                buffer.consume(taken);
                let data = out.split_off(before);
                self.allowed = self
                    .allowed
                    .checked_sub(data.len() as u64)
                    .ok_or(UploadError::Refused(Refusal::BodyTooLong))?;
                chunked::append(Output::Chunks, &data, out);
                if decoder.is_done() {
                    chunked::finish(decoder.trailers(), out)
                        .map_err(|error| UploadError::Refused(Refusal::Malformed(error.0)))?;
                    self.left = Left::Nothing;
                }
            }
        }
        Ok(())
    }
}

/// Sends the rest of a body as it comes; the upstream's pace holds the client back.
///
/// # Errors
///
/// [`UploadError`] says which side ended it.
///
/// # Cancel safety
///
/// Cancel safe: what is taken from the client and not written stays in `body`, and the next call
/// goes on from there.
pub(crate) async fn run<R, W>(
    client: &mut R,
    upstream: &mut W,
    buffer: &mut Buffer,
    body: &mut Upload,
    rules: &Rules,
) -> Result<(), UploadError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let idle = rules.timeouts.body_idle;
    let mut alarm = Alarm::new(Instant::now() + idle);
    loop {
        let mut pending = std::mem::take(&mut body.pending);
        let stepped = body.step(buffer, &mut pending);
        body.pending = pending;
        stepped?;
        while body.written < body.pending.len() {
            let write = upstream.write(&body.pending[body.written..]);
            match alarm.within(Instant::now() + idle, write).await {
                Ok(Ok(count)) if count > 0 => body.written += count,
                Ok(_) | Err(TimedOut) => return Err(UploadError::Upstream),
            }
        }
        body.drop_written();
        if body.is_taken() {
            return Ok(());
        }
        match alarm.within(Instant::now() + idle, read_some(client, buffer, 64 * 1024)).await {
            Ok(Ok(0)) | Ok(Err(_)) => return Err(UploadError::Gone),
            Ok(Ok(_)) => (),
            Err(TimedOut) => return Err(UploadError::TooSlow),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::poll;
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_sender_that_is_dropped_half_way_leaves_no_hole() {
        let rules = Rules::compile(&crate::Settings::default(), &BTreeMap::new(), None).unwrap();
        let sent: Vec<u8> = (0..100).collect();
        let (mut client, mut near) = duplex(1024);
        client.write_all(&sent).await.unwrap();
        // Room for sixteen bytes: the rest of what is taken from the client waits.
        let (mut upstream, mut service) = duplex(16);
        let mut buffer = Buffer::default();
        let begun = Upload::begin(Body::Length(100), &mut buffer, &mut Vec::new(), 1000, false);
        let mut body = begun.unwrap();

        {
            let sending = run(&mut near, &mut upstream, &mut buffer, &mut body, &rules);
            assert!(poll!(std::pin::pin!(sending)).is_pending());
        }
        assert!(!body.is_done(), "bytes still wait");
        let mut received = vec![0; 100];
        let (result, read) = tokio::join!(
            run(&mut near, &mut upstream, &mut buffer, &mut body, &rules),
            service.read_exact(&mut received),
        );
        assert_eq!((result, read.unwrap()), (Ok(()), 100));
        assert_eq!(received, sent);
        assert!(body.is_done());
    }
}
