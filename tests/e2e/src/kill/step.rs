//! The steps of the saga, as they can be seen from outside.

use std::time::Duration;

use anyhow::Result;

use super::ledger::Ledger;
use super::plant::Plant;

/// How long a step is waited for; an order that is behind others takes longer, and then the kill
/// comes at another moment of its saga, which is as good.
const PATIENCE: Duration = Duration::from_secs(2);

/// A step that an order has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// It is acknowledged.
    Placed,
    /// The message about it has left the outbox.
    Told,
    /// Its payment is decided.
    Decided,
    /// The message about that has left the outbox.
    Answered,
    /// The order has its outcome.
    Settled,
}

impl Step {
    pub(super) const ALL: [Self; 5] =
        [Self::Placed, Self::Told, Self::Decided, Self::Answered, Self::Settled];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Told => "told",
            Self::Decided => "decided",
            Self::Answered => "answered",
            Self::Settled => "settled",
        }
    }

    /// Waits until this order has reached the step, for a while.
    pub(super) async fn wait(self, steps: &Steps, order: i64) {
        let reached = async {
            while !steps.has_reached(self, order).await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _too_late = tokio::time::timeout(PATIENCE, reached).await;
    }
}

/// Looks at steps, where they leave their traces.
#[derive(Debug)]
pub(super) struct Steps {
    orders: Ledger,
    payments: Ledger,
}

impl Steps {
    pub(super) fn of(plant: &Plant) -> Result<Self> {
        Ok(Self { orders: plant.order_ledger()?, payments: plant.payment_ledger()? })
    }

    async fn has_reached(&self, step: Step, order: i64) -> bool {
        let payment = format!(
            "SELECT CAST(e.version AS TEXT) FROM regatta_events e
             JOIN payment_orders p ON e.stream = 'payment-' || CAST(p.id AS TEXT)
             WHERE p.order_id = {order}"
        );
        match step {
            Step::Placed => true,
            Step::Told => self.has_left(&self.orders, &format!("\"order-{order}\"")).await,
            Step::Decided => self.payments.has(&payment).await,
            Step::Answered => {
                let about = format!("\"order_id\":{order},");
                self.payments.has(&payment).await && self.has_left(&self.payments, &about).await
            }
            Step::Settled => {
                let settled = format!(
                    "SELECT type FROM regatta_events WHERE stream = 'order-{order}' AND version = 2"
                );
                self.orders.has(&settled).await
            }
        }
    }

    /// Whether no message that contains this text is in the outbox.
    async fn has_left(&self, ledger: &Ledger, text: &str) -> bool {
        let waiting = format!(
            "SELECT CAST(count(*) AS TEXT) FROM regatta_outbox WHERE event LIKE '%{text}%'"
        );
        ledger.count(&waiting).await.is_ok_and(|count| count == 0)
    }
}
