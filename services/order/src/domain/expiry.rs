//! Cancels orders whose time is over.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::{Error, OrderId, Orders};

/// Orders looked at at a time: bounds what a round holds in memory.
const PAGE: u32 = 100;
/// The shortest wait between two rounds, so that a view that lags does not keep it busy.
const SHORTEST_WAIT: Duration = Duration::milliseconds(200);

/// Cancels orders that nobody paid in time. Several may run: an order is cancelled once.
#[derive(Clone)]
pub struct Expiry {
    orders: Arc<dyn Orders>,
    look_every: Duration,
}

impl Expiry {
    /// For orders that are to be paid within this time: it looks four times as often, at most every
    /// 250 ms and at least every 10 s.
    pub fn new(orders: Arc<dyn Orders>, payment_within: Duration) -> Self {
        let look_every =
            (payment_within / 4_i32).clamp(Duration::milliseconds(250), Duration::seconds(10));
        Self { orders, look_every }
    }

    /// Cancels all that is overdue. One that cannot be cancelled holds up no other.
    ///
    /// # Errors
    ///
    /// The store's, when it does not say what is overdue; the next round tries again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was not cancelled is by the next round.
    pub async fn round(&self, now: OffsetDateTime) -> Result<Round, Error> {
        let (mut after, mut failed, mut first_failure) = (None, 0, None);
        loop {
            // The view follows the events, so what was just cancelled may still be in it: the next
            // page is what comes after this one, not what is left.
            let page = self.orders.unpaid(after, PAGE).await?;
            for order in page.iter().take_while(|order| order.terms.pay_by <= now) {
                if let Err(error) = self.orders.expire(order.id, now).await {
                    failed += 1;
                    first_failure.get_or_insert((order.id, error));
                }
            }
            after = page.last().map(|last| (last.terms.pay_by, last.id));
            let next = page.iter().map(|order| order.terms.pay_by).find(|pay_by| *pay_by > now);
            if next.is_some() || page.len() < PAGE as usize {
                return Ok(Round { wait: self.wait(next, now), failed, first_failure });
            }
        }
    }

    fn wait(&self, next: Option<OffsetDateTime>, now: OffsetDateTime) -> Duration {
        let until = next.map_or(self.look_every, |next| next - now);
        until.clamp(SHORTEST_WAIT, self.look_every)
    }
}

/// What a round came to.
#[derive(Debug)]
pub struct Round {
    /// How long to wait until the next one.
    pub wait: Duration,
    /// How many are overdue and could not be cancelled; the next round tries again.
    pub failed: u64,
    /// The first of these, and why.
    pub first_failure: Option<(OrderId, Error)>,
}
