//! The rounds: who is killed, at which step, and what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};

use super::buyers::{self, Buyers};
use super::engines::Engines;
use super::plant::{PAYMENT_WITHIN, Plant, Victim};
use super::step::{Step, Steps};
use super::verdict::Verdict;

/// Of so many kills of the payment-service one keeps it down until orders are cancelled.
const LONG_OUTAGE_EVERY: u64 = 10;
/// How long an order may take to be acknowledged after everybody is ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kill matrix to be run.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    /// What data and events are kept in.
    pub engines: Engines,
    /// How many kills.
    pub rounds: u64,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Kills by who and when.
    pub kills: BTreeMap<(&'static str, &'static str), u64>,
    /// Outages that were longer than orders wait.
    pub long_outages: u64,
    /// Orders that were acknowledged.
    pub acknowledged: u64,
}

impl Matrix {
    /// Kills, and judges. Prints a line for each twentieth round.
    ///
    /// # Errors
    ///
    /// When the programs cannot be run, or something does not hold: with what.
    pub async fn run(self) -> Result<(Tally, Verdict)> {
        let mut plant = Plant::start(self.engines).await?;
        let outcome = self.rounds_on(&mut plant).await;
        outcome.with_context(|| plant.output())
    }

    async fn rounds_on(self, plant: &mut Plant) -> Result<(Tally, Verdict)> {
        let (buyer, steps) = (plant.buyer()?, Steps::of(plant)?);
        let buyers = Buyers::start(&buyer);
        let (mut tally, mut own) = (Tally::default(), BTreeSet::new());
        let victims = plant.victims();
        for round in 0..self.rounds {
            let victim = victims[usize::try_from(round)? % victims.len()];
            let step = Step::ALL[usize::try_from(round)? / victims.len() % Step::ALL.len()];
            let order = acknowledged_order(&buyer, round).await?;
            own.insert(order);
            step.wait(&steps, order).await;
            let turn = round / victims.len() as u64;
            let is_long =
                victim == Victim::Payments && turn % LONG_OUTAGE_EVERY == LONG_OUTAGE_EVERY - 1;
            let down = if is_long { PAYMENT_WITHIN * 2 } else { Duration::ZERO };
            tally.long_outages += u64::from(is_long);
            plant.kill(victim, down).await?;
            *tally.kills.entry((victim.name(), step.name())).or_default() += 1;
            if (round + 1) % 20 == 0 {
                println!(
                    "{} of {} rounds, {} orders of the matrix",
                    round + 1,
                    self.rounds,
                    own.len()
                );
            }
        }
        own.extend(buyers.stop().await);
        tally.acknowledged = own.len() as u64;
        let verdict = Verdict::of(plant, &own).await?;
        Ok((tally, verdict))
    }
}

/// An order that is acknowledged; until then it is placed anew.
async fn acknowledged_order(buyer: &crate::Caller, round: u64) -> Result<i64> {
    let placing = async {
        loop {
            if let Some(order) = buyers::order(buyer, round).await {
                return order;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, placing).await.context("no order is acknowledged")
}
