//! How a subscriber gets all events of its group that may go: one statement.

use std::time::Duration;

use regatta_database::{
    Database, Engine, Error as DatabaseError, Postgres, Sqlite, executing, reading, returning,
};
use regatta_events::{FailedDelivery, Next, Subscription};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::engine::{dialect, from_micros, length};
use crate::failures;
use crate::settle::{Settled, record};

/// How many events one statement claims at most, whatever `max_in_flight` has room for.
pub(crate) const BATCH: usize = 100;

/// An event that a subscriber has until its lease runs out.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) position: i64,
    pub(crate) number: u32,
    pub(crate) claim: Uuid,
    pub(crate) event: String,
}

/// What claims came to.
pub(crate) enum Claims {
    /// Events, in the order of the log.
    Got(Vec<Claimed>),
    /// Expired ones were buried; there may be others.
    Again,
    /// Nothing is free.
    Nothing,
}

/// Position, number of the delivery, the claim before, failures, event, now.
type Row = (i64, i64, Option<String>, String, String, i64);

/// Claims the oldest events that are free to go: none of its key is open before it, and its pause or
/// lease is over.
pub(crate) async fn claim(
    database: &Database,
    asks: &Subscription,
    most: usize,
) -> Result<Claims, DatabaseError> {
    let claim = Uuid::new_v4();
    let most = i64::try_from(most.min(BATCH)).unwrap_or(i64::MAX);
    let mut rows = match database.engine() {
        Engine::Sqlite(sqlite) => take_sqlite(sqlite, asks, claim, most).await?,
        Engine::Postgres(postgres) => take_postgres(postgres, asks, claim, most).await?,
    };
    if rows.is_empty() {
        return Ok(Claims::Nothing);
    }
    rows.sort_unstable_by_key(|row| row.0);
    let dead = match rows.iter().any(|row| row.2.is_some()) {
        true => note_expired(database, asks, &rows).await?,
        false => Vec::new(),
    };
    let claimed: Vec<_> = rows
        .into_iter()
        .filter(|row| !dead.contains(&row.0))
        .map(|(position, number, _, _, event, _)| Claimed {
            position,
            number: u32::try_from(number).unwrap_or(u32::MAX),
            claim,
            event,
        })
        .collect();
    Ok(if claimed.is_empty() { Claims::Again } else { Claims::Got(claimed) })
}

/// Which rows `o` are free to go. A pause or a lease that ends later than any can is one that a clock
/// has left behind which was set back: it is over.
fn is_free(now: &str) -> String {
    format!(
        "o.consumer = $1 AND (o.until <= {now} OR o.until > {now} + $2)
         AND (o.partition_key IS NULL OR NOT EXISTS (
             SELECT 1 FROM regatta_bus_open earlier WHERE earlier.consumer = o.consumer
                 AND earlier.partition_key = o.partition_key AND earlier.position < o.position))"
    )
}

/// Twice the longest pause or lease of this group, and two minutes at least, in microseconds:
/// subscribers of a group ask for the same, but for the time of a roll-out, and a handler may ask for
/// a pause of its own.
fn longest(asks: &Subscription) -> i64 {
    length(asks.lease.max(asks.longest_backoff).max(Duration::from_secs(60))).saturating_mul(2)
}

/// In one statement. Its commit waits for no disk: a claim that a crash forgets is one whose event is
/// delivered again.
async fn take_postgres(
    postgres: &Postgres,
    asks: &Subscription,
    claim: Uuid,
    most: i64,
) -> Result<Vec<Row>, DatabaseError> {
    let now = crate::engine::POSTGRES.now;
    let take = format!(
        "WITH free AS (
             SELECT o.position, o.claim AS held FROM regatta_bus_open o
             WHERE {} AND (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
             ORDER BY o.position LIMIT $3 FOR UPDATE OF o SKIP LOCKED)
         UPDATE regatta_bus_open o
         SET claim = $4, until = {now} + $5, deliveries = o.deliveries + 1
         FROM free JOIN regatta_bus_log l ON l.position = free.position
         WHERE o.consumer = $1 AND o.position = free.position
         RETURNING o.position, o.deliveries, free.held, o.failures, l.event, {now}",
        is_free(now)
    );
    let take = sqlx::query_as(AssertSqlSafe(&*take))
        .bind(asks.group.as_str())
        .bind(longest(asks))
        .bind(most)
        .bind(claim.to_string())
        .bind(length(asks.lease));
    Ok(take.fetch_all(postgres.pool()).await?)
}

