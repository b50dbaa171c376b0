//! Appending in PostgreSQL: one statement where that does, else a function of the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use regatta_database::Error as DatabaseError;
use regatta_eventstore::{AppendError, Appended, Expected, Version};
use sqlx::{AssertSqlSafe, PgConnection};

use super::written::{Found, Written};
use crate::engine::{failed, signed};

/// Appends to a stream that has the expected version, and answers the last position; none when it has
/// another one.
///
/// The horizon's lock is held before the first number is taken, since each row needs the writer's, and
/// the number in its key was read before that: 0x5245 in the upper 16 bits is this log's tag.
const APPEND: &str = "
    WITH writer AS MATERIALIZED (
        SELECT clock_timestamp() AS now, pg_advisory_xact_lock_shared(
            (21061::BIGINT << 48) | pg_sequence_last_value('regatta_events_position'))
    ), written AS (
        INSERT INTO regatta_events
            (position, stream, category, version, id, type, revision, data, metadata, recorded_at)
        SELECT nextval('regatta_events_position'), $1, $2, $3 + event.number, event.id,
            coalesce(event.type, $5[1]), coalesce(event.revision, $6[1]), event.data::JSON,
            coalesce(event.metadata, $8[1])::JSON, greatest(writer.now, head.recorded_at)
        FROM writer
            LEFT JOIN LATERAL (
                SELECT version, recorded_at FROM regatta_events
                WHERE stream = $1 ORDER BY version DESC LIMIT 1
            ) head ON TRUE,
            unnest($4::UUID[], $5, $6, $7, $8) WITH ORDINALITY
                AS event (id, type, revision, data, metadata, number)
        WHERE coalesce(head.version, 0) = $3
        RETURNING position
    )";
const POSITION: &str = " SELECT max(position) FROM written";
/// Puts messages into the outbox too.
const AND_TELL: &str = ", told AS (
        INSERT INTO regatta_outbox (event)
        SELECT event FROM unnest($9) AS event WHERE EXISTS (SELECT FROM written)
    )";

/// How long the log is, in steps of eight times as long. A server keeps the plan of a statement, which it
/// made while the log was shorter, until it counts the log again; a statement of another text is planned
/// anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Length(Arc<AtomicU64>);

/// Appends by one statement, which commits by itself.
pub(crate) async fn append(
    connection: &mut PgConnection,
    append: &Written,
    length: &Length,
) -> Result<Appended, AppendError> {
    let look = match at_once(connection, append, length).await {
        Ok(Some(done)) => return Ok(done),
        Ok(None) => false,
        // The version or an id is taken; what is there tells whether this very append was made before.
        Err(DatabaseError::UniqueViolation { .. }) => true,
        Err(error) => return Err(failed(error).into()),
    };
    match call(connection, append, look).await {
        Ok(answer) => answered(connection, append, &answer).await,
        // The function was not to look; what is there tells whether this very append was made before.
        Err(error) if error.violates("regatta_events_id") => {
            append.repeated(&found(connection, append).await.map_err(failed)?)
        }
        Err(error) => Err(lost_race(append, error)),
    }
}

/// Appends to a stream whose version is known; none when that does not do, and nothing is written then.
async fn at_once(
    connection: &mut PgConnection,
    append: &Written,
    length: &Length,
) -> Result<Option<Appended>, DatabaseError> {
    // Of any version one would not know whether the append was made before.
    let Expected::Exactly(after) = append.expected else { return Ok(None) };
    if append.subjects.iter().any(Option::is_some) {
        return Ok(None);
    }
    let after = signed(after.get());
    let tells = !append.outbox.is_empty();
    let tell = if tells { AND_TELL } else { "" };
    let statement = format!("{APPEND}{tell}{POSITION} /* {} */", length.step());
    let mut statement = sqlx::query_scalar(AssertSqlSafe(statement))
        .bind(append.stream.as_str())
        .bind(append.stream.category())
        .bind(after)
        .bind(&append.ids)
        .bind(once(&append.types))
        .bind(once(&append.revisions))
        .bind(&append.data)
        .bind(once(&append.metadata));
    if tells {
        statement = statement.bind(&append.outbox);
    }
    let position: Option<i64> = statement.fetch_one(connection).await?;
    Ok(position.map(|position| {
        let done = Written::done(after + append.len() as i64, position);
        length.reaches(done.position.get());
        done
    }))
}

