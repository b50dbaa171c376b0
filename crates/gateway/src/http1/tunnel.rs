//! Bytes of another protocol, both ways, after `101 Switching Protocols`.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::io::{read_some, write_all};
use crate::worker::alarm::Alarm;
use crate::worker::buffer::Buffer;

/// Copies both ways until both sides have ended, one broke off, none sent anything for `idle`, or
/// the gateway's drain is over. `out` is written to the client first.
///
/// # Cancel safety
///
/// Not cancel safe: a part may have been passed on.
pub(super) async fn run(
    client: &mut TcpStream,
    mut upstream: TcpStream,
    from_client: &mut Buffer,
    mut from_upstream: Buffer,
    out: &[u8],
    idle: Duration,
    stop: &CancellationToken,
) {
    if write_all(client, out).await.is_err() {
        return;
    }
    let (mut client_reads, mut client_writes) = client.split();
    let (mut upstream_reads, mut upstream_writes) = upstream.split();
    let up = copy(&mut client_reads, &mut upstream_writes, from_client, idle);
    let down = copy(&mut upstream_reads, &mut client_writes, &mut from_upstream, idle);
    tokio::select! {
        _ = async { tokio::try_join!(up, down) } => (),
        () = stop.cancelled() => (),
    }
}

/// One direction; an end of stream is passed on as one.
async fn copy<R, W>(from: &mut R, to: &mut W, buffer: &mut Buffer, idle: Duration) -> Result<(), ()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut alarm = Alarm::new(Instant::now() + idle);
    loop {
        if !buffer.is_empty() {
            let write = write_all(to, buffer.filled());
            alarm.within(Instant::now() + idle, write).await.map_err(|_| ())?.map_err(|_| ())?;
            let length = buffer.filled().len();
            buffer.consume(length);
        }
        let read = read_some(from, buffer, 16 * 1024);
        let count = alarm.within(Instant::now() + idle, read).await.map_err(|_| ())?;
        if count.map_err(|_| ())? == 0 {
            return to.shutdown().await.map_err(|_| ());
        }
    }
}
