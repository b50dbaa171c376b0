//! Appending in SQLite: one statement where that does, else look, rule and insert.

use std::fmt::Write as _;

use regatta_database::{Error as DatabaseError, Sqlite as Engine};
use regatta_eventstore::{AppendError, Appended, Expected};
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite, SqliteConnection};

use super::judge::{Held, Verdict, judge};
use super::written::{Found, Written};
use crate::engine::{micros, signed, wall_clock};

/// So many rows one statement inserts: as many forms of it are kept prepared at most, and it is far
/// from SQLite's limit of 32,766 values.
const ROWS_A_STATEMENT: usize = 100;

/// What became of an append in a group; none when it is to be judged again.
pub(super) type Answer = Option<Result<Appended, AppendError>>;

/// Appends by one statement, which commits by itself; none when that does not do, and then nothing is
/// written.
pub(super) async fn at_once(
    sqlite: &Engine,
    append: &Written,
) -> Result<Option<Appended>, DatabaseError> {
    // Of any version one would not know which it was. A subject's key and messages are other rows.
    let Expected::Exactly(after) = append.expected else { return Ok(None) };
    let is_more = !append.outbox.is_empty() || append.subjects.iter().any(Option::is_some);
    if is_more || append.len() > ROWS_A_STATEMENT {
        return Ok(None);
    }
    let after = signed(after.get());
    let mut insert = sqlx::query(AssertSqlSafe(insert_at_once(append.len())));
    for row in 0..append.len() {
        insert = insert
            .bind(&*append.ids[row])
            .bind(&*append.types[row])
            .bind(append.revisions[row])
            .bind(&*append.data[row])
            .bind(&*append.metadata[row]);
    }
    let insert = insert
        .bind(append.stream.as_str())
        .bind(append.stream.category())
        .bind(after)
        .bind(micros(wall_clock()));
    match insert.execute(sqlite.writer()).await.map_err(DatabaseError::from) {
        Ok(done) if done.rows_affected() == 0 => Ok(None),
        // Rows are inserted in the order in which they stand there.
        Ok(done) => Ok(Some(Written::done(after + append.len() as i64, done.last_insert_rowid()))),
        // The version or an id is taken; a look at what is there tells which.
        Err(DatabaseError::UniqueViolation { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The statement for so many rows: five values of each, then stream, category, expected version and time.
///
/// The values of rows have no names. For each value that it binds, the driver asks for its name, and SQLite
/// looks through all names that the statement has: with names a hundred rows took a third longer.
fn insert_at_once(rows: usize) -> String {
    let [stream, category, after, now] = [1, 2, 3, 4].map(|number| 5 * rows + number);
    // That the version after it is free is held by the index; that it is there itself is asked.
    let mut insert = format!(
        "INSERT INTO regatta_events
             (stream, category, version, id, type, revision, data, metadata, recorded_at)
         SELECT ${stream}, ${category}, ${after} + column1, column2, column3, column4, column5, column6,
             max(${now}, coalesce((SELECT recorded_at FROM regatta_events
                 WHERE stream = ${stream} AND version = ${after}), 0))
         FROM (VALUES "
    );
    for number in 1..=rows {
        let comma = if number == 1 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(insert, "{comma}({number},?,?,?,?,?)");
    }
    let _ = write!(
        insert,
        ") WHERE ${after} = 0 OR EXISTS
             (SELECT 1 FROM regatta_events WHERE stream = ${stream} AND version = ${after})"
    );
    insert
}

/// Appends what of a group can be appended, in a transaction that has the write lock; what is answered
/// holds once it is committed.
pub(super) async fn together(
    connection: &mut SqliteConnection,
    group: &[&Written],
) -> Result<Vec<Answer>, DatabaseError> {
    let mut held = look(connection, group).await?;
    let verdicts = judge(group.iter().copied(), &mut held, micros(wall_clock()));
    let mut rows = Vec::new();
    for (append, verdict) in group.iter().zip(&verdicts) {
        if let Verdict::Write { after, recorded_at } = verdict {
            rows.extend((0..append.len()).map(|row| (*append, row, *after, *recorded_at)));
        }
    }
    let mut position = 0;
    // Many rows a statement: each statement costs a visit to the thread that has the connection.
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        position = insert(connection, rows).await?;
    }
    let written = group.iter().zip(&verdicts).filter_map(|(append, verdict)| {
        matches!(verdict, Verdict::Write { .. }).then_some(&append.outbox)
    });
    let messages: Vec<_> = written.flatten().collect();
    for messages in messages.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO regatta_outbox (event) ");
        insert.push_values(messages, |mut row, message| {
            row.push_bind(message.as_str());
        });
        insert.build().execute(&mut *connection).await?;
    }
    // Nobody else inserts meanwhile, so the positions have no gap.
    let mut position = position - rows.len() as i64;
    let answers = group.iter().zip(verdicts).map(|(append, verdict)| match verdict {
        Verdict::Later => None,
        Verdict::Answer(answer) => Some(answer),
        Verdict::Write { after, .. } => {
            position += append.len() as i64;
            Some(Ok(Written::done(after + append.len() as i64, position)))
        }
    });
    Ok(answers.collect())
}

/// What is there of the streams and the ids of a group.
pub(super) async fn look(
    connection: &mut SqliteConnection,
    group: &[&Written],
) -> Result<Held, DatabaseError> {
    let select = "SELECT NULL, stream, version, recorded_at FROM regatta_events
            WHERE position IN (SELECT (
                SELECT position FROM regatta_events
                WHERE stream = wanted.value ORDER BY version DESC LIMIT 1
            ) FROM json_each($1) wanted)
        UNION ALL
        SELECT id, stream, version, position FROM regatta_events
            WHERE id IN (SELECT value FROM json_each($2))";
    let list = |texts: Vec<&str>| serde_json::Value::from(texts).to_string();
    let streams = list(group.iter().map(|append| append.stream.as_str()).collect());
    let ids = list(group.iter().flat_map(|append| &append.ids).map(String::as_str).collect());
    let rows: Vec<(Option<String>, String, i64, i64)> =
        sqlx::query_as(select).bind(streams).bind(ids).fetch_all(connection).await?;
    let mut held = Held::default();
    for (id, stream, version, number) in rows {
        match id {
            Some(id) => held.found.push(Found { id, stream, version, position: number }),
            None => {
                held.heads.insert(stream, (version, number));
            }
        }
    }
    Ok(held)
}

/// Inserts rows: of which append, the how many-th, after which version, recorded when. Answers the
/// last one's position.
async fn insert(
    connection: &mut SqliteConnection,
    rows: &[(&Written, usize, i64, i64)],
) -> Result<i64, DatabaseError> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO regatta_events (stream, category, version, id, type, revision, data, metadata,
             subject, sealed, recorded_at) ",
    );
    insert.push_values(rows, |mut values, (append, row, after, recorded_at)| {
        values
            .push_bind(append.stream.as_str())
            .push_bind(append.stream.category())
            .push_bind(after + 1 + *row as i64)
            .push_bind(&*append.ids[*row])
            .push_bind(&*append.types[*row])
            .push_bind(append.revisions[*row])
            .push_bind(&*append.data[*row])
            .push_bind(&*append.metadata[*row])
            .push_bind(append.subjects[*row].as_deref())
            .push_bind(append.sealed[*row].as_deref())
            .push_bind(recorded_at);
    });
    // Rows are inserted in the order in which they stand there.
    Ok(insert.build().execute(connection).await?.last_insert_rowid())
}
