//! What must hold when all is over, read where it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

use super::ledger::Ledger;
use super::plant::Plant;
use super::telling;

/// How long nothing may change while orders are open: redeliveries wait up to a minute.
const STANDSTILL: Duration = Duration::from_secs(180);
/// How long a rebuild may take.
const REBUILDS: Duration = Duration::from_secs(180);

/// What was found; that it was found at all means that everything holds.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Orders that there are, acknowledged or not.
    pub orders: u64,
    /// Of those, paid.
    pub paid: u64,
    /// Cancelled, and the payment declined.
    pub declined: u64,
    /// Cancelled because no payment came in time, the money given back.
    pub refunded: u64,
    /// Events of orders and payments.
    pub events: u64,
    /// Rows of the projection, equal to those of a rebuild.
    pub rows: u64,
}

/// What happened to one stream, in order.
type History = BTreeMap<i64, Vec<String>>;

impl Verdict {
    /// Waits until every order has ended, then checks everything.
    pub(super) async fn of(plant: &Plant, acknowledged: &BTreeSet<i64>) -> Result<Self> {
        let (orders, payments) = (plant.order_ledger()?, plant.payment_ledger()?);
        settle(&orders, &payments).await?;
        let order_history = history(&orders, "order").await?;
        let payment_history = history(&payments, "payment").await?;
        let payment_of = payment_numbers(&payments).await?;
        ensure!(
            payment_of.len() == payment_history.len(),
            "{} payments have events, {} have a number",
            payment_history.len(),
            payment_of.len()
        );
        let mut verdict = Self { orders: order_history.len() as u64, ..Self::default() };
        for order in acknowledged {
            ensure!(order_history.contains_key(order), "acknowledged order {order} is lost");
        }
        for (order, happened) in &order_history {
            let payment =
                payment_of.get(order).with_context(|| format!("order {order}: unpaid"))?;
            let paid = payment_history.get(payment).map(Vec::as_slice).unwrap_or_default();
            verdict.add(happened, paid).with_context(|| {
                format!("order {order}: {happened:?}, its payment {payment}: {paid:?}")
            })?;
        }
        let count = |history: &History| history.values().map(|all| all.len() as u64).sum::<u64>();
        verdict.events = count(&order_history) + count(&payment_history);
        let known = order_history.keys().copied().collect();
        telling::each_order_once(plant, &known).await?;
        verdict.rows = projection(plant, &orders).await?;
        ensure!(verdict.rows == verdict.orders, "{} rows, {} orders", verdict.rows, verdict.orders);
        Ok(verdict)
    }

    /// Counts an order, if its history and that of its payment are one of those that may be.
    fn add(&mut self, order: &[String], payment: &[String]) -> Result<()> {
        let order: Vec<&str> = order.iter().map(String::as_str).collect();
        let payment: Vec<&str> = payment.iter().map(String::as_str).collect();
        let ending = match (&*order, &*payment) {
            (["Placed", "Paid"], ["Made"]) => &mut self.paid,
            (["Placed", "Cancelled"], ["Declined"]) => &mut self.declined,
            (["Placed", "Cancelled", "RefundRequested", "Refunded"], ["Made", "Refunded"]) => {
                &mut self.refunded
            }
            _ => anyhow::bail!("this must not be"),
        };
        *ending += 1;
        Ok(())
    }
}

