//! How an upload ended, for those who wait for what comes of it.

use std::sync::OnceLock;

use tokio::sync::Notify;

use crate::http1::Refusal;
use crate::policy::Denial;

/// How an upload ended.
#[derive(Debug, Default)]
pub(super) struct Progress {
    ended: Notify,
    failure: OnceLock<Failure>,
}

/// Why a body did not get through; the client's doing, whatever the upstream's connection reports of
/// it: HTTP/2 resets the stream, and says no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is longer than is accepted.
    TooLong,
    /// It stopped coming, or the client broke off.
    Withheld,
}

impl Progress {
    /// Its last frame was taken, or nobody wants the rest.
    pub(super) fn end(&self) {
        self.ended.notify_one();
    }

    /// Waits for that; for one who waits.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an end that nobody waited for is kept.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// It failed so; the first failure stands.
    pub(super) fn fail(&self, why: Failure) {
        _ = self.failure.set(why);
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.get().copied()
    }
}

impl From<Failure> for Denial {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::TooLong => Refusal::BodyTooLong.into(),
            // Whoever broke off does not read it.
            Failure::Withheld => Self::body_too_slow(),
        }
    }
}
