//! The outbox: a table, and whose turn it is to empty it.

use std::time::Duration;

use async_trait::async_trait;
use regatta_database::{
    Error as DatabaseError, Transaction, executing, in_transaction, reading, writing,
};
use regatta_events::CloudEvent;
use regatta_eventstore::{Outbox, Queued, RelaySettings, StoreError};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::SqlStore;
use crate::engine::{broken, failed, micros, signed, unsigned, wall_clock};

/// Puts messages at the end.
pub(crate) async fn enqueue(
    transaction: &mut Transaction,
    messages: &[CloudEvent],
) -> Result<(), DatabaseError> {
    for message in messages {
        let insert = "INSERT INTO regatta_outbox (event) VALUES ($1)";
        executing!(transaction, |connection| {
            sqlx::query(insert).bind(message.to_json_string()).execute(connection)
        })
        .map(drop)?;
    }
    Ok(())
}

/// Takes or keeps the turn until a time; false while another relay has it. A turn that ends later than
/// any can is one that a clock has left behind which was set back: it is over.
async fn take_turn(
    transaction: &mut Transaction,
    relay: Uuid,
    lease: Duration,
) -> Result<bool, DatabaseError> {
    let now = now(transaction).await?;
    let until = now.saturating_add(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX));
    let update = "UPDATE regatta_outbox_turn SET relay = $1, until = $2
        WHERE id = 1 AND (relay = $1 OR until <= $3 OR until > $4) RETURNING id";
    let longest = i64::try_from(RelaySettings::LONGEST_LEASE.as_micros()).unwrap_or(i64::MAX);
    let taken: Option<(i32,)> = in_transaction!(transaction, |connection| {
        sqlx::query_as(update)
            .bind(relay.to_string())
            .bind(until)
            .bind(now)
            .bind(now.saturating_add(longest))
            .fetch_optional(connection)
    })?;
    Ok(taken.is_some())
}

/// Whether this relay has the turn; it keeps it until the transaction ends.
async fn has_turn(transaction: &mut Transaction, relay: Uuid) -> Result<bool, DatabaseError> {
    let now = now(transaction).await?;
    let hold = "UPDATE regatta_outbox_turn SET relay = relay
        WHERE id = 1 AND relay = $1 AND until > $2 RETURNING id";
    let held: Option<(i32,)> = in_transaction!(transaction, |connection| {
        sqlx::query_as(hold).bind(relay.to_string()).bind(now).fetch_optional(connection)
    })?;
    Ok(held.is_some())
}

/// The server's clock, which relays on several machines share; SQLite's are on one.
async fn now(transaction: &mut Transaction) -> Result<i64, DatabaseError> {
    match transaction {
        Transaction::Sqlite(_) => Ok(micros(wall_clock())),
        Transaction::Postgres(postgres) => {
            let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
            Ok(sqlx::query_scalar(now).fetch_one(&mut **postgres).await?)
        }
    }
}

impl SqlStore {
    async fn has_messages(&self) -> Result<bool, DatabaseError> {
        let select = "SELECT 1 FROM regatta_outbox WHERE refused IS NULL LIMIT 1";
        let first: Option<(i32,)> =
            reading!(self.database, |pool| sqlx::query_as(select).fetch_optional(pool))?;
        Ok(first.is_some())
    }

    async fn claimed(
        &self,
        relay: Uuid,
        lease: Duration,
        limit: u32,
    ) -> Result<Option<Vec<(i64, String)>>, DatabaseError> {
        // To take the turn is to write, and to write wakes; who waits for nothing must not.
        if !self.has_messages().await? {
            return Ok(Some(Vec::new()));
        }
        let mut transaction = self.database.begin().await?;
        if !take_turn(&mut transaction, relay, lease).await? {
            return Ok(None);
        }
        let select = "SELECT number, event FROM regatta_outbox WHERE refused IS NULL
            ORDER BY number LIMIT $1";
        let rows = in_transaction!(&mut transaction, |connection| {
            sqlx::query_as(select).bind(i64::from(limit)).fetch_all(connection)
        })?;
        transaction.commit().await?;
        Ok(Some(rows))
    }

    async fn take_off(&self, relay: Uuid, numbers: &[u64]) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        if !has_turn(&mut transaction, relay).await? {
            return Ok(false);
        }
        let list = match &transaction {
            Transaction::Sqlite(_) => "SELECT value FROM json_each($1)",
            Transaction::Postgres(_) => {
                "SELECT value::bigint FROM json_array_elements_text($1::json)"
            }
        };
        let delete =
            format!("DELETE FROM regatta_outbox WHERE refused IS NULL AND number IN ({list})");
        let numbers = serde_json::Value::from(numbers.to_vec()).to_string();
        executing!(&mut transaction, |connection| {
            sqlx::query(AssertSqlSafe(&*delete)).bind(&*numbers).execute(connection)
        })?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn refuse(&self, relay: Uuid, number: u64, reason: &str) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        if !has_turn(&mut transaction, relay).await? {
            return Ok(false);
        }
        let update = "UPDATE regatta_outbox SET refused = $2 WHERE number = $1";
        executing!(&mut transaction, |connection| {
            sqlx::query(update).bind(signed(number)).bind(reason).execute(connection)
        })?;
        transaction.commit().await?;
        Ok(true)
    }
}

#[async_trait]
impl Outbox for SqlStore {
    async fn claim(
        &self,
        relay: Uuid,
        lease: Duration,
        limit: u32,
    ) -> Result<Option<Vec<Queued>>, StoreError> {
        let claim = self.claimed(relay, lease, limit);
        let rows = self.database.query("SELECT", "regatta_outbox", claim).await;
        let Some(rows) = rows.map_err(failed)? else { return Ok(None) };
        let queued = |(number, event): (i64, String)| {
            let event = CloudEvent::from_json_slice(event.as_bytes()).map_err(broken)?;
            Ok(Queued { number: unsigned(number), event })
        };
        rows.into_iter().map(queued).collect::<Result<_, _>>().map(Some)
    }

    async fn published(&self, relay: Uuid, numbers: &[u64]) -> Result<bool, StoreError> {
        let delete = self.take_off(relay, numbers);
        self.database.query("DELETE", "regatta_outbox", delete).await.map_err(failed)
    }

    async fn set_aside(&self, relay: Uuid, number: u64, reason: &str) -> Result<bool, StoreError> {
        let update = self.refuse(relay, number, reason);
        self.database.query("UPDATE", "regatta_outbox", update).await.map_err(failed)
    }

    async fn release(&self, relay: Uuid) -> Result<(), StoreError> {
        let update = "UPDATE regatta_outbox_turn SET until = 0 WHERE id = 1 AND relay = $1";
        writing!(self.database, |pool| {
            sqlx::query(update).bind(relay.to_string()).execute(pool)
        })
        .map(drop)
        .map_err(failed)
    }

    async fn backlog(&self) -> Result<(u64, u64), StoreError> {
        let select = "SELECT count(*), count(refused) FROM regatta_outbox";
        let (all, refused): (i64, i64) = reading!(self.database, |pool| sqlx::query_as(select)
            .fetch_one(pool))
        .map_err(failed)?;
        Ok((unsigned(all - refused), unsigned(refused)))
    }

    async fn wait_for_message(&self) {
        let mut watcher = self.changes.watch();
        if !matches!(self.has_messages().await, Ok(true)) {
            watcher.changed().await;
        }
    }
}