impl Length {
    fn reaches(&self, position: u64) {
        // Who reads less than it is plans once more.
        self.0.fetch_max(position, Ordering::Relaxed);
    }

    /// The number of octal digits, of which there are 22 at most.
    fn step(&self) -> u32 {
        (u64::BITS - self.0.load(Ordering::Relaxed).leading_zeros()).div_ceil(3)
    }
}

/// Appends in a transaction, which an error of the server would end.
pub(super) async fn append_in(
    connection: &mut PgConnection,
    append: &Written,
) -> Result<Appended, AppendError> {
    match call(connection, append, true).await {
        Ok(answer) => answered(connection, append, &answer).await,
        Err(error) => Err(lost_race(append, error)),
    }
}

async fn answered(
    connection: &mut PgConnection,
    append: &Written,
    answer: &[i64],
) -> Result<Appended, AppendError> {
    match *answer {
        [version, position] => Ok(Written::done(version, position)),
        [actual] => Err(append.conflict(actual)),
        // One of the ids is there.
        _ => append.repeated(&found(connection, append).await.map_err(failed)?),
    }
}

/// An error of the call, which may be that of a writer who was slower by a moment.
fn lost_race(append: &Written, error: DatabaseError) -> AppendError {
    if error.violates("regatta_events_stream_version") {
        // Somebody else has the next version at least; who loads the stream again sees which.
        let expected = match append.expected {
            Expected::Exactly(version) => version,
            Expected::Any | Expected::Exists => Version::NONE,
        };
        return append.conflict(signed(expected.plus(1).get()));
    }
    if error.violates("regatta_events_id") {
        return append.taken(None);
    }
    failed(error).into()
}

/// Version and position of the last event; the version alone when it is not as expected; nothing when
/// an id is there.
async fn call(
    connection: &mut PgConnection,
    append: &Written,
    look: bool,
) -> Result<Vec<i64>, DatabaseError> {
    let expected = match append.expected {
        Expected::Any => -1,
        Expected::Exists => -2,
        Expected::Exactly(version) => signed(version.get()),
    };
    let is_about_people = append.subjects.iter().any(Option::is_some);
    let call = sqlx::query_scalar(
        "SELECT regatta_append_2($1, $2, $3, $4::uuid[], $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(append.stream.as_str())
    .bind(append.stream.category())
    .bind(expected)
    .bind(&append.ids)
    .bind(once(&append.types))
    .bind(once(&append.revisions))
    .bind(&append.data)
    .bind(once(&append.metadata))
    .bind(is_about_people.then_some(&append.subjects))
    .bind(is_about_people.then_some(&append.sealed))
    .bind((!append.outbox.is_empty()).then_some(&append.outbox))
    .bind(look);
    Ok(call.fetch_one(connection).await?)
}

/// The events of the append that are there already.
pub(super) async fn found(
    connection: &mut PgConnection,
    append: &Written,
) -> Result<Vec<Found>, DatabaseError> {
    let select = "SELECT id::text, stream, version, position FROM regatta_events
        WHERE id = ANY ($1::uuid[])";
    let rows: Vec<(String, String, i64, i64)> =
        sqlx::query_as(select).bind(&append.ids).fetch_all(connection).await?;
    let found = |(id, stream, version, position)| Found { id, stream, version, position };
    Ok(rows.into_iter().map(found).collect())
}

/// A column that says the same of all rows says it once; the function takes it so.
fn once<T: PartialEq>(column: &[T]) -> &[T] {
    match column {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => &column[..1],
        _ => column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_longer_by_a_step_when_it_is_eight_times_as_long() {
        let length = Length::default();
        let steps = [0, 7, 8, 63, 64, 511, 512, 3, u64::MAX].map(|position| {
            length.reaches(position);
            length.step()
        });
        assert_eq!(steps, [0, 1, 2, 2, 3, 3, 4, 4, 22]);
    }

    #[test]
    fn a_column_of_one_value_is_told_once_and_any_other_whole() {
        assert_eq!(once(&[7, 7, 7]), [7]);
        assert_eq!(once(&[7, 7, 8]), [7, 7, 8]);
        assert_eq!(once::<i32>(&[]), [0; 0]);
    }
}
