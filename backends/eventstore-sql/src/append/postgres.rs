//! Appending in PostgreSQL: one call of a function of the database.

use regatta_database::Error as DatabaseError;
use regatta_eventstore::{AppendError, Appended, Expected, Version};
use sqlx::PgConnection;

use super::written::{Found, Written};
use crate::engine::{failed, signed};

/// Appends by one statement, which commits by itself.
pub(crate) async fn append(
    connection: &mut PgConnection,
    append: &Written,
) -> Result<Appended, AppendError> {
    match call(connection, append, false).await {
        Ok(answer) => answered(connection, append, &answer).await,
        // The function was not to look; what is there tells whether this very append was made before.
        Err(error) if error.violates("regatta_events_id") => {
            append.repeated(&found(connection, append).await.map_err(failed)?)
        }
        Err(error) => Err(lost_race(append, error)),
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
    fn a_column_of_one_value_is_told_once_and_any_other_whole() {
        assert_eq!(once(&[7, 7, 7]), [7]);
        assert_eq!(once(&[7, 7, 8]), [7, 7, 8]);
        assert_eq!(once::<i32>(&[]), [0; 0]);
    }
}
