//! Reading: one stream, all streams, one event, the list of streams.

use regatta_database::{Database, Engine, Error as DatabaseError, Horizon, reading};
use regatta_eventstore::{
    Filter, Page, Position, Range, Recorded, StoreError, StreamId, StreamInfo, Until, Version,
};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::engine::{failed, from_micros, micros, signed, unsigned};
use crate::row::{POSTGRES_COLUMNS, Row, SQLITE_COLUMNS};

/// The log's numbers in PostgreSQL; the tag is also in the function that appends.
const HORIZON: Horizon = Horizon { sequence: "regatta_events_position", tag: 0x5245 };

/// How many events a filtered read looks at, so that one that finds little takes no longer than
/// another.
const WINDOW: i64 = 1000;

/// The events of one stream.
pub(crate) async fn stream(
    database: &Database,
    stream: &StreamId,
    range: Range,
    limit: u32,
) -> Result<Vec<Recorded>, StoreError> {
    let (version, time) = match range.until {
        Until::End => (i64::MAX, None),
        Until::Version(version) => (signed(version.get()), None),
        Until::Time(time) => (i64::MAX, Some(micros(time))),
    };
    let rows: Result<Vec<Row>, DatabaseError> = match database.engine() {
        Engine::Sqlite(sqlite) => {
            let select = format!(
                "SELECT {SQLITE_COLUMNS} FROM regatta_events
                 WHERE stream = $1 AND version > $2 AND version <= $3
                     AND ($4 IS NULL OR recorded_at <= $4)
                 ORDER BY version LIMIT $5"
            );
            let select = sqlx::query_as(AssertSqlSafe(select)).bind(stream.as_str());
            let select = select.bind(signed(range.after.get())).bind(version).bind(time);
            let select = select.bind(i64::from(limit)).fetch_all(sqlite.reader());
            database.query("SELECT", "regatta_events", select).await
        }
        Engine::Postgres(postgres) => {
            let select = format!(
                "SELECT {POSTGRES_COLUMNS} FROM regatta_events
                 WHERE stream = $1 AND version > $2 AND version <= $3
                     AND ($4::bigint IS NULL OR recorded_at
                         <= timestamptz 'epoch' + $4::bigint * interval '1 microsecond')
                 ORDER BY version LIMIT $5"
            );
            let select = sqlx::query_as(AssertSqlSafe(select)).bind(stream.as_str());
            let select = select.bind(signed(range.after.get())).bind(version).bind(time);
            let select = select.bind(i64::from(limit)).fetch_all(postgres.pool());
            database.query("SELECT", "regatta_events", select).await
        }
    };
    opened(database, rows.map_err(failed)?).await
}

/// The events of all streams.
pub(crate) async fn all(
    database: &Database,
    after: Position,
    filter: &Filter,
    limit: u32,
) -> Result<Page, StoreError> {
    let horizon = head(database).await?.max(after);
    let limit = i64::from(limit);
    let is_filtered = *filter != Filter::default();
    // Up to where this call looks, and whether that is everything.
    let (until, is_whole) = if is_filtered {
        match window(database, after, horizon, limit.max(WINDOW)).await? {
            Some(until) => (until, until == horizon),
            None => (horizon, true),
        }
    } else {
        (horizon, true)
    };
    let rows = between(database, after, until, filter, limit).await.map_err(failed)?;
    let is_full = rows.len() as i64 >= limit;
    let next = match rows.last() {
        Some(last) if is_full => Position::new(last.position()),
        _ => until,
    };
    let events = opened(database, rows).await?;
    Ok(Page { events, next, is_last: !is_full && is_whole })
}

/// Up to where every event that will ever be there is there.
pub(crate) async fn head(database: &Database) -> Result<Position, StoreError> {
    let head = match database.engine() {
        Engine::Sqlite(sqlite) => {
            let newest = "SELECT coalesce(max(position), 0) FROM regatta_events";
            let newest = sqlx::query_scalar(newest).fetch_one(sqlite.reader()).await;
            newest.map_err(DatabaseError::from)
        }
        Engine::Postgres(postgres) => HORIZON.reached(postgres).await,
    };
    head.map(|head| Position::new(unsigned(head))).map_err(failed)
}

/// The position of the last of so many events; none when there are fewer.
async fn window(
    database: &Database,
    after: Position,
    horizon: Position,
    events: i64,
) -> Result<Option<Position>, StoreError> {
    let select = "SELECT position FROM regatta_events WHERE position > $1 AND position <= $2
        ORDER BY position LIMIT 1 OFFSET $3";
    let last: Option<(i64,)> = reading!(database, |pool| {
        sqlx::query_as(select)
            .bind(signed(after.get()))
            .bind(signed(horizon.get()))
            .bind(events - 1)
            .fetch_optional(pool)
    })
    .map_err(failed)?;
    Ok(last.map(|(last,)| Position::new(unsigned(last))))
}

