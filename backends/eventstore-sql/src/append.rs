//! Appending: one function call in PostgreSQL, one short transaction in SQLite.

use regatta_database::{Error as DatabaseError, Transaction};
use regatta_eventstore::{
    Append, AppendError, Appended, Expected, Position, StoreError, StreamId, Version,
};
use sqlx::{PgConnection, QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::engine::{broken, failed, micros, signed, unsigned, wall_clock};

/// Appends in a transaction of the caller, who commits it or rolls it back.
pub(crate) async fn append_in(
    transaction: &mut Transaction,
    append: &Append,
) -> Result<Appended, AppendError> {
    append.validate()?;
    let sealed = match crate::keys::seal(transaction, append).await {
        // It may have been appended before the subject was erased.
        Err(erased @ AppendError::Erased { .. }) => {
            let found = found(transaction, append).await.map_err(failed)?;
            return if found.is_empty() { Err(erased) } else { repeated(append, found) };
        }
        sealed => sealed?,
    };
    match transaction {
        Transaction::Sqlite(sqlite) => sqlite_append(sqlite, append, sealed).await,
        Transaction::Postgres(postgres) => postgres_append(postgres, append, sealed).await,
    }
}

/// So many events one statement of SQLite inserts: a few forms of it to keep prepared, and far from
/// its limit of 32,766 values.
const ROWS_A_STATEMENT: usize = 50;

/// What became of an append that was tried.
enum Outcome {
    Done {
        version: i64,
        position: i64,
    },
    Conflict {
        actual: i64,
    },
    /// One of the ids is there.
    Seen,
}

async fn sqlite_append(
    connection: &mut SqliteConnection,
    append: &Append,
    sealed: Vec<Option<Vec<u8>>>,
) -> Result<Appended, AppendError> {
    let found = sqlite_found(connection, append).await.map_err(failed)?;
    if !found.is_empty() {
        return repeated(append, found);
    }
    match sqlite_insert(connection, append, sealed).await.map_err(failed)? {
        Outcome::Conflict { actual } => Err(conflict(append, actual)),
        Outcome::Done { version, position } => Ok(done(version, position)),
        Outcome::Seen => Err(broken("an id came from nowhere").into()),
    }
}

async fn sqlite_insert(
    connection: &mut SqliteConnection,
    append: &Append,
    sealed: Vec<Option<Vec<u8>>>,
) -> Result<Outcome, DatabaseError> {
    let last = "SELECT version, recorded_at FROM regatta_events WHERE stream = $1
        ORDER BY version DESC LIMIT 1";
    let last = sqlx::query_as(last).bind(append.stream.as_str()).fetch_optional(&mut *connection);
    let (held, held_at): (i64, i64) = last.await?.unwrap_or_default();
    if !append.expected.holds(Version::new(unsigned(held))) {
        return Ok(Outcome::Conflict { actual: held });
    }
    let recorded_at = micros(wall_clock()).max(held_at);
    let rows: Vec<_> = (held + 1..).zip(append.events.iter().zip(sealed)).collect();
    let version = rows.last().map_or(held, |(version, _)| *version);
    let mut position = 0;
    // Many rows a statement: each statement costs a visit to the thread that has the connection.
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO regatta_events (stream, category, version, id, type, revision, data,
                 metadata, subject, sealed, recorded_at) ",
        );
        insert.push_values(rows, |mut row, (version, (event, sealed))| {
            row.push_bind(append.stream.as_str())
                .push_bind(append.stream.category())
                .push_bind(*version)
                .push_bind(event.id.to_string())
                .push_bind(&event.event_type)
                .push_bind(i64::from(event.revision))
                .push_bind(event.data.to_string())
                .push_bind(event.metadata.to_json().to_string())
                .push_bind(event.personal.as_ref().map(|personal| personal.subject.as_str()))
                .push_bind(sealed.as_deref())
                .push_bind(recorded_at);
        });
        // Rows are inserted in the order in which they stand there.
        position = insert.build().execute(&mut *connection).await?.last_insert_rowid();
    }
    for message in &append.outbox {
        let insert = sqlx::query("INSERT INTO regatta_outbox (event) VALUES ($1)");
        insert.bind(message.to_json_string()).execute(&mut *connection).await?;
    }
    Ok(Outcome::Done { version, position })
}

pub(crate) async fn postgres_append(
    connection: &mut PgConnection,
    append: &Append,
    sealed: Vec<Option<Vec<u8>>>,
) -> Result<Appended, AppendError> {
    match postgres_call(connection, append, sealed).await {
        Ok(Outcome::Done { version, position }) => Ok(done(version, position)),
        Ok(Outcome::Conflict { actual }) => Err(conflict(append, actual)),
        Ok(Outcome::Seen) => {
            let found = postgres_found(connection, append).await.map_err(failed)?;
            repeated(append, found)
        }
        Err(error) => Err(lost_race(append, error)),
    }
}

