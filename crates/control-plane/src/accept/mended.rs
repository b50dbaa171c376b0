//! A connection whose first head is mended.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::first_head::FirstHead;

/// Read at once while the first head is waited for, in bytes.
const PIECE: usize = 4096;

/// A stream that is read through a [`FirstHead`], and as it is from then on.
#[derive(Debug)]
pub(super) struct Mended<S> {
    stream: S,
    head: FirstHead,
    /// What goes on, and how much of it has gone.
    out: Vec<u8>,
    gone: usize,
}

impl<S> Mended<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, head: FirstHead::default(), out: Vec::new(), gone: 0 }
    }

    fn go_on(&mut self, bytes: Vec<u8>) {
        (self.out, self.gone) = (bytes, 0);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Mended<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let left = &self.out[self.gone..];
            if !left.is_empty() {
                let count = left.len().min(buffer.remaining());
                buffer.put_slice(&left[..count]);
                self.gone += count;
                return Poll::Ready(Ok(()));
            }
            if self.head.is_over() {
                return Pin::new(&mut self.stream).poll_read(cx, buffer);
            }
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
            let out = match piece.filled() {
                [] => self.head.rest(),
                bytes => self.head.take(bytes),
            };
            self.go_on(out);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Mended<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_end_in_the_middle_of_a_head_is_passed_on_with_what_came() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"PRI * HT").await.unwrap();
        drop(client);
        let mut read = Vec::new();
        Mended::new(server).read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"PRI * HT");
    }

    #[tokio::test]
    async fn all_that_comes_later_is_passed_on_too() {
        let (mut client, server) = tokio::io::duplex(64);
        let text = b"GET / HTTP/1.1\r\n\r\n".repeat(20);
        let write = async {
            client.write_all(&text).await.unwrap();
            drop(client);
        };
        let mut read = Vec::new();
        let mut server = Mended::new(server);
        let (_, all) = tokio::join!(write, server.read_to_end(&mut read));
        assert_eq!((all.unwrap(), &read), (text.len(), &text));
    }
}