async fn between(
    database: &Database,
    after: Position,
    until: Position,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<Row>, DatabaseError> {
    let (after, until) = (signed(after.get()), signed(until.get()));
    match database.engine() {
        Engine::Sqlite(sqlite) => {
            let select = format!(
                "SELECT {SQLITE_COLUMNS} FROM regatta_events
                 WHERE position > $1 AND position <= $2
                     AND ($3 = '[]' OR category IN (SELECT value FROM json_each($3)))
                     AND ($4 = '[]' OR type IN (SELECT value FROM json_each($4)))
                 ORDER BY position LIMIT $5"
            );
            let list = |names: &[String]| serde_json::Value::from(names.to_vec()).to_string();
            let select = sqlx::query_as(AssertSqlSafe(select)).bind(after).bind(until);
            let select = select.bind(list(&filter.categories)).bind(list(&filter.types));
            let select = select.bind(limit).fetch_all(sqlite.reader());
            database.query("SELECT", "regatta_events", select).await
        }
        Engine::Postgres(postgres) => {
            let select = format!(
                "SELECT {POSTGRES_COLUMNS} FROM regatta_events
                 WHERE position > $1 AND position <= $2
                     AND (cardinality($3::text[]) = 0 OR category = ANY ($3))
                     AND (cardinality($4::text[]) = 0 OR type = ANY ($4))
                 ORDER BY position LIMIT $5"
            );
            let select = sqlx::query_as(AssertSqlSafe(select)).bind(after).bind(until);
            let select = select.bind(&filter.categories).bind(&filter.types);
            let select = select.bind(limit).fetch_all(postgres.pool());
            database.query("SELECT", "regatta_events", select).await
        }
    }
}

/// One event by its id.
pub(crate) async fn find(database: &Database, id: Uuid) -> Result<Option<Recorded>, StoreError> {
    let row: Result<Option<Row>, DatabaseError> = match database.engine() {
        Engine::Sqlite(sqlite) => {
            let select = format!("SELECT {SQLITE_COLUMNS} FROM regatta_events WHERE id = $1");
            let select = sqlx::query_as(AssertSqlSafe(select)).bind(id.to_string());
            database.query("SELECT", "regatta_events", select.fetch_optional(sqlite.reader())).await
        }
        Engine::Postgres(postgres) => {
            let select =
                format!("SELECT {POSTGRES_COLUMNS} FROM regatta_events WHERE id = $1::uuid");
            let select = sqlx::query_as(AssertSqlSafe(select)).bind(id.to_string());
            database.query("SELECT", "regatta_events", select.fetch_optional(postgres.pool())).await
        }
    };
    let rows = row.map_err(failed)?.into_iter().collect();
    Ok(opened(database, rows).await?.pop())
}

/// Streams by name.
pub(crate) async fn streams(
    database: &Database,
    category: Option<&str>,
    after: Option<&StreamId>,
    limit: u32,
) -> Result<Vec<StreamInfo>, StoreError> {
    let (category, after) = (category.unwrap_or_default(), after.map_or("", StreamId::as_str));
    let select = |recorded_at: &str| {
        format!(
            "SELECT stream, max(version), {recorded_at} FROM regatta_events
             WHERE stream > $1 AND ($2 = '' OR category = $2)
             GROUP BY stream ORDER BY stream LIMIT $3"
        )
    };
    let rows: Result<Vec<(String, i64, i64)>, DatabaseError> = match database.engine() {
        Engine::Sqlite(sqlite) => {
            let select = sqlx::query_as(AssertSqlSafe(select("max(recorded_at)")));
            let select = select.bind(after).bind(category).bind(i64::from(limit));
            database.query("SELECT", "regatta_events", select.fetch_all(sqlite.reader())).await
        }
        Engine::Postgres(postgres) => {
            let newest = "(extract(epoch FROM max(recorded_at)) * 1000000)::bigint";
            let select = sqlx::query_as(AssertSqlSafe(select(newest)));
            let select = select.bind(after).bind(category).bind(i64::from(limit));
            database.query("SELECT", "regatta_events", select.fetch_all(postgres.pool())).await
        }
    };
    let info = |(stream, version, recorded_at): (String, i64, i64)| {
        Ok(StreamInfo {
            stream: stream.parse().map_err(crate::engine::broken)?,
            version: Version::new(unsigned(version)),
            recorded_at: from_micros(recorded_at)?,
        })
    };
    rows.map_err(failed)?.into_iter().map(info).collect()
}

async fn opened(database: &Database, rows: Vec<Row>) -> Result<Vec<Recorded>, StoreError> {
    let keys = crate::keys::of_rows(database, &rows).await?;
    rows.into_iter().map(|row| row.recorded(&keys)).collect()
}
