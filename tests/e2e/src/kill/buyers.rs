//! Load: clients who order, once each, and never come back.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Caller;

const BUYERS: u64 = 4;
/// Time between two orders of one client.
const PAUSE: Duration = Duration::from_millis(25);
/// Every so many orders one is over the limit.
const TOO_MUCH_EVERY: u64 = 7;

/// Clients at work.
#[derive(Debug)]
pub(super) struct Buyers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    acknowledged: Arc<Mutex<BTreeSet<i64>>>,
}

impl Buyers {
    pub(super) fn start(buyer: &Caller) -> Self {
        let (stop, stopped) = watch::channel(false);
        let acknowledged = Arc::<Mutex<BTreeSet<i64>>>::default();
        let mut tasks = JoinSet::new();
        for number in 0..BUYERS {
            let (buyer, stopped) = (buyer.clone(), stopped.clone());
            let acknowledged = acknowledged.clone();
            tasks.spawn(async move {
                for round in number.. {
                    if *stopped.borrow() {
                        break;
                    }
                    if let Some(id) = order(&buyer, round).await {
                        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Self { stop, tasks, acknowledged }
    }

    /// Lets each finish its order; answers the orders that were acknowledged.
    pub(super) async fn stop(mut self) -> BTreeSet<i64> {
        // Nobody listens when all have ended, which is as good.
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Places an order, and answers its number if it was acknowledged.
pub(super) async fn order(buyer: &Caller, number: u64) -> Option<i64> {
    let amount = if number % TOO_MUCH_EVERY == 3 { 5000 } else { 5 };
    let answer = buyer.post("/orders", &json!({ "user_id": 1, "amount": amount })).await.ok()?;
    (answer.status == 201).then(|| answer.json()["order_id"].as_i64()).flatten()
}