/// It writes only when there is something: to write is to wake everybody.
async fn take_sqlite(
    sqlite: &Sqlite,
    asks: &Subscription,
    claim: Uuid,
    most: i64,
) -> Result<Vec<Row>, DatabaseError> {
    let now = crate::engine::SQLITE.now;
    let free = is_free(now);
    let any = format!("SELECT 1 FROM regatta_bus_open o WHERE {free} LIMIT 1");
    let any = sqlx::query(AssertSqlSafe(&*any)).bind(asks.group.as_str()).bind(longest(asks));
    if any.fetch_optional(sqlite.reader()).await?.is_none() {
        return Ok(Vec::new());
    }
    let mut tx = sqlite.begin().await?;
    let take = format!(
        "SELECT o.position, o.deliveries + 1, o.claim, o.failures, l.event, {now}
         FROM regatta_bus_open o CROSS JOIN regatta_bus_log l ON l.position = o.position
         WHERE {free} ORDER BY o.position LIMIT $3"
    );
    let take = sqlx::query_as(AssertSqlSafe(&*take));
    let take = take.bind(asks.group.as_str()).bind(longest(asks)).bind(most);
    let rows: Vec<Row> = take.fetch_all(&mut *tx).await?;
    let update = format!(
        "UPDATE regatta_bus_open SET claim = $3, until = {now} + $4, deliveries = deliveries + 1
         WHERE consumer = $1 AND position IN ({})",
        crate::engine::SQLITE.numbers
    );
    let positions: Vec<_> = rows.iter().map(|row| row.0).collect();
    let update = sqlx::query(AssertSqlSafe(&*update))
        .bind(asks.group.as_str())
        .bind(serde_json::Value::from(positions).to_string())
        .bind(claim.to_string())
        .bind(length(asks.lease));
    update.execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(rows)
}

/// Writes of the claimed whose last lease ran out that it did; answers those that are dead letters now.
async fn note_expired(
    database: &Database,
    asks: &Subscription,
    rows: &[Row],
) -> Result<Vec<i64>, DatabaseError> {
    let group = asks.group.as_str();
    let mut dead = Vec::new();
    let mut tx = database.begin().await?;
    for (position, number, held, failures, _, now) in rows {
        if held.is_none() {
            continue;
        }
        let failed = u32::try_from(number - 1).unwrap_or(u32::MAX);
        let mut list = failures::from_text(failures).unwrap_or_default();
        let reason = FailedDelivery::LEASE_RAN_OUT.to_owned();
        FailedDelivery { number: failed, at: from_micros(*now), reason }.push(&mut list);
        if asks.after_failure(failed) == Next::Dead {
            record(&mut tx, (group, *position), Settled::Dead, &list, *now).await?;
            dead.push(*position);
            continue;
        }
        let update = "UPDATE regatta_bus_open SET failures = $3
            WHERE consumer = $1 AND position = $2";
        let text = failures::to_text(&list);
        executing!(&mut tx, |connection| {
            sqlx::query(update).bind(group).bind(position).bind(&*text).execute(connection)
        })?;
    }
    tx.commit().await?;
    Ok(dead)
}

/// Gives back what was claimed and not handed out: as if it had not been.
pub(crate) async fn release(
    database: &Database,
    asks: &Subscription,
    claimed: &[Claimed],
) -> Result<(), DatabaseError> {
    let update = format!(
        "UPDATE regatta_bus_open SET claim = NULL, until = 0, deliveries = deliveries - 1
         WHERE consumer = $1 AND (position, claim) IN ({}) RETURNING position",
        dialect(database).pairs
    );
    let pairs = pairs(claimed.iter().map(|claimed| (claimed.position, claimed.claim)));
    let _: Vec<(i64,)> = returning!(database, |pool| {
        let update = sqlx::query_as(AssertSqlSafe(&*update));
        update.bind(asks.group.as_str()).bind(&*pairs).fetch_all(pool)
    })?;
    Ok(())
}

/// Positions and claims, as a statement takes them.
pub(crate) fn pairs(claims: impl Iterator<Item = (i64, Uuid)>) -> String {
    let pair = |(position, claim): (i64, Uuid)| serde_json::json!([position, claim.to_string()]);
    serde_json::Value::from(claims.map(pair).collect::<Vec<_>>()).to_string()
}

/// In how long a pause or a lease ends, the first that does.
pub(crate) async fn wakes_in(
    database: &Database,
    asks: &Subscription,
) -> Result<Option<Duration>, DatabaseError> {
    let now = dialect(database).now;
    let select = format!(
        "SELECT min(until) - {now} FROM regatta_bus_open WHERE consumer = $1 AND until > {now}"
    );
    let (wakes_in,): (Option<i64>,) = reading!(database, |pool| {
        sqlx::query_as(AssertSqlSafe(&*select)).bind(asks.group.as_str()).fetch_one(pool)
    })?;
    Ok(wakes_in.map(|wakes_in| Duration::from_micros(wakes_in.max(0).unsigned_abs())))
}
