//! Whether to repeat a call, and when.
//!
//! # Source
//!
//! RFC 9110, section 9.2.2 (what may be repeated) and 10.2.3 (`Retry-After`); gRPC proposal A6 (a
//! retry before the first message); Google, *Site Reliability Engineering*, ch. 22 (only one layer
//! retries).

use std::time::Duration;

use crate::retry::Backoff;

/// How often and how fast calls are repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Tries of one call, the first included. Default 3 (R17); 1 switches retries off.
    pub tries: u32,
    /// The wait before a retry. Default at most 1 s, 2 s, 4 s.
    pub backoff: Backoff,
    /// The longest `Retry-After` that is waited for; a longer one ends the call. Default 5 s:
    /// longer than the longest backoff, shorter than a user's patience.
    pub most_retry_after: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { tries: 3, backoff: Backoff::default(), most_retry_after: Duration::from_secs(5) }
    }
}

/// How a try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing of it reached the other side, so any call may be repeated.
    Unsent,
    /// The other side answered that it cannot serve now, and perhaps when it can.
    Refused {
        /// What it said about when to come back.
        retry_after: Option<Duration>,
    },
    /// It was sent and no answer came: it may have happened.
    Lost,
    /// The answer stands; another try would get the same.
    Final,
}

/// A try that failed, and what is known about repeating it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The first try is number 1. Redirected tries do not count: see [`Attempt::is_redirected`].
    pub number: u32,
    /// Tries of this call before this one that were redirected.
    pub redirected: u32,
    /// How it failed.
    pub failure: Failure,
    /// Whether doing it twice is as good as once: idempotent method, idempotency key.
    pub repeatable: bool,
    /// Whether the request can be sent again: its body was kept.
    pub replayable: bool,
    /// Whether an instance is left that this call has not tried.
    pub elsewhere: bool,
    /// Whether this process is itself serving a retry.
    pub serves_retry: bool,
    /// The time left until the call's deadline.
    pub left: Duration,
}

impl Attempt {
    /// Whether it never left and the next try goes elsewhere. That is no retry to the target: it
    /// adds no load there. So neither the number of tries, nor the budget, nor serving a retry
    /// stop it, only [`Policy::MOST_REDIRECTED`].
    pub fn is_redirected(&self) -> bool {
        self.failure == Failure::Unsent && self.elsewhere
    }
}

/// What to do after a try that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try again after this wait, elsewhere if there is an elsewhere.
    Retry {
        /// The wait; zero for an unsent call that goes elsewhere.
        after: Duration,
    },
    /// Answer with what there is.
    Stop(Stop),
}

/// Why a call is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// Another try would get the same answer.
    Final,
    /// The call may have happened, and doing it twice may do harm.
    NotRepeatable,
    /// The request's body is gone.
    NotReplayable,
    /// All tries are used.
    Tries,
    /// This process serves a retry; its caller repeats.
    ServesRetry,
    /// The other side asked for a longer wait than this caller is ready for.
    RetryAfter,
    /// The wait would end after the deadline.
    Deadline,
    /// The target's retry budget is empty.
    Budget,
}

impl Stop {
    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::NotRepeatable => "not_repeatable",
            Self::NotReplayable => "not_replayable",
            Self::Tries => "tries",
            Self::ServesRetry => "serves_retry",
            Self::RetryAfter => "retry_after",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
        }
    }
}

impl Policy {
    /// How often a call is redirected. 8: more instances than a rolling restart takes away at
    /// once, and few enough to end; each time to an instance not yet tried.
    pub const MOST_REDIRECTED: u32 = 8;

    /// Decides, for 64 random bits. The budget is asked last, so that nothing is taken out of it
    /// for a retry that something else forbids.
    pub fn decide(
        &self,
        attempt: &Attempt,
        random: u64,
        withdraw: impl FnOnce() -> bool,
    ) -> Decision {
        match self.wait(attempt, random) {
            Ok(after) if after >= attempt.left => Decision::Stop(Stop::Deadline),
            Ok(after) if attempt.is_redirected() || withdraw() => Decision::Retry { after },
            Ok(_) => Decision::Stop(Stop::Budget),
            Err(stop) => Decision::Stop(stop),
        }
    }

    fn wait(&self, attempt: &Attempt, random: u64) -> Result<Duration, Stop> {
        match attempt.failure {
            Failure::Final => return Err(Stop::Final),
            Failure::Refused { .. } | Failure::Lost if !attempt.repeatable => {
                return Err(Stop::NotRepeatable);
            }
            _ if !attempt.replayable => return Err(Stop::NotReplayable),
            _ if self.tries <= 1 => return Err(Stop::Tries),
            _ if attempt.is_redirected() => {
                let left = attempt.redirected < Self::MOST_REDIRECTED;
                return if left { Ok(Duration::ZERO) } else { Err(Stop::Tries) };
            }
            _ if attempt.number >= self.tries => return Err(Stop::Tries),
            _ if attempt.serves_retry => return Err(Stop::ServesRetry),
            _ => (),
        }
        let backoff = self.backoff.delay(attempt.number, random);
        match attempt.failure {
            Failure::Refused { retry_after: Some(asked) } if asked > self.most_retry_after => {
                Err(Stop::RetryAfter)
            }
            // Jitter on top: everyone who was told the same would come back together.
            Failure::Refused { retry_after: Some(asked) } => Ok(asked + backoff),
            _ => Ok(backoff),
        }
    }
}

#[cfg(test)]
mod tests;
