//! Copies of everything, on their way to clients: few at a time, and none for ever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// Copies at a time, of both interfaces: each holds a file or the store's whole content.
const AT_ONCE: usize = 2;
/// Chunks that wait for a slow client.
const CHUNKS: usize = 16;
/// A client that takes nothing for so long is let go, and who waits for a turn for so long is told
/// so. Long enough for a slow network, and no reason to wait for one that is gone.
const STALLED: Duration = Duration::from_secs(60);

/// Who may copy everything now; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Copies(Arc<Semaphore>);

/// One copy's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    // Held, not read.
    _permit: OwnedSemaphorePermit,
}

/// There was no turn in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{AT_ONCE} copies of the store are being sent; try again when one has ended")]
pub(crate) struct Busy;

/// Where the chunks of one copy go.
#[derive(Debug)]
pub(crate) struct Outlet<T> {
    chunks: mpsc::Sender<T>,
    /// Kept, so that a client that takes nothing can still be told that this is not the end.
    last: mpsc::OwnedPermit<T>,
}

impl Default for Copies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Copies {
    /// Waits for a turn, 60 s at most.
    ///
    /// Cancel safe.
    pub(crate) async fn turn(&self) -> Result<Turn, Busy> {
        let turn = tokio::time::timeout(STALLED, Arc::clone(&self.0).acquire_owned()).await;
        let permit = turn.ok().and_then(Result::ok).ok_or(Busy)?;
        Ok(Turn { _permit: permit })
    }
}

impl<T: Send + 'static> Outlet<T> {
    /// An outlet, and what the client takes from.
    pub(crate) fn new() -> (Self, ReceiverStream<T>) {
        let (chunks, taken) = mpsc::channel(CHUNKS + 1);
        let last = chunks.clone().try_reserve_owned().expect("a new channel is empty");
        (Self { chunks, last }, ReceiverStream::new(taken))
    }

    /// Sends a chunk, when there is room for it.
    ///
    /// Not cancel safe: the chunk of a dropped call is lost.
    pub(crate) async fn send(&self, chunk: T) -> io::Result<()> {
        match tokio::time::timeout(STALLED, self.chunks.send(chunk)).await {
            Ok(sent) => sent.map_err(|_| io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client took nothing for 60 s; ask again",
            )),
        }
    }

    /// Ends the copy before its end.
    pub(crate) fn cut(self, reason: T) {
        self.last.send(reason);
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_third_copy_waits_for_a_turn_but_not_for_ever() {
        let copies = Copies::default();
        let (first, _second) = (copies.turn().await.unwrap(), copies.turn().await.unwrap());
        copies.turn().await.unwrap_err();
        let third = copies.turn();
        drop(first);
        third.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_let_go_and_told_that_it_is_not_the_end() {
        let (outlet, taken) = Outlet::new();
        for _ in 0..CHUNKS {
            outlet.send(Ok(())).await.unwrap();
        }
        let stalled = outlet.send(Ok(())).await.unwrap_err();
        assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
        outlet.cut(Err(stalled));
        let taken: Vec<_> = taken.collect().await;
        assert_eq!(taken.iter().filter(|chunk| chunk.is_ok()).count(), CHUNKS);
        assert!(taken.last().unwrap().is_err());
    }
}
