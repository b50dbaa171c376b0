//! Bytes of another protocol, both ways, after `101 Switching Protocols`.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::io::{read_some, write_all};
use crate::worker::activity::Activity;
use crate::worker::buffer::Buffer;

/// Copies both ways until both sides have ended, one broke off, neither sent anything for `idle`,
/// or the gateway's drain is over. `out` is written to the client first.
///
/// A byte in either direction keeps both alive: who only listens is not idle.
///
/// # Cancel safety
///
/// Not cancel safe: a part may have been passed on.
pub(super) async fn run<C, U>(
    client: &mut C,
    upstream: U,
    from_client: &mut Buffer,
    mut from_upstream: Buffer,
    out: &[u8],
    idle: Duration,
    stop: &CancellationToken,
) where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let activity = Activity::new(Instant::now());
    let both_ways = async {
        if write_all(client, out).await.is_err() {
            return;
        }
        let (mut client_reads, mut client_writes) = tokio::io::split(client);
        let (mut upstream_reads, mut upstream_writes) = tokio::io::split(upstream);
        let up = copy(&mut client_reads, &mut upstream_writes, from_client, &activity);
        let down = copy(&mut upstream_reads, &mut client_writes, &mut from_upstream, &activity);
        // The first error ends both.
        _ = tokio::try_join!(up, down);
    };
    tokio::select! {
        () = both_ways => (),
        () = activity.still_for(idle) => (),
        () = stop.cancelled() => (),
    }
}

/// One direction; an end of stream is passed on as one.
async fn copy<R, W>(
    from: &mut R,
    to: &mut W,
    buffer: &mut Buffer,
    activity: &Activity,
) -> Result<(), ()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        if !buffer.is_empty() {
            write_all(to, buffer.filled()).await.map_err(|_| ())?;
            activity.touch(Instant::now());
            let length = buffer.filled().len();
            buffer.consume(length);
        }
        if read_some(from, buffer, 16 * 1024).await.map_err(|_| ())? == 0 {
            return to.shutdown().await.map_err(|_| ());
        }
        activity.touch(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};
    use tokio::time::sleep;

    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_side_that_only_listens_is_not_idle() {
        for client_sends in [true, false] {
            let started = Instant::now();
            let (mut client, mut far_client) = duplex(64);
            let (upstream, mut far_upstream) = duplex(64);
            let ends = async {
                let (from, to) = if client_sends {
                    (&mut far_client, &mut far_upstream)
                } else {
                    (&mut far_upstream, &mut far_client)
                };
                for _ in 0..5 {
                    sleep(IDLE * 9 / 10).await;
                    from.write_all(b"x").await.unwrap();
                    assert_eq!(to.read_u8().await.unwrap(), b'x');
                }
            };
            let stop = CancellationToken::new();
            let mut buffer = Buffer::default();
            let tunnel =
                run(&mut client, upstream, &mut buffer, Buffer::default(), b"", IDLE, &stop);
            tokio::join!(tunnel, ends);
            assert_eq!(started.elapsed(), IDLE * 45 / 10 + IDLE, "client sends: {client_sends}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_takes_nothing_is_idle() {
        let started = Instant::now();
        let (mut client, _far_client) = duplex(4);
        let (upstream, _far_upstream) = duplex(4);
        let stop = CancellationToken::new();
        let mut buffer = Buffer::default();
        let out = b"more than fits";
        run(&mut client, upstream, &mut buffer, Buffer::default(), out, IDLE, &stop).await;
        assert_eq!(started.elapsed(), IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_of_one_direction_leaves_the_other_open() {
        let (mut client, mut far_client) = duplex(64);
        let (upstream, mut far_upstream) = duplex(64);
        let ends = async {
            far_client.shutdown().await.unwrap();
            assert_eq!(far_upstream.read(&mut [0; 8]).await.unwrap(), 0);
            far_upstream.write_all(b"late").await.unwrap();
            far_upstream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            far_client.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"late");
        };
        let stop = CancellationToken::new();
        let mut buffer = Buffer::default();
        let tunnel = run(&mut client, upstream, &mut buffer, Buffer::default(), b"", IDLE, &stop);
        tokio::join!(tunnel, ends);
    }
}
