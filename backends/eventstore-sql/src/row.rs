//! A row of the events, and what it says.

use std::collections::HashMap;

use regatta_eventstore::{
    Metadata, Position, Privacy, Recorded, StoreError, SubjectId, SubjectKey, Version,
};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::engine::{broken, from_micros, unsigned};

/// An event in one column: each column that a row of SQLite has is copied, with an allocation, on its
/// way from the thread that has the connection, which made up most of what reading cost. None of the
/// fields before the data can hold a control character.
pub(crate) const SQLITE_COLUMNS: &str = "position || char(31) || stream || char(31) || version \
     || char(31) || id || char(31) || type || char(31) || revision || char(31) || metadata \
     || char(31) || coalesce(subject, '') || char(31) || hex(coalesce(sealed, '')) \
     || char(31) || recorded_at || char(31) || data";
/// The columns of an event in PostgreSQL.
pub(crate) const POSTGRES_COLUMNS: &str = "position, stream, version, id::text, type, revision, \
     data::text, metadata::text, subject, sealed, recorded_at";

/// An event as both engines give it, whose personal members are still sealed. What a row says is read from
/// the row itself: text of its own for each field made up a third of what reading cost.
pub(crate) struct Row {
    /// Without personal members.
    recorded: Recorded,
    pub(crate) subject: Option<String>,
    sealed: Option<Vec<u8>>,
}

/// The fields of a row, whom it is about, and what of it is sealed.
type Parts<'r> = (Fields<'r>, Option<&'r str>, Option<Vec<u8>>);

/// The fields of a row.
struct Fields<'r> {
    position: i64,
    stream: &'r str,
    version: i64,
    id: &'r str,
    event_type: &'r str,
    revision: i32,
    data: &'r str,
    metadata: &'r str,
    recorded_at: OffsetDateTime,
}

impl sqlx::FromRow<'_, SqliteRow> for Row {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let line: &str = row.try_get(0)?;
        let (fields, subject, sealed) =
            Fields::from_line(line).ok_or_else(|| undecoded("no event"))?;
        Ok(Self { recorded: fields.recorded()?, subject: subject.map(str::to_owned), sealed })
    }
}

impl sqlx::FromRow<'_, PgRow> for Row {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let fields = Fields {
            position: row.try_get(0)?,
            stream: row.try_get(1)?,
            version: row.try_get(2)?,
            id: row.try_get(3)?,
            event_type: row.try_get(4)?,
            revision: row.try_get(5)?,
            data: row.try_get(6)?,
            metadata: row.try_get(7)?,
            recorded_at: row.try_get(10)?,
        };
        let (subject, sealed) = (row.try_get(8)?, row.try_get(9)?);
        Ok(Self { recorded: fields.recorded()?, subject, sealed })
    }
}

impl<'r> Fields<'r> {
    /// From what [`SQLITE_COLUMNS`] gives, with subject and sealed bytes; none when it is not that.
    fn from_line(line: &'r str) -> Option<Parts<'r>> {
        let mut fields = line.splitn(11, '\u{1f}');
        let mut next = || fields.next();
        let (position, stream, version) = (next()?.parse().ok()?, next()?, next()?.parse().ok()?);
        let (id, event_type, revision) = (next()?, next()?, next()?.parse().ok()?);
        let metadata = next()?;
        let subject = next().filter(|subject| !subject.is_empty());
        let sealed = from_hex(next()?)?;
        let recorded_at = from_micros(next()?.parse().ok()?).ok()?;
        let data = next()?;
        let fields = Self {
            position,
            stream,
            version,
            id,
            event_type,
            revision,
            data,
            metadata,
            recorded_at,
        };
        Some((fields, subject, sealed))
    }

    fn recorded(self) -> Result<Recorded, sqlx::Error> {
        let metadata = match self.metadata {
            "{}" => Metadata::default(),
            some => Metadata::from_json(&serde_json::from_str(some).map_err(undecoded)?),
        };
        Ok(Recorded {
            position: Position::new(unsigned(self.position)),
            stream: self.stream.parse().map_err(undecoded)?,
            version: Version::new(unsigned(self.version)),
            id: Uuid::parse_str(self.id).map_err(undecoded)?,
            event_type: self.event_type.to_owned(),
            revision: u32::try_from(self.revision).map_err(undecoded)?,
            data: serde_json::from_str(self.data).map_err(undecoded)?,
            privacy: Privacy::None,
            metadata,
            recorded_at: self.recorded_at,
        })
    }
}

/// What is in the table and cannot be read.
fn undecoded(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

impl Row {
    /// The event, its personal members opened with the key of its subject or left out without one.
    pub(crate) fn recorded(
        self,
        keys: &HashMap<String, SubjectKey>,
    ) -> Result<Recorded, StoreError> {
        let mut recorded = self.recorded;
        let Some(subject) = self.subject else { return Ok(recorded) };
        let key = keys.get(&subject);
        let subject = SubjectId::try_new(subject).map_err(broken)?;
        recorded.privacy = match key {
            None => Privacy::Erased(subject),
            Some(key) => {
                let sealed = self.sealed.unwrap_or_default();
                let members = key.open(recorded.id, &sealed).map_err(broken)?;
                if let Some(data) = recorded.data.as_object_mut() {
                    data.extend(members);
                }
                Privacy::About(subject)
            }
        };
        Ok(recorded)
    }

    pub(crate) fn position(&self) -> u64 {
        self.recorded.position.get()
    }
}

/// The bytes of hexadecimal text; no bytes of no text.
fn from_hex(text: &str) -> Option<Option<Vec<u8>>> {
    if text.is_empty() {
        return Some(None);
    }
    let byte = |pair: &[u8]| {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        match *pair {
            [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        }
    };
    text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_field_by_field_and_its_data_to_the_end() {
        let fields = ["7", "order-1", "2", "id", "Placed", "3", "{}", "user-1", "00fF", "1000000"];
        let line = format!("{}\u{1f}\"a\u{1f}b\"", fields.join("\u{1f}"));
        let (row, subject, sealed) = Fields::from_line(&line).unwrap();
        assert_eq!((row.position, row.version, row.revision), (7, 2, 3));
        assert_eq!((row.stream, row.event_type), ("order-1", "Placed"));
        assert_eq!((subject, sealed), (Some("user-1"), Some(vec![0, 255])));
        assert_eq!(row.recorded_at.unix_timestamp(), 1);
        assert_eq!(row.data, "\"a\u{1f}b\"");
    }

    #[test]
    fn what_is_no_line_is_refused() {
        assert!(Fields::from_line("7\u{1f}order-1").is_none());
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("0g"), None);
        assert_eq!(from_hex(""), Some(None));
    }
}
