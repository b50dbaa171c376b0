//! The log: publishing, reading, and where a group begins.

use regatta_database::{
    Database, Engine, Error as DatabaseError, Horizon, Postgres, Sqlite, reading,
};
use regatta_events::{BusError, CloudEvent, HistoryQuery, Logged, Start};
use sqlx::QueryBuilder;

use crate::engine::{SQLITE, dialect, failed, from_micros, micros, signed};

/// The log's numbers in PostgreSQL; the tag is also in what publishes.
const HORIZON: Horizon = Horizon { sequence: "regatta_bus_position", tag: 0x5242 };

/// The largest event, as JSON text: what every broker of the platform takes.
const LARGEST: usize = 1 << 20;
/// How many events one INSERT of SQLite takes; its driver keeps the plan of each size that was used.
const ROWS: usize = 200;
/// How many events history looks at in one statement.
const PAGE: i64 = 500;

/// Inserts into the log in PostgreSQL what is not there yet. The horizon's lock is held before the first
/// number is taken, since each row needs the writer's, and the number in its key was read before that:
/// 0x5242 in the upper 16 bits is this log's tag.
const INSERT_NEW: &str = "
    WITH writer AS MATERIALIZED (
        SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now,
            pg_advisory_xact_lock_shared(
                (21058::BIGINT << 48) | pg_sequence_last_value('regatta_bus_position'))
    )
    INSERT INTO regatta_bus_log (position, source, id, type, partition_key, recorded_at, event)
    SELECT nextval('regatta_bus_position'), new.source, new.id, new.type, new.key, writer.now, new.event
    FROM writer, unnest($1, $2, $3, $4, $5) AS new (source, id, type, key, event)";

/// Publishes all or none; what is in the log already stays as it is.
pub(crate) async fn publish(database: &Database, events: &[CloudEvent]) -> Result<(), BusError> {
    let texts: Vec<_> = events.iter().map(CloudEvent::to_json_string).collect();
    for (event, text) in events.iter().zip(&texts) {
        if text.len() > LARGEST {
            let (id, bytes) = (event.id().to_owned(), text.len());
            return Err(BusError::TooLarge { id, bytes, limit: LARGEST });
        }
    }
    let publishing = async {
        match database.engine() {
            Engine::Sqlite(sqlite) => publish_sqlite(sqlite, events, texts).await,
            Engine::Postgres(postgres) => publish_postgres(postgres, events, &texts).await,
        }
    };
    database.query("INSERT", "regatta_bus_log", publishing).await.map_err(failed)
}

/// In one statement, which commits by itself. It takes all for new: to look at each whether it is there
/// costs as much as a third of the insertion. Where one was there the index says so, all is undone, and a
/// function is called that looks.
async fn publish_postgres(
    postgres: &Postgres,
    events: &[CloudEvent],
    texts: &[String],
) -> Result<(), DatabaseError> {
    let column = |of: fn(&CloudEvent) -> &str| -> Vec<&str> { events.iter().map(of).collect() };
    let (sources, ids) = (column(CloudEvent::source), column(CloudEvent::id));
    let types = column(CloudEvent::event_type);
    let keys: Vec<_> = events.iter().map(CloudEvent::partition_key).collect();
    let publish = async |statement: &'static str| {
        let publish = sqlx::query(statement).bind(&sources).bind(&ids).bind(&types);
        let publish = publish.bind(&keys).bind(texts).execute(postgres.pool()).await;
        publish.map(drop).map_err(DatabaseError::from)
    };
    match publish(INSERT_NEW).await {
        Err(error) if error.violates("regatta_bus_log_source_id") => {
            publish("SELECT regatta_bus_publish_2($1, $2, $3, $4, $5)").await
        }
        done => done,
    }
}

