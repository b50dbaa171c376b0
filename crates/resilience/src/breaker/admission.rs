//! What a circuit gives for one call.

use std::time::Instant;

use crate::breaker::state::Ticket;

/// The right to make one call, and what was said about it. It goes back to the circuit that gave
/// it: to [`Circuit::record`](crate::breaker::Circuit::record) or
/// [`Circuit::abandon`](crate::breaker::Circuit::abandon).
#[derive(Debug)]
#[must_use = "an admission goes back to its circuit, or a probe may be missing for ten seconds"]
pub struct Admission {
    pub(super) ticket: Ticket,
    /// When it was given; once a good answer has begun, when that did.
    pub(super) at: Instant,
    /// Failures in a row that a good answer ended when it began.
    pub(super) in_a_row: u32,
    pub(super) has_begun: bool,
    is_despite: bool,
}

impl Admission {
    #[inline]
    pub(super) fn new(ticket: Ticket, at: Instant, is_despite: bool) -> Self {
        Self { ticket, at, in_a_row: 0, has_begun: false, is_despite }
    }

    /// Whether the breaker was open when it gave this, in spite of that. Then it learns from a
    /// success only.
    pub fn is_despite(&self) -> bool {
        self.is_despite
    }
}