/// An error of the call, which may be that of a writer who was slower by a moment.
fn lost_race(append: &Append, error: DatabaseError) -> AppendError {
    if error.violates("regatta_events_stream_version") {
        // Somebody else has the next version at least; who loads the stream again sees which.
        let expected = match append.expected {
            Expected::Exactly(version) => version,
            Expected::Any | Expected::Exists => Version::NONE,
        };
        return conflict(append, signed(expected.plus(1).get()));
    }
    if error.violates("regatta_events_id") {
        return AppendError::IdTaken { id: append.events[0].id };
    }
    failed(error).into()
}

async fn postgres_call(
    connection: &mut PgConnection,
    append: &Append,
    sealed: Vec<Option<Vec<u8>>>,
) -> Result<Outcome, DatabaseError> {
    let expected = match append.expected {
        Expected::Any => -1,
        Expected::Exists => -2,
        Expected::Exactly(version) => signed(version.get()),
    };
    let events = &append.events;
    let subjects = events.iter().map(|event| event.personal.as_ref());
    let call = sqlx::query_as(
        "SELECT outcome, last_version, last_position FROM regatta_append_1(
             $1, $2, $3, $4::uuid[], $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(append.stream.as_str())
    .bind(append.stream.category())
    .bind(expected)
    .bind(ids(append))
    .bind(events.iter().map(|event| event.event_type.clone()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.revision.cast_signed()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.data.to_string()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.metadata.to_json().to_string()).collect::<Vec<_>>())
    .bind(subjects.map(|of| of.map(|of| of.subject.to_string())).collect::<Vec<_>>())
    .bind(sealed)
    .bind(append.outbox.iter().map(|message| message.to_json_string()).collect::<Vec<_>>());
    let (outcome, version, position): (String, Option<i64>, Option<i64>) =
        call.fetch_one(connection).await?;
    Ok(match (outcome.as_str(), version, position) {
        ("done", Some(version), Some(position)) => Outcome::Done { version, position },
        ("conflict", Some(actual), _) => Outcome::Conflict { actual },
        _ => Outcome::Seen,
    })
}

/// The events of the append that are there already.
async fn found(
    transaction: &mut Transaction,
    append: &Append,
) -> Result<Vec<Found>, DatabaseError> {
    match transaction {
        Transaction::Sqlite(sqlite) => sqlite_found(sqlite, append).await,
        Transaction::Postgres(postgres) => postgres_found(postgres, append).await,
    }
}

async fn sqlite_found(
    connection: &mut SqliteConnection,
    append: &Append,
) -> Result<Vec<Found>, DatabaseError> {
    let select = "SELECT id, stream, version, position FROM regatta_events
        WHERE id IN (SELECT value FROM json_each($1))";
    let ids = serde_json::Value::from(ids(append)).to_string();
    Ok(sqlx::query_as(select).bind(ids).fetch_all(connection).await?)
}

async fn postgres_found(
    connection: &mut PgConnection,
    append: &Append,
) -> Result<Vec<Found>, DatabaseError> {
    let select = "SELECT id::text, stream, version, position FROM regatta_events
        WHERE id = ANY ($1::uuid[])";
    Ok(sqlx::query_as(select).bind(ids(append)).fetch_all(connection).await?)
}

fn ids(append: &Append) -> Vec<String> {
    append.events.iter().map(|event| event.id.to_string()).collect()
}

/// An event that is there: id, stream, version and position.
type Found = (String, String, i64, i64);

/// The outcome of an append that was made before; an error when only some of it was.
fn repeated(append: &Append, found: Vec<Found>) -> Result<Appended, AppendError> {
    let of = |id: Uuid| {
        let id = id.to_string();
        found.iter().find(|(held, ..)| *held == id)
    };
    let in_order: Vec<_> = append.events.iter().filter_map(|event| of(event.id)).collect();
    let is_whole = in_order.len() == append.events.len()
        && (0..).zip(&in_order).all(|(number, (_, stream, version, _))| {
            stream == append.stream.as_str() && *version == in_order[0].2 + number
        });
    match in_order.last() {
        Some((.., version, position)) if is_whole => {
            Ok(Appended { repeated: true, ..done(*version, *position) })
        }
        _ => {
            let taken = append.events.iter().map(|event| event.id).find(|id| of(*id).is_some());
            Err(AppendError::IdTaken { id: taken.unwrap_or_default() })
        }
    }
}

fn done(version: i64, position: i64) -> Appended {
    let (version, position) = (unsigned(version), unsigned(position));
    let (version, position) = (Version::new(version), Position::new(position));
    Appended { version, position, repeated: false }
}

fn conflict(append: &Append, actual: i64) -> AppendError {
    let (stream, expected): (StreamId, _) = (append.stream.clone(), append.expected);
    AppendError::Conflict { stream, expected, actual: Version::new(unsigned(actual)) }
}

/// Whether an append failed because another one was in the way, so that it may be repeated at once.
pub(crate) fn is_lost_race(append: &Append, error: &AppendError) -> bool {
    match error {
        // The other one may have been the same append.
        AppendError::IdTaken { .. } => true,
        AppendError::Conflict { actual, .. } => {
            !matches!(append.expected, Expected::Exactly(_)) && *actual > Version::NONE
        }
        AppendError::Store(StoreError::Unavailable(source)) => {
            source.downcast_ref::<DatabaseError>().is_some_and(DatabaseError::is_retryable)
        }
        _ => false,
    }
}
