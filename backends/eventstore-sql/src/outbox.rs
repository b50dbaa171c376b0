//! The outbox: a table, and whose turn it is to empty it.

use std::time::Duration;

use async_trait::async_trait;
use regatta_database::{
    Error as DatabaseError, Transaction, executing, in_transaction, reading, writing,
};
use regatta_events::CloudEvent;
use regatta_eventstore::{Outbox, Queued, StoreError};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::engine::{broken, failed, micros, signed, unsigned, wall_clock};
use crate::{SqlStore, turn};

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
        let take = turn::take(&self.database, relay, lease, limit);
        queued(self.database.query("UPDATE", "regatta_outbox_turn", take).await)
    }

    async fn go_on(
        &self,
        relay: Uuid,
        published: &[u64],
        lease: Duration,
        limit: u32,
    ) -> Result<Option<Vec<Queued>>, StoreError> {
        let numbers: Vec<_> = published.iter().map(|number| signed(*number)).collect();
        let go_on = turn::go_on(&self.database, (relay, lease), &numbers, limit);
        queued(self.database.query("DELETE", "regatta_outbox", go_on).await)
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
        if !matches!(turn::has_messages(&self.database).await, Ok(true)) {
            watcher.changed().await;
        }
    }
}

/// What the tables hold, as the port tells it.
fn queued(
    rows: Result<Option<Vec<(i64, String)>>, DatabaseError>,
) -> Result<Option<Vec<Queued>>, StoreError> {
    let Some(rows) = rows.map_err(failed)? else { return Ok(None) };
    let queued = |(number, event): (i64, String)| {
        let event = CloudEvent::from_json_slice(event.as_bytes()).map_err(broken)?;
        Ok(Queued { number: unsigned(number), event })
    };
    rows.into_iter().map(queued).collect::<Result<_, _>>().map(Some)
}
