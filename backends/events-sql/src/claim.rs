//! How a subscriber gets all events of its group that may go.

use std::time::Duration;

use regatta_database::{Database, Engine, Error as DatabaseError, executing, reading, returning};
use regatta_events::{FailedDelivery, Next, Subscription};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::engine::{dialect, from_micros, length};
use crate::failures;
use crate::settle::{Settled, record};
use crate::take::{self, Row, Taken};

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
    /// Expired ones were buried, or nobody wanted what was opened; there may be others.
    Again,
    /// Nothing is free.
    Nothing,
}

/// Claims the oldest events that are free to go: none of its key is open before it, and its pause or
/// lease is over. When none is, it opens more of the log.
pub(crate) async fn claim(
    database: &Database,
    asks: &Subscription,
    most: usize,
) -> Result<Claims, DatabaseError> {
    let claim = Uuid::new_v4();
    let most = i64::try_from(most.min(BATCH)).unwrap_or(i64::MAX);
    let taken = match database.engine() {
        Engine::Sqlite(sqlite) => take::from_sqlite(sqlite, asks, claim, most).await?,
        Engine::Postgres(postgres) => take::from_postgres(postgres, asks, claim, most).await?,
    };
    let Taken::Rows(mut rows) = taken else { return Ok(Claims::Nothing) };
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

/// Twice the longest pause or lease of this group, and two minutes at least, in microseconds:
/// subscribers of a group ask for the same, but for the time of a roll-out, and a handler may ask for
/// a pause of its own.
pub(crate) fn longest(asks: &Subscription) -> i64 {
    length(asks.lease.max(asks.longest_backoff).max(Duration::from_secs(60))).saturating_mul(2)
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
