//! Cancels orders whose time is over.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::{Error, Order, Orders};

/// Orders looked at in one round: bounds what a round holds in memory.
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

    /// Cancels what is overdue and answers how long to wait until the next round.
    ///
    /// # Errors
    ///
    /// The store's; the next round tries again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was not cancelled is by the next round.
    pub async fn round(&self, now: OffsetDateTime) -> Result<Duration, Error> {
        let unpaid = self.orders.unpaid(PAGE).await?;
        for order in unpaid.iter().filter(|order| order.terms.pay_by <= now) {
            self.orders.expire(order.id, now).await?;
        }
        Ok(self.wait(&unpaid, now))
    }

    fn wait(&self, unpaid: &[Order], now: OffsetDateTime) -> Duration {
        let next = unpaid.iter().map(|order| order.terms.pay_by).find(|pay_by| *pay_by > now);
        let until = next.map_or(self.look_every, |next| next - now);
        until.clamp(SHORTEST_WAIT, self.look_every)
    }
}
