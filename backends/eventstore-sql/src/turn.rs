//! Whose turn it is to empty the outbox, and what it gets.
//!
//! No commit here waits for the disk. One that a crash takes back is a turn that another relay may take
//! early, or messages that are published once more: both are allowed, and the bus knows what it has.

use std::time::Duration;

use regatta_database::{Database, Engine, Error as DatabaseError, Postgres, Sqlite, reading};
use regatta_eventstore::RelaySettings;
use uuid::Uuid;

use crate::engine::{micros, wall_clock};

/// The oldest messages, with their numbers; none of another relay's turn.
type Turn = Option<Vec<(i64, String)>>;

const OLDEST: &str =
    "SELECT number, event FROM regatta_outbox WHERE refused IS NULL ORDER BY number LIMIT $1";

/// Takes or keeps the turn and gives the oldest messages. A turn that ends later than any can is one
/// that a clock has left behind which was set back: it is over.
pub(crate) async fn take(
    database: &Database,
    relay: Uuid,
    lease: Duration,
    limit: u32,
) -> Result<Turn, DatabaseError> {
    // To take the turn is to write, and to write wakes; who waits for nothing must not.
    if !has_messages(database).await? {
        return Ok(Some(Vec::new()));
    }
    let longest = length(RelaySettings::LONGEST_LEASE);
    match database.engine() {
        Engine::Sqlite(sqlite) => {
            let take = "UPDATE regatta_outbox_turn SET relay = $1, until = $2 + $3
                    WHERE id = 1 AND (relay = $1 OR until <= $2 OR until > $2 + $5)
                    RETURNING 0, '';
                SELECT number, event FROM regatta_outbox WHERE refused IS NULL
                    ORDER BY number LIMIT $4";
            let mut tx = sqlite.begin_lax().await?;
            let take = sqlx::query_as(take).bind(relay.to_string()).bind(micros(wall_clock()));
            let take = take.bind(length(lease)).bind(i64::from(limit)).bind(longest);
            let rows: Vec<(i64, String)> = take.fetch_all(&mut *tx).await?;
            let turn = behind_the_turn(rows);
            if turn.is_some() {
                tx.commit().await?;
            }
            Ok(turn)
        }
        Engine::Postgres(postgres) => {
            let take = "UPDATE regatta_outbox_turn SET relay = $1, until = clock.now + $2
                FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now,
                        set_config('synchronous_commit', 'off', true)) AS clock
                WHERE id = 1 AND (relay = $1 OR until <= clock.now OR until > clock.now + $3)";
            let take = sqlx::query(take).bind(relay.to_string()).bind(length(lease)).bind(longest);
            if take.execute(postgres.pool()).await?.rows_affected() == 0 {
                return Ok(None);
            }
            // A statement of its own, which sees what the relay before has taken off.
            let oldest = sqlx::query_as(OLDEST).bind(i64::from(limit));
            Ok(Some(oldest.fetch_all(postgres.pool()).await?))
        }
    }
}

/// Takes published messages off, keeps the turn and gives the next ones; none, and all is as it was,
/// when the turn was lost.
pub(crate) async fn go_on(
    database: &Database,
    (relay, lease): (Uuid, Duration),
    numbers: &[i64],
    limit: u32,
) -> Result<Turn, DatabaseError> {
    match database.engine() {
        Engine::Sqlite(sqlite) => go_on_in_sqlite(sqlite, (relay, lease), numbers, limit).await,
        Engine::Postgres(postgres) => {
            if !take_off(postgres, (relay, lease), numbers).await? {
                return Ok(None);
            }
            let oldest = sqlx::query_as(OLDEST).bind(i64::from(limit));
            Ok(Some(oldest.fetch_all(postgres.pool()).await?))
        }
    }
}

async fn go_on_in_sqlite(
    sqlite: &Sqlite,
    (relay, lease): (Uuid, Duration),
    numbers: &[i64],
    limit: u32,
) -> Result<Turn, DatabaseError> {
    let go_on = "UPDATE regatta_outbox_turn SET until = $2 + $3
            WHERE id = 1 AND relay = $1 AND until > $2 RETURNING 0, '';
        DELETE FROM regatta_outbox
            WHERE refused IS NULL AND number IN (SELECT value FROM json_each($5))
                AND EXISTS (SELECT 1 FROM regatta_outbox_turn
                    WHERE id = 1 AND relay = $1 AND until = $2 + $3);
        SELECT number, event FROM regatta_outbox WHERE refused IS NULL ORDER BY number LIMIT $4";
    let mut tx = sqlite.begin_lax().await?;
    let go_on = sqlx::query_as(go_on).bind(relay.to_string()).bind(micros(wall_clock()));
    let go_on = go_on.bind(length(lease)).bind(i64::from(limit));
    let go_on = go_on.bind(serde_json::Value::from(numbers).to_string());
    let rows: Vec<(i64, String)> = go_on.fetch_all(&mut *tx).await?;
    let turn = behind_the_turn(rows);
    if turn.is_some() {
        tx.commit().await?;
    }
    Ok(turn)
}

/// In one statement; false when the turn was lost.
async fn take_off(
    postgres: &Postgres,
    (relay, lease): (Uuid, Duration),
    numbers: &[i64],
) -> Result<bool, DatabaseError> {
    let take_off = "WITH turn AS (
            UPDATE regatta_outbox_turn SET until = clock.now + $2
            FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now,
                    set_config('synchronous_commit', 'off', true)) AS clock
            WHERE id = 1 AND relay = $1 AND until > clock.now RETURNING id
        ), gone AS (
            DELETE FROM regatta_outbox WHERE refused IS NULL AND number = ANY($3)
                AND EXISTS (SELECT 1 FROM turn) RETURNING number
        )
        SELECT EXISTS (SELECT 1 FROM turn), (SELECT count(*) FROM gone)";
    let take_off = sqlx::query_as(take_off).bind(relay.to_string()).bind(length(lease));
    let (is_mine, _): (bool, i64) = take_off.bind(numbers).fetch_one(postgres.pool()).await?;
    Ok(is_mine)
}

pub(crate) async fn has_messages(database: &Database) -> Result<bool, DatabaseError> {
    let select = "SELECT 1 FROM regatta_outbox WHERE refused IS NULL LIMIT 1";
    let first: Option<(i32,)> =
        reading!(database, |pool| sqlx::query_as(select).fetch_optional(pool))?;
    Ok(first.is_some())
}

/// What follows the row that says that the turn was taken.
fn behind_the_turn(mut rows: Vec<(i64, String)>) -> Turn {
    match rows.first() {
        Some((0, _)) => {
            rows.remove(0);
            Some(rows)
        }
        _ => None,
    }
}

fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}
