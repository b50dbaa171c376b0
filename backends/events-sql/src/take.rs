//! Opens what a group wants of the log and claims what is free of it.
//!
//! No commit here waits for the disk: what a crash forgets is opened and claimed again. And none writes
//! when there is nothing to do: to write is to wake everybody.

use regatta_database::{Error as DatabaseError, Postgres, Sqlite};
use regatta_events::Subscription;
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::claim::longest;
use crate::engine::{SQLITE, length, micros};

/// How many events that are the first of their key a group has open at most; what is beyond waits in
/// the log.
const FIRST: i64 = 1000;
/// How many it has open in all: those that wait behind another of their key, too. With so many behind
/// one that fails, the others stop until it is done or dead.
const MOST_OPEN: i64 = 10_000;
/// How many events of the log are looked at at a time.
const PAGE: i64 = 500;
/// How many pages one call to PostgreSQL looks through: some milliseconds each.
const PAGES: i64 = 20;

/// What is taken: position, number of the delivery, the claim before, failures, event, now.
pub(crate) type Row = (i64, i64, Option<String>, String, String, i64);

/// What a look came to.
pub(crate) enum Taken {
    /// Events that are claimed; perhaps of none, and then there may be more.
    Rows(Vec<Row>),
    /// Nothing is free, and nothing can be opened.
    Nothing,
}

/// One call of a function, which is one round trip.
pub(crate) async fn from_postgres(
    postgres: &Postgres,
    asks: &Subscription,
    claim: Uuid,
    most: i64,
) -> Result<Taken, DatabaseError> {
    let take = "SELECT * FROM regatta_bus_claim_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let take = sqlx::query_as(take)
        .bind(asks.group.as_str())
        .bind(claim.to_string())
        .bind(most)
        .bind(length(asks.lease))
        .bind(longest(asks))
        .bind(asks.types.patterns().collect::<Vec<_>>())
        .bind(FIRST)
        .bind(MOST_OPEN)
        .bind(PAGE)
        .bind(PAGES);
    let mut rows: Vec<Row> = take.fetch_all(postgres.pool()).await?;
    if rows.is_empty() {
        return Ok(Taken::Nothing);
    }
    // Position 0 says that there may be more.
    rows.retain(|row| row.0 > 0);
    Ok(Taken::Rows(rows))
}

/// A look by a reader, then a transaction of three steps.
pub(crate) async fn from_sqlite(
    sqlite: &Sqlite,
    asks: &Subscription,
    claim: Uuid,
    most: i64,
) -> Result<Taken, DatabaseError> {
    let look = sqlx::query_as(AssertSqlSafe(look()));
    let look = look.bind(asks.group.as_str()).bind(longest(asks)).bind(FIRST).bind(MOST_OPEN);
    let (is_free, is_behind): (bool, bool) = look.fetch_one(sqlite.reader()).await?;
    if !is_free && !is_behind {
        return Ok(Taken::Nothing);
    }
    let take = take(!is_free);
    let types = serde_json::Value::from(asks.types.patterns().collect::<Vec<_>>());
    let mut tx = sqlite.begin_lax().await?;
    // With the writer in hand, so that it is the time at which the claim begins.
    let now = micros(OffsetDateTime::now_utc());
    let take = sqlx::query_as(AssertSqlSafe(take))
        .bind(asks.group.as_str())
        .bind(longest(asks))
        .bind(now)
        .bind(most)
        .bind(claim.to_string())
        .bind(length(asks.lease))
        .bind(types.to_string())
        .bind(PAGE);
    let rows: Vec<Row> = take.fetch_all(&mut *tx).await?;
    tx.commit().await?;
    Ok(Taken::Rows(rows))
}

/// Whether something is free, and if not whether there is more in the log and room for it.
fn look() -> String {
    let free = is_free(SQLITE.now);
    format!(
        "WITH free (any) AS (SELECT EXISTS (SELECT 1 FROM regatta_bus_open o WHERE {free}))
         SELECT free.any, NOT free.any AND coalesce((
             SELECT g.position < coalesce((
                     SELECT seq FROM sqlite_sequence WHERE name = 'regatta_bus_log'), 0)
                 AND (SELECT count(*) < $4 AND count(*) - count(o.partition_key)
                         + count(DISTINCT o.partition_key) < $3
                     FROM regatta_bus_open o WHERE o.consumer = $1)
             FROM regatta_bus_groups g WHERE g.name = $1), FALSE)
         FROM free"
    )
}

/// The statements that claim, after those that open a page of the log. Only the claimed are rows of
/// theirs; `$3` is the time for all, so that two of them mean the same events.
fn take(opens: bool) -> String {
    let free = is_free("$3");
    let open = "INSERT INTO regatta_bus_open (consumer, position, partition_key)
            SELECT $1, page.position, page.partition_key FROM (
                SELECT l.position, l.partition_key, l.type FROM regatta_bus_log l
                WHERE l.position > (SELECT position FROM regatta_bus_groups WHERE name = $1)
                ORDER BY l.position LIMIT $8
            ) page
            WHERE $7 = '[]' OR EXISTS (
                SELECT 1 FROM json_each($7) wanted
                WHERE page.type = wanted.value OR (substr(wanted.value, -1) = '*'
                    AND substr(page.type, 1, length(wanted.value) - 1)
                        = substr(wanted.value, 1, length(wanted.value) - 1)))
            ON CONFLICT DO NOTHING;
        UPDATE regatta_bus_groups SET position = coalesce(
                (SELECT l.position FROM regatta_bus_log l
                 WHERE l.position > regatta_bus_groups.position
                 ORDER BY l.position LIMIT 1 OFFSET $8 - 1),
                (SELECT seq FROM sqlite_sequence WHERE name = 'regatta_bus_log'), position)
            WHERE name = $1;";
    format!(
        "{}
         SELECT o.position, o.deliveries + 1, o.claim, o.failures, l.event, $3
             FROM regatta_bus_open o CROSS JOIN regatta_bus_log l ON l.position = o.position
             WHERE {free} ORDER BY o.position LIMIT $4;
         UPDATE regatta_bus_open SET claim = $5, until = $3 + $6, deliveries = deliveries + 1
             WHERE consumer = $1 AND position IN (
                 SELECT o.position FROM regatta_bus_open o
                     CROSS JOIN regatta_bus_log l ON l.position = o.position
                 WHERE {free} ORDER BY o.position LIMIT $4)",
        if opens { open } else { "" }
    )
}

/// Which rows `o` are free to go: none of its key is open before it, and its pause or lease is over.
/// One that ends later than any can is one that a clock has left behind which was set back.
fn is_free(now: &str) -> String {
    format!(
        "o.consumer = $1 AND (o.until <= {now} OR o.until > {now} + $2)
         AND (o.partition_key IS NULL OR NOT EXISTS (
             SELECT 1 FROM regatta_bus_open earlier WHERE earlier.consumer = o.consumer
                 AND earlier.partition_key = o.partition_key AND earlier.position < o.position))"
    )
}
