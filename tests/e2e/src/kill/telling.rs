//! Afterwards on the bus: each order told of once, nothing given up.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::ledger::Ledger;
use super::plant::Plant;

/// How many events are asked for at a time.
const PAGE: &str = "5000";
/// The consumer groups of the saga.
const GROUPS: [&str; 2] = ["order-service", "payment-service"];

/// Reads the log of the bus: in its tables, where it has some, else through the bus itself.
pub(super) async fn each_order_once(plant: &Plant, orders: &BTreeSet<i64>) -> Result<()> {
    let (told, dead) = match plant.bus_ledger()? {
        Some(log) => (told_in(&log).await?, dead_in(&log).await?),
        None => (told_by(plant)?, dead_by(plant)?),
    };
    ensure!(dead.is_empty(), "dead letters: {dead:?}");
    once(&told, orders)
}

/// Whether what was told is each order, once.
fn once(told: &[i64], orders: &BTreeSet<i64>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for order in told {
        ensure!(orders.contains(order), "order {order} was told of, and there is none");
        ensure!(seen.insert(*order), "order {order} was told of twice");
    }
    let untold = orders.difference(&seen).next();
    ensure!(untold.is_none(), "order {untold:?} was not told of");
    Ok(())
}

async fn told_in(log: &Ledger) -> Result<Vec<i64>> {
    let told = "SELECT event FROM regatta_bus_log WHERE type = 'order.placed' ORDER BY position";
    let rows = log.rows(told).await?;
    rows.iter().map(|row| order_of(&serde_json::from_str(row.first().context("a row")?)?)).collect()
}

async fn dead_in(log: &Ledger) -> Result<Vec<String>> {
    let dead = log.rows("SELECT consumer, reason FROM regatta_bus_dead").await?;
    Ok(dead.into_iter().map(|row| row.join(": ")).collect())
}

fn told_by(plant: &Plant) -> Result<Vec<i64>> {
    let (mut told, mut after) = (Vec::new(), 0);
    loop {
        let position = after.to_string();
        let verb = ["events", "list", "--type", "order.placed", "--limit", PAGE];
        let page = asked(plant, &[&verb[..], &["--after", &position]].concat())?;
        let Some(last) = page.last() else { return Ok(told) };
        after = last["position"].as_u64().context("an event without a position")?;
        for logged in &page {
            told.push(order_of(&logged["event"])?);
        }
    }
}

fn dead_by(plant: &Plant) -> Result<Vec<String>> {
    let mut dead = Vec::new();
    for group in GROUPS {
        let letters = asked(plant, &["events", "dead", group])?;
        dead.extend(letters.iter().map(|letter| format!("{group}: {}", letter["reason"])));
    }
    Ok(dead)
}

/// The objects that a verb of `regatta` answers about the bus.
fn asked(plant: &Plant, verb: &[&str]) -> Result<Vec<Value>> {
    let answer =
        plant.regatta(&[verb, &["--bus", plant.bus_url(), "--format", "json"]].concat())?;
    serde_json::from_str(&answer).with_context(|| format!("not a list: {answer}"))
}

fn order_of(event: &Value) -> Result<i64> {
    let order = event["data"]["order_id"].as_i64();
    order.with_context(|| format!("an order.placed without its order: {event}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_is_told_of_twice_or_never_or_is_none_is_named() {
        let orders = BTreeSet::from([1, 2]);
        assert!(once(&[2, 1], &orders).is_ok());
        for (told, named) in [(&[1, 2, 1][..], "order 1"), (&[1], "2"), (&[1, 2, 3], "order 3")] {
            let error = once(told, &orders).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