/// In one statement, which commits by itself, or in as few as a transaction of more takes.
async fn publish_sqlite(
    sqlite: &Sqlite,
    events: &[CloudEvent],
    texts: Vec<String>,
) -> Result<(), DatabaseError> {
    let mut texts = texts.into_iter();
    if events.len() <= ROWS {
        return match events {
            [] => Ok(()),
            _ => Ok(insert(events, texts).build().execute(sqlite.writer()).await.map(drop)?),
        };
    }
    let mut transaction = sqlite.begin().await?;
    for events in events.chunks(ROWS) {
        insert(events, &mut texts).build().execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

fn insert(
    events: &[CloudEvent],
    texts: impl Iterator<Item = String>,
) -> QueryBuilder<sqlx::Sqlite> {
    let mut insert = QueryBuilder::new(
        "INSERT INTO regatta_bus_log (source, id, type, partition_key, recorded_at, event) ",
    );
    insert.push_values(events.iter().zip(texts), |mut row, (event, text)| {
        row.push_bind(event.source().to_owned())
            .push_bind(event.id().to_owned())
            .push_bind(event.event_type().to_owned())
            .push_bind(event.partition_key().map(str::to_owned))
            .push(SQLITE.now)
            .push_bind(text);
    });
    insert.push(" ON CONFLICT (source, id) DO NOTHING");
    insert
}

/// Whether somebody has made the tables.
pub(crate) async fn is_there(database: &Database) -> Result<bool, DatabaseError> {
    Ok(match database.engine() {
        Engine::Sqlite(sqlite) => {
            let tables = "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'regatta_bus_log'";
            sqlx::query_scalar(tables).fetch_one(sqlite.reader()).await?
        }
        Engine::Postgres(postgres) => {
            let tables = "SELECT to_regclass('regatta_bus_log') IS NOT NULL";
            sqlx::query_scalar(tables).fetch_one(postgres.pool()).await?
        }
    })
}

/// Up to where every event that will ever be there is there.
pub(crate) async fn head(database: &Database) -> Result<i64, DatabaseError> {
    match database.engine() {
        Engine::Sqlite(sqlite) => {
            // What was let go counts as well: the log may be empty and the groups far on.
            let newest = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence
                WHERE name = 'regatta_bus_log'";
            Ok(sqlx::query_scalar(newest).fetch_one(sqlite.reader()).await?)
        }
        Engine::Postgres(postgres) => HORIZON.reached(postgres).await,
    }
}

/// The position after which a group that starts there begins.
pub(crate) async fn start(database: &Database, start: Start) -> Result<i64, DatabaseError> {
    let head = head(database).await?;
    Ok(match start {
        Start::Beginning => 0,
        Start::Latest => head,
        Start::After(position) => signed(position).min(head),
        Start::Time(time) => {
            let first = "SELECT min(position) FROM regatta_bus_log WHERE recorded_at >= $1";
            let (first,): (Option<i64>,) = reading!(database, |pool| {
                sqlx::query_as(first).bind(micros(time)).fetch_one(pool)
            })?;
            first.map_or(head, |first| first - 1)
        }
    })
}

/// What the query asks for, oldest first.
pub(crate) async fn history(
    database: &Database,
    query: &HistoryQuery,
) -> Result<Vec<Logged>, BusError> {
    let head = head(database).await.map_err(failed)?;
    let since = query.since.map_or(i64::MIN, micros);
    let mut after = signed(query.after);
    let mut found = Vec::new();
    loop {
        let select = "SELECT position, type, recorded_at, event FROM regatta_bus_log
            WHERE position > $1 AND position <= $2 AND recorded_at >= $3
            ORDER BY position LIMIT $4";
        let select = async {
            reading!(database, |pool| {
                sqlx::query_as(select).bind(after).bind(head).bind(since).bind(PAGE).fetch_all(pool)
            })
        };
        let rows: Vec<(i64, String, i64, String)> =
            database.query("SELECT", "regatta_bus_log", select).await.map_err(failed)?;
        let is_last = (rows.len() as i64) < PAGE;
        for (position, event_type, recorded_at, event) in rows {
            if found.len() >= query.limit as usize {
                return Ok(found);
            }
            after = position;
            if query.types.passes(&event_type) {
                found.push(Logged {
                    position: position.unsigned_abs(),
                    recorded_at: from_micros(recorded_at),
                    event: read(&event)?,
                });
            }
        }
        if is_last {
            return Ok(found);
        }
    }
}

/// Lets go of events that are older than so many microseconds and that no group needs any more.
pub(crate) async fn trim(database: &Database, age: i64, most: i64) -> Result<u64, DatabaseError> {
    let now = dialect(database).now;
    let delete = format!(
        "DELETE FROM regatta_bus_log WHERE position IN (
             SELECT position FROM regatta_bus_log l
             WHERE recorded_at < {now} - $1
                 AND position <= (SELECT coalesce(min(position), 9223372036854775807)
                     FROM regatta_bus_groups)
                 AND NOT EXISTS (SELECT 1 FROM regatta_bus_open o WHERE o.position = l.position)
                 AND NOT EXISTS (SELECT 1 FROM regatta_bus_dead d WHERE d.position = l.position)
             ORDER BY position LIMIT $2)"
    );
    let delete = async {
        regatta_database::writing!(database, |pool| {
            sqlx::query(sqlx::AssertSqlSafe(&*delete)).bind(age).bind(most).execute(pool)
        })
    };
    database.query("DELETE", "regatta_bus_log", delete).await
}

/// An event of the log.
pub(crate) fn read(text: &str) -> Result<CloudEvent, BusError> {
    CloudEvent::from_json_slice(text.as_bytes()).map_err(|error| BusError::Broken(error.into()))
}
