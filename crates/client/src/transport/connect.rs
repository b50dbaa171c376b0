//! What opens byte streams: TCP, or what a simulation has in its place.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use regatta_core::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Opens byte streams to instances.
#[async_trait]
pub trait Connect: Send + Sync + fmt::Debug + 'static {
    /// Opens a stream to this endpoint. Need not bound its time: whoever calls does.
    ///
    /// # Errors
    ///
    /// What the network reported; a refusal must be [`io::ErrorKind::ConnectionRefused`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped attempt leaves no stream open.
    async fn connect(&self, endpoint: &Endpoint) -> io::Result<Stream>;
}

/// Connects over TCP, without Nagle's algorithm; names are looked up by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector;

#[async_trait]
impl Connect for TcpConnector {
    async fn connect(&self, endpoint: &Endpoint) -> io::Result<Stream> {
        let stream = match endpoint.as_socket_addr() {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect((endpoint.host(), endpoint.port())).await?,
        };
        stream.set_nodelay(true)?;
        Ok(Stream::new(stream))
    }
}

/// An open byte stream.
pub struct Stream(Pin<Box<dyn Io>>);

trait Io: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

impl Stream {
    /// Takes any stream.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_shutdown(cx)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
