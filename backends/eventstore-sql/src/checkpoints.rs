//! How far each reader has come.

use regatta_database::{Database, reading, writing};
use regatta_eventstore::{Position, StoreError};

use crate::engine::{failed, signed, unsigned};

pub(crate) async fn load(database: &Database, name: &str) -> Result<Position, StoreError> {
    let select = "SELECT position FROM regatta_checkpoints WHERE name = $1";
    let held: Option<(i64,)> =
        reading!(database, |pool| { sqlx::query_as(select).bind(name).fetch_optional(pool) })
            .map_err(failed)?;
    Ok(held.map_or(Position::START, |(position,)| Position::new(unsigned(position))))
}

/// Moves a checkpoint from where it is said to be; false when it is elsewhere.
pub(crate) async fn move_on(
    database: &Database,
    name: &str,
    from: Position,
    to: Position,
) -> Result<bool, StoreError> {
    let upsert = "INSERT INTO regatta_checkpoints (name, position)
        SELECT $1, $3
        WHERE $2 = 0 OR EXISTS (SELECT 1 FROM regatta_checkpoints WHERE name = $1)
        ON CONFLICT (name) DO UPDATE SET position = excluded.position
        WHERE regatta_checkpoints.position = $2";
    let (from, to) = (signed(from.get()), signed(to.get()));
    let moved = async {
        writing!(database, |pool| {
            sqlx::query(upsert).bind(name).bind(from).bind(to).execute(pool)
        })
    };
    let moved = database.query("INSERT", "regatta_checkpoints", moved).await;
    Ok(moved.map_err(failed)? > 0)
}
