//! How events get from the log to a group: in their order, by pages.

use regatta_database::{Database, Error as DatabaseError, executing, in_transaction, reading};
use regatta_events::Subscription;
use sqlx::AssertSqlSafe;

use crate::engine::dialect;

/// How many events that are the first of their key a group has open at most; what is beyond waits in
/// the log.
const WINDOW: i64 = 1000;
/// How many it has open in all: those that wait behind another of their key, too. With so many behind
/// one that fails, the others stop until it is done or dead.
const MOST_OPEN: i64 = 10_000;
/// How many events of the log one transaction looks at.
const PAGE: i64 = 500;

/// Opens what the group wants of the log, a page of it; false when there was nothing to look at.
///
/// It writes only when there is something: to write is to wake everybody.
pub(crate) async fn advance(
    database: &Database,
    asks: &Subscription,
) -> Result<bool, DatabaseError> {
    let group = asks.group.as_str();
    let head = crate::log::head(database).await?;
    let state = "SELECT g.position, count(o.position),
            count(o.position) - count(o.partition_key) + count(DISTINCT o.partition_key)
        FROM regatta_bus_groups g LEFT JOIN regatta_bus_open o ON o.consumer = g.name
        WHERE g.name = $1 GROUP BY g.position";
    let state: Option<(i64, i64, i64)> =
        reading!(database, |pool| sqlx::query_as(state).bind(group).fetch_optional(pool))?;
    match state {
        Some((position, open, first)) if position < head && has_room(open, first) => (),
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

/// Whether a group with so many open events, so many of them the first of their key, opens more.
fn has_room(open: i64, first: i64) -> bool {
    first < WINDOW && open < MOST_OPEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_looks_ahead_past_those_that_wait_for_their_key_but_not_for_ever() {
        assert!(has_room(999, 999) && !has_room(1000, 1000));
        assert!(has_room(9_999, 1) && !has_room(10_000, 1));
    }
}
