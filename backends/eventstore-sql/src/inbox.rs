//! The inbox: what a consumer has seen, kept in the transaction of its effect.

use regatta_database::{Database, Transaction, in_transaction, reading, writing};
use regatta_events::{CloudEvent, GroupName};
use regatta_eventstore::StoreError;
use time::OffsetDateTime;

use crate::engine::{failed, micros, unsigned, wall_clock};

/// How many entries are forgotten at a time, so that no writer waits long.
const SLICE: i64 = 1000;

/// Tells an event that is new from one that comes again.
///
/// A bus delivers at least once. A consumer that asks here and has its effect in the same transaction
/// has each effect once.
#[derive(Clone, Copy, Debug)]
pub struct Inbox;

impl Inbox {
    /// Whether the event comes to this consumer for the first time; it is remembered if the
    /// transaction commits. A second delivery at the same time waits here for the first to end.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; the transaction is to be dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction is to be dropped too.
    pub async fn first_time(
        transaction: &mut Transaction,
        consumer: &GroupName,
        event: &CloudEvent,
    ) -> Result<bool, StoreError> {
        let insert = "INSERT INTO regatta_inbox (consumer, source, id, seen_at)
            VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING id";
        let fresh: Option<(String,)> = in_transaction!(transaction, |connection| {
            sqlx::query_as(insert)
                .bind(consumer.as_str())
                .bind(event.source())
                .bind(event.id())
                .bind(micros(wall_clock()))
                .fetch_optional(connection)
        })
        .map_err(failed)?;
        Ok(fresh.is_some())
    }

    /// Whether the event came to this consumer before, and its effect is committed.
    pub(crate) async fn has_seen(
        database: &Database,
        consumer: &GroupName,
        event: &CloudEvent,
    ) -> Result<bool, StoreError> {
        let select = "SELECT id FROM regatta_inbox
            WHERE consumer = $1 AND source = $2 AND id = $3";
        let select = async {
            reading!(database, |pool| {
                sqlx::query_as(select)
                    .bind(consumer.as_str())
                    .bind(event.source())
                    .bind(event.id())
                    .fetch_optional(pool)
            })
        };
        let seen: Option<(String,)> =
            database.query("SELECT", "regatta_inbox", select).await.map_err(failed)?;
        Ok(seen.is_some())
    }

    /// Forgets what was seen before this time; answers how many. Choose a time before which no bus
    /// delivers again: its longest backoff times its deliveries, and any replay.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; what was forgotten until then stays so.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was forgotten until then stays so.
    pub async fn forget(database: &Database, before: OffsetDateTime) -> Result<u64, StoreError> {
        let delete = "DELETE FROM regatta_inbox WHERE (consumer, source, id) IN
            (SELECT consumer, source, id FROM regatta_inbox WHERE seen_at < $1 LIMIT $2)";
        let mut forgotten = 0;
        loop {
            let slice = async {
                writing!(database, |pool| {
                    sqlx::query(delete).bind(micros(before)).bind(SLICE).execute(pool)
                })
            };
            let slice = database.query("DELETE", "regatta_inbox", slice).await.map_err(failed)?;
            forgotten += slice;
            if slice < unsigned(SLICE) {
                return Ok(forgotten);
            }
        }
    }
}
