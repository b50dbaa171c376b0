//! How a delivery is settled.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regatta_database::{
    Changes, Database, Error as DatabaseError, Transaction, executing, in_transaction, writing,
};
use regatta_events::{BusError, FailedDelivery, Next, Settle, Subscription, Verdict};
use sqlx::AssertSqlSafe;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use crate::acks::Acks;
use crate::engine::{dialect, failed, from_micros, length};
use crate::failures;

/// What becomes of an event whose delivery failed.
pub(crate) enum Settled {
    /// It comes again after this pause.
    Retry(Duration),
    /// It is a dead letter.
    Dead,
}

/// A delivery in the hands of a subscriber.
pub(crate) struct SqlSettle {
    pub(crate) database: Database,
    pub(crate) changes: Changes,
    pub(crate) acks: Arc<Acks>,
    pub(crate) asks: Arc<Subscription>,
    pub(crate) position: i64,
    pub(crate) number: u32,
    pub(crate) claim: Uuid,
    /// Given back when the delivery is settled or dropped.
    pub(crate) _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for SqlSettle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlSettle").field("position", &self.position).finish_non_exhaustive()
    }
}

#[async_trait]
impl Settle for SqlSettle {
    async fn settle(&self, verdict: Verdict) -> Result<(), BusError> {
        let settled = match verdict {
            Verdict::Ack => return self.acks.settle((self.position, self.claim)).await,
            Verdict::Away(pause) => self.take_back(pause).await,
            Verdict::Retry(reason) => {
                let settled = match self.asks.after_failure(self.number) {
                    Next::Retry(pause) => Settled::Retry(pause),
                    Next::Dead => Settled::Dead,
                };
                self.fail(settled, reason).await
            }
            Verdict::Reject(reason) => self.fail(Settled::Dead, reason).await,
        };
        let is_mine = settled.map_err(failed)?;
        self.changes.announce();
        if is_mine { Ok(()) } else { Err(BusError::LeaseLost) }
    }
}

impl SqlSettle {
    /// As if it had not been delivered, but for the pause.
    async fn take_back(&self, pause: Duration) -> Result<bool, DatabaseError> {
        let update = format!(
            "UPDATE regatta_bus_open
             SET claim = NULL, deliveries = deliveries - 1, until = {} + $4
             WHERE consumer = $1 AND position = $2 AND claim = $3",
            dialect(&self.database).now
        );
        let update = async {
            writing!(self.database, |pool| {
                sqlx::query(AssertSqlSafe(&*update))
                    .bind(self.asks.group.as_str())
                    .bind(self.position)
                    .bind(self.claim.to_string())
                    .bind(length(pause))
                    .execute(pool)
            })
        };
        Ok(self.database.query("UPDATE", "regatta_bus_open", update).await? > 0)
    }

    async fn fail(&self, settled: Settled, reason: String) -> Result<bool, DatabaseError> {
        let dialect = dialect(&self.database);
        let mut tx = self.database.begin().await?;
        let held = format!(
            "SELECT failures, {} FROM regatta_bus_open
             WHERE consumer = $1 AND position = $2 AND claim = $3 {}",
            dialect.now, dialect.hold
        );
        let held: Option<(String, i64)> = in_transaction!(&mut tx, |connection| {
            sqlx::query_as(AssertSqlSafe(&*held))
                .bind(self.asks.group.as_str())
                .bind(self.position)
                .bind(self.claim.to_string())
                .fetch_optional(connection)
        })?;
        let Some((failures, now)) = held else { return Ok(false) };
        // What cannot be read is let go: the event matters more than its past failures.
        let mut failures = failures::from_text(&failures).unwrap_or_default();
        let at = from_micros(now);
        FailedDelivery { number: self.number, at, reason }.push(&mut failures);
        let place = (self.asks.group.as_str(), self.position);
        record(&mut tx, place, settled, &failures, now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Writes what becomes of an event whose last delivery failed.
pub(crate) async fn record(
    tx: &mut Transaction,
    (group, position): (&str, i64),
    settled: Settled,
    failures: &[FailedDelivery],
    now: i64,
) -> Result<(), DatabaseError> {
    let text = failures::to_text(failures);
    if let Settled::Retry(pause) = settled {
        let until = now.saturating_add(length(pause));
        let update = "UPDATE regatta_bus_open SET claim = NULL, until = $3, failures = $4
            WHERE consumer = $1 AND position = $2";
        executing!(tx, |connection| {
            sqlx::query(update)
                .bind(group)
                .bind(position)
                .bind(until)
                .bind(&*text)
                .execute(connection)
        })?;
        return Ok(());
    }
    let reason = failures.last().map_or("", |last| &last.reason);
    let bury = "INSERT INTO regatta_bus_dead (consumer, position, reason, failures, died_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (consumer, position) DO UPDATE SET
            reason = excluded.reason, failures = excluded.failures, died_at = excluded.died_at";
    executing!(tx, |connection| {
        sqlx::query(bury)
            .bind(group)
            .bind(position)
            .bind(reason)
            .bind(&*text)
            .bind(now)
            .execute(connection)
    })?;
    let delete = "DELETE FROM regatta_bus_open WHERE consumer = $1 AND position = $2";
    executing!(tx, |connection| {
        sqlx::query(delete).bind(group).bind(position).execute(connection)
    })?;
    Ok(())
}
