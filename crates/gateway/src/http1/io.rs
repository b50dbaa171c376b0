//! Reads into lent buffers and whole writes, on halves that two futures may hold at once.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::worker::buffer::Buffer;

/// Reads what there is, at least a byte; 0 at the end of the stream or without room.
///
/// # Cancel safety
///
/// Cancel safe: what was read is in the buffer.
pub(crate) async fn read_some<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut Buffer,
    most: usize,
) -> io::Result<usize> {
    poll_fn(|cx| {
        let count = {
            let mut room = ReadBuf::new(buffer.room(most));
            match Pin::new(&mut *reader).poll_read(cx, &mut room) {
                Poll::Ready(read) => {
                    read?;
                    room.filled().len()
                }
                Poll::Pending => {
                    buffer.rest();
                    return Poll::Pending;
                }
            }
        };
        buffer.filled_more(count);
        Poll::Ready(Ok(count))
    })
    .await
}

/// Writes all bytes.
///
/// # Cancel safety
///
/// Not cancel safe: a part may have been written.
pub(crate) async fn write_all<W: AsyncWrite + Unpin>(
    writer: &mut W,
    bytes: &[u8],
) -> io::Result<()> {
    write_counting(writer, bytes, &mut 0).await
}

/// Writes all bytes. On an error, `sent` says how many were taken before.
///
/// # Cancel safety
///
/// As [`write_all`]; `sent` says how much.
pub(crate) async fn write_counting<W: AsyncWrite + Unpin>(
    writer: &mut W,
    bytes: &[u8],
    sent: &mut usize,
) -> io::Result<()> {
    poll_fn(|cx| {
        while *sent < bytes.len() {
            let count = ready!(Pin::new(&mut *writer).poll_write(cx, &bytes[*sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent += count;
        }
        Poll::Ready(Ok(()))
    })
    .await
}