/// Waits until no order is open, no refund is under way and nothing is to be told.
async fn settle(orders: &Ledger, payments: &Ledger) -> Result<()> {
    let open = "SELECT CAST(count(*) AS TEXT) FROM (
            SELECT stream FROM regatta_events WHERE category = 'order' GROUP BY stream
            HAVING count(*) IN (1, 3)) AS open_orders";
    let waiting = "SELECT CAST(count(*) AS TEXT) FROM regatta_outbox";
    let counts = async || -> Result<(u64, u64, u64, u64)> {
        let numbers = "SELECT CAST(count(*) AS TEXT) FROM payment_orders";
        let placed = "SELECT CAST(count(*) AS TEXT) FROM regatta_events
            WHERE category = 'order' AND version = 1";
        let unpaid = orders.count(placed).await?.abs_diff(payments.count(numbers).await?);
        let late = "SELECT CAST(count(*) AS TEXT) FROM regatta_events
            WHERE category = 'payment' AND type = 'Made'";
        let paid_or_asked = "SELECT CAST(count(*) AS TEXT) FROM regatta_events
            WHERE category = 'order' AND type IN ('Paid', 'RefundRequested')";
        let unheard = payments.count(late).await?.abs_diff(orders.count(paid_or_asked).await?);
        let untold = orders.count(waiting).await? + payments.count(waiting).await?;
        Ok((orders.count(open).await?, unpaid, unheard, untold))
    };
    let (mut last, mut since) = ((u64::MAX, 0, 0, 0), Instant::now());
    while since.elapsed() < STANDSTILL {
        // A database that was just killed may not answer yet.
        let now = counts().await.unwrap_or(last);
        if now == (0, 0, 0, 0) {
            return Ok(());
        }
        if now != last {
            (last, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (open, unpaid, unheard, untold) = last;
    anyhow::bail!(
        "nothing changes for {STANDSTILL:?}: {open} orders are open, {unpaid} have no payment, \
         {unheard} payments are not heard of, {untold} messages wait"
    )
}

/// The types of all events, by the number of their aggregate; versions must be 1, 2, 3.
async fn history(ledger: &Ledger, category: &str) -> Result<History> {
    let select = format!(
        "SELECT stream, CAST(version AS TEXT), type FROM regatta_events
         WHERE category = '{category}' ORDER BY position"
    );
    let mut history = History::new();
    for row in ledger.rows(&select).await? {
        let [stream, version, event_type] = row.as_slice() else { continue };
        let number = stream.rsplit_once('-').context("a stream without number")?.1.parse()?;
        let happened = history.entry(number).or_default();
        happened.push(event_type.clone());
        let next = happened.len().to_string();
        ensure!(*version == next, "{stream}: version {version} comes where {next} should");
    }
    Ok(history)
}

/// The payment of each order; an order with two would not be a key.
async fn payment_numbers(payments: &Ledger) -> Result<BTreeMap<i64, i64>> {
    let select = "SELECT CAST(order_id AS TEXT), CAST(id AS TEXT) FROM payment_orders";
    let mut numbers = BTreeMap::new();
    for row in payments.rows(select).await? {
        let [order, payment] = row.as_slice() else { continue };
        let before = numbers.insert(order.parse()?, payment.parse()?);
        ensure!(before.is_none(), "order {order} has two payments");
    }
    Ok(numbers)
}

/// Has the projection built anew and compares; answers how many rows are equal.
async fn projection(plant: &Plant, orders: &Ledger) -> Result<u64> {
    let before = view(orders).await?;
    plant.regatta(&["projections", "rebuild", "order_list", "--database", plant.order_url()])?;
    let switched = async {
        while generation(orders).await? == before.0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::time::timeout(REBUILDS, switched).await.context("the rebuild does not take over")??;
    let after = view(orders).await?;
    let differs = before.1.iter().zip(&after.1).find(|(before, after)| before != after);
    ensure!(differs.is_none(), "the view and its rebuild differ: {differs:?}");
    ensure!(before.1.len() == after.1.len(), "{} rows, then {}", before.1.len(), after.1.len());
    Ok(after.1.len() as u64)
}

async fn generation(orders: &Ledger) -> Result<u64> {
    let active = "SELECT CAST(generation AS TEXT) FROM regatta_projections
        WHERE name = 'order_list' AND stage = 'active'";
    orders.count(active).await
}

async fn view(orders: &Ledger) -> Result<(u64, Vec<Vec<String>>)> {
    let generation = generation(orders).await?;
    let select = format!(
        "SELECT CAST(id AS TEXT), caller, CAST(user_id AS TEXT), CAST(hundredths AS TEXT),
             CAST(placed_at AS TEXT), CAST(pay_by AS TEXT), status, reason,
             CAST(payment_id AS TEXT), refund
         FROM order_list_{generation} ORDER BY id"
    );
    Ok((generation, orders.rows(&select).await?))
}
