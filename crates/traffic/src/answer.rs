//! A gRPC answer that has begun: its frames and its end say how the call went.
//!
//! # Source
//!
//! gRPC over HTTP/2, "Responses": the status is in the trailers, and in the head of an answer without
//! a message; Envoy's router counts a call by the status in either (`onUpstreamTrailers`). That a
//! failure after messages takes a success back: `docs/adr/0050`; that it does so by its status:
//! `docs/adr/0073`.

use std::time::{Duration, Instant};

use regatta_core::Code;

use crate::cluster::{Effect, Outcome, Picked};
use crate::fault::Fault;
use crate::verdict::{self, Head, Silence};

/// An instance whose answer is on its way: the call is in flight until this is dropped.
///
/// Dropped before it was said to be good, the call counts as abandoned.
#[derive(Debug)]
#[must_use = "an answer that is dropped ends its call"]
pub struct Answering<T> {
    picked: Picked<T>,
    /// Until its head came.
    latency: Duration,
    /// Whether its end will say how the call went.
    awaits_status: bool,
    has_begun: bool,
}

impl<T> Answering<T> {
    /// An answer whose head came after so long. `awaits_status`: it is gRPC's, and its head does not
    /// say how the call went.
    pub fn new(picked: Picked<T>, latency: Duration, awaits_status: bool) -> Self {
        Self { picked, latency, awaits_status, has_begun: false }
    }

    /// Whether its end will say how the call went.
    pub fn awaits_status(&self) -> bool {
        self.awaits_status
    }

    /// Whether nothing that has come says how the call went.
    pub fn is_unjudged(&self) -> bool {
        !self.has_begun
    }

    /// Whether an answer that went so is a good one by the policies in force.
    pub fn is_good(&self, fault: Option<Fault>) -> bool {
        self.picked.judge(fault) == Outcome::Success
    }

    /// Reports that it is a good one as far as it has come; counts once.
    pub fn begin(&mut self, now: Instant) -> Effect {
        self.has_begun = true;
        self.picked.begin(now, self.latency)
    }

    /// Reports how the call went after all, also if it had begun well.
    pub fn finish(self, now: Instant, fault: Option<Fault>) -> Effect {
        let latency = if self.has_begun { Duration::ZERO } else { self.latency };
        self.picked.conclude(now, fault, latency)
    }
}

/// What a gRPC answer that has ended says: by the `grpc-status` of its trailers, and none where it
/// ended without. `had_messages`: whether a message came before.
#[must_use]
pub fn ended(grpc_status: Option<&[u8]>, had_messages: bool) -> Option<Fault> {
    match grpc_status {
        Some(_) => {
            let head = Head { status: 200, grpc_status, ..Head::default() };
            // The wall clock is for dates, of which trailers have none.
            verdict::grpc(&head, || std::time::SystemTime::UNIX_EPOCH).fault
        }
        // Without a status it is no answer, or half of one.
        None if had_messages => Some(Fault::CutOff),
        None => Some(Fault::Silent(Silence::Broken)),
    }
}

/// What rounding may take from a time on its way through some hops, beside a share of it.
const ROUNDED: Duration = Duration::from_millis(5);

/// The fault, unless it is that the caller's own time was over: a service that keeps to that time
/// says so just when it ends, by 504 or DEADLINE_EXCEEDED. `own` is that time, if it has set one, and
/// `waited` how much of it has passed; a hundredth and five milliseconds less is as good, for each
/// hop that hands a time on rounds it down.
#[must_use]
pub fn unless_impatient(
    fault: Option<Fault>,
    own: Option<Duration>,
    waited: Duration,
) -> Option<Fault> {
    let is_late = matches!(fault, Some(Fault::Grpc(Code::DeadlineExceeded) | Fault::Status(504)));
    let is_over = |own: Duration| waited + own / 100 + ROUNDED >= own;
    match own {
        Some(own) if is_late && is_over(own) => Some(Fault::Silent(Silence::Impatient)),
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_status_at_the_end_says_how_the_call_went() {
        for had_messages in [false, true] {
            assert_eq!(ended(Some(b"0"), had_messages), None);
            let unavailable = Some(Fault::Grpc(Code::Unavailable));
            assert_eq!(ended(Some(b"14"), had_messages), unavailable);
        }
        assert_eq!(ended(None, false), Some(Fault::Silent(Silence::Broken)));
        assert_eq!(ended(None, true), Some(Fault::CutOff));
    }

    #[test]
    fn time_that_the_caller_has_set_is_not_held_against_the_instance_when_it_is_over() {
        let impatient = Some(Fault::Silent(Silence::Impatient));
        let millis = Duration::from_millis;
        for late in [Fault::Grpc(Code::DeadlineExceeded), Fault::Status(504)].map(Some) {
            for (own, waited, expected) in [
                (Some(SECOND), SECOND, impatient),
                (Some(SECOND), millis(985), impatient),
                (Some(SECOND), millis(984), late),
                (Some(millis(2)), Duration::ZERO, impatient),
                (None, SECOND * 3600, late),
            ] {
                assert_eq!(unless_impatient(late, own, waited), expected, "{own:?} {waited:?}");
            }
        }
        for other in [Fault::Grpc(Code::Unavailable), Fault::Status(503)].map(Some) {
            assert_eq!(unless_impatient(other, Some(SECOND), SECOND), other);
        }
        assert_eq!(unless_impatient(None, Some(SECOND), SECOND), None);
    }
}
