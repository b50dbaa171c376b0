//! How a group gets its events: opened from the log, claimed one by one.

use regatta_database::{Database, Error as DatabaseError, executing, in_transaction, reading};
use regatta_events::{FailedDelivery, Next, Subscription};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::engine::{dialect, from_micros};
use crate::failures;
use crate::settle::{Settled, record};

/// How many events a group has open at most; what is beyond waits in the log.
const WINDOW: i64 = 1000;
/// How many events of the log one transaction looks at.
const PAGE: i64 = 500;

/// An event that a subscriber has until its lease runs out.
pub(crate) struct Claimed {
    pub(crate) position: i64,
    pub(crate) number: u32,
    pub(crate) claim: Uuid,
    pub(crate) event: String,
}

/// Opens what the group wants of the log, a page of it; false when there was nothing to look at.
///
/// It writes only when there is something: to write is to wake everybody.
pub(crate) async fn advance(
    database: &Database,
    asks: &Subscription,
) -> Result<bool, DatabaseError> {
    let group = asks.group.as_str();
    let head = crate::log::head(database).await?;
    let state = "SELECT position, (SELECT count(*) FROM regatta_bus_open WHERE consumer = $1)
        FROM regatta_bus_groups WHERE name = $1";
    let state: Option<(i64, i64)> =
        reading!(database, |pool| sqlx::query_as(state).bind(group).fetch_optional(pool))?;
    match state {
        Some((position, open)) if position < head && open < WINDOW => (),
        _ => return Ok(false),
    }
    let dialect = dialect(database);
    let mut tx = database.begin().await?;
    let hold = format!("SELECT position FROM regatta_bus_groups WHERE name = $1 {}", dialect.hold);
    let held: Option<(i64,)> = in_transaction!(&mut tx, |connection| {
        sqlx::query_as(AssertSqlSafe(&*hold)).bind(group).fetch_optional(connection)
    })?;
    let Some((after,)) = held else { return Ok(false) };
    let page = "SELECT position, type FROM regatta_bus_log WHERE position > $1 AND position <= $2
        ORDER BY position LIMIT $3";
    let rows: Vec<(i64, String)> = in_transaction!(&mut tx, |connection| {
        sqlx::query_as(page).bind(after).bind(head).bind(PAGE).fetch_all(connection)
    })?;
    let is_last = (rows.len() as i64) < PAGE;
    let next = if is_last { head } else { rows.last().map_or(head, |(position, _)| *position) };
    let wanted = rows.iter().filter(|(_, event_type)| asks.types.passes(event_type));
    let wanted: Vec<i64> = wanted.map(|(position, _)| *position).collect();
    let open = format!(
        "INSERT INTO regatta_bus_open (consumer, position, partition_key)
         SELECT $1, position, partition_key FROM regatta_bus_log WHERE position IN ({})
         ON CONFLICT DO NOTHING",
        dialect.numbers
    );
    let wanted = serde_json::Value::from(wanted).to_string();
    executing!(&mut tx, |connection| {
        sqlx::query(AssertSqlSafe(&*open)).bind(group).bind(&*wanted).execute(connection)
    })?;
    let update = "UPDATE regatta_bus_groups SET position = $2 WHERE name = $1";
    executing!(&mut tx, |connection| {
        sqlx::query(update).bind(group).bind(next.max(after)).execute(connection)
    })?;
    tx.commit().await?;
    Ok(true)
}

/// What a claim came to.
pub(crate) enum Claim {
    /// An event.
    Got(Claimed),
    /// An expired one was buried; there may be another.
    Again,
    /// Nothing is free.
    Nothing,
}

/// Claims the oldest event that is free to go: none of its key is open before it, and its pause or
/// lease is over.
pub(crate) async fn claim(
    database: &Database,
    asks: &Subscription,
) -> Result<Claim, DatabaseError> {
    let (group, dialect) = (asks.group.as_str(), dialect(database));
    let free = format!(
        "SELECT position, deliveries, claim, failures, {} FROM regatta_bus_open o
         WHERE consumer = $1 AND until <= {} AND (partition_key IS NULL OR NOT EXISTS (
             SELECT 1 FROM regatta_bus_open earlier WHERE earlier.consumer = o.consumer
                 AND earlier.partition_key = o.partition_key AND earlier.position < o.position))
         ORDER BY position LIMIT 1",
        dialect.now, dialect.now
    );
    type Row = (i64, i64, Option<String>, String, i64);
    let seen: Option<Row> = reading!(database, |pool| {
        sqlx::query_as(AssertSqlSafe(&*free)).bind(group).fetch_optional(pool)
    })?;
    if seen.is_none() {
        return Ok(Claim::Nothing);
    }
    let mut tx = database.begin().await?;
    let take = format!("{free} {}", dialect.take);
    let row: Option<Row> = in_transaction!(&mut tx, |connection| {
        sqlx::query_as(AssertSqlSafe(&*take)).bind(group).fetch_optional(connection)
    })?;
    // Another subscriber was faster; there may be more.
    let Some((position, deliveries, held, failures, now)) = row else { return Ok(Claim::Nothing) };
    let deliveries = u32::try_from(deliveries).unwrap_or(u32::MAX);
    let mut failures = failures;
    if held.is_some() {
        let mut list = failures::from_text(&failures).unwrap_or_default();
        let reason = FailedDelivery::LEASE_RAN_OUT.to_owned();
        FailedDelivery { number: deliveries, at: from_micros(now), reason }.push(&mut list);
        if asks.after_failure(deliveries) == Next::Dead {
            record(&mut tx, (group, position), Settled::Dead, &list, now).await?;
            tx.commit().await?;
            return Ok(Claim::Again);
        }
        failures = failures::to_text(&list);
    }
    let claim = Uuid::new_v4();
    let until = now.saturating_add(i64::try_from(asks.lease.as_micros()).unwrap_or(i64::MAX));
    let update = "UPDATE regatta_bus_open
        SET claim = $3, until = $4, deliveries = deliveries + 1, failures = $5
        WHERE consumer = $1 AND position = $2";
    executing!(&mut tx, |connection| {
        sqlx::query(update)
            .bind(group)
            .bind(position)
            .bind(claim.to_string())
            .bind(until)
            .bind(&*failures)
            .execute(connection)
    })?;
    let event = "SELECT event FROM regatta_bus_log WHERE position = $1";
    let (event,): (String,) = in_transaction!(&mut tx, |connection| {
        sqlx::query_as(event).bind(position).fetch_one(connection)
    })?;
    tx.commit().await?;
    Ok(Claim::Got(Claimed { position, number: deliveries + 1, claim, event }))
}

/// In how many microseconds a pause or a lease ends, the first that does.
pub(crate) async fn wakes_in(
    database: &Database,
    asks: &Subscription,
) -> Result<Option<u64>, DatabaseError> {
    let now = dialect(database).now;
    let select = format!(
        "SELECT min(until) - {now} FROM regatta_bus_open WHERE consumer = $1 AND until > {now}"
    );
    let (wakes_in,): (Option<i64>,) = reading!(database, |pool| {
        sqlx::query_as(AssertSqlSafe(&*select)).bind(asks.group.as_str()).fetch_one(pool)
    })?;
    Ok(wakes_in.map(|wakes_in| wakes_in.max(0).unsigned_abs()))
}
