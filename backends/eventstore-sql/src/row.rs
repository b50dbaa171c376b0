//! A row of the events, and what it says.

use std::collections::HashMap;

use regatta_eventstore::{
    Metadata, Position, Privacy, Recorded, StoreError, SubjectId, SubjectKey, Version,
};
use serde_json::Value;
use uuid::Uuid;

use crate::engine::{broken, from_micros, unsigned};

/// The columns of an event, in the order of [`Row`].
pub(crate) const SQLITE_COLUMNS: &str = "position, stream, version, id, type, revision, data, \
     metadata, subject, sealed, recorded_at";
/// The same from PostgreSQL, whose own types become those of SQLite.
pub(crate) const POSTGRES_COLUMNS: &str = "position, stream, version, id::text, type, \
     revision::bigint, data::text, metadata::text, subject, sealed, \
     (extract(epoch FROM recorded_at) * 1000000)::bigint";

/// An event as both engines give it.
pub(crate) struct Row {
    position: i64,
    stream: String,
    version: i64,
    id: String,
    event_type: String,
    revision: i64,
    data: String,
    metadata: String,
    pub(crate) subject: Option<String>,
    sealed: Option<Vec<u8>>,
    recorded_at: i64,
}

impl<'r, R> sqlx::FromRow<'r, R> for Row
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    Option<String>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    Option<Vec<u8>>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            position: row.try_get(0)?,
            stream: row.try_get(1)?,
            version: row.try_get(2)?,
            id: row.try_get(3)?,
            event_type: row.try_get(4)?,
            revision: row.try_get(5)?,
            data: row.try_get(6)?,
            metadata: row.try_get(7)?,
            subject: row.try_get(8)?,
            sealed: row.try_get(9)?,
            recorded_at: row.try_get(10)?,
        })
    }
}

impl Row {
    /// The event, its personal members opened with the key of its subject or left out without one.
    pub(crate) fn recorded(
        self,
        keys: &HashMap<String, SubjectKey>,
    ) -> Result<Recorded, StoreError> {
        let id = Uuid::parse_str(&self.id).map_err(broken)?;
        let mut data: Value = serde_json::from_str(&self.data).map_err(broken)?;
        let metadata: Value = serde_json::from_str(&self.metadata).map_err(broken)?;
        let privacy = match self.subject {
            None => Privacy::None,
            Some(subject) => {
                let key = keys.get(&subject);
                let subject = SubjectId::try_new(subject).map_err(broken)?;
                match key {
                    None => Privacy::Erased(subject),
                    Some(key) => {
                        let sealed = self.sealed.unwrap_or_default();
                        let members = key.open(id, &sealed).map_err(broken)?;
                        if let Some(data) = data.as_object_mut() {
                            data.extend(members);
                        }
                        Privacy::About(subject)
                    }
                }
            }
        };
        Ok(Recorded {
            position: Position::new(unsigned(self.position)),
            stream: self.stream.parse().map_err(broken)?,
            version: Version::new(unsigned(self.version)),
            id,
            event_type: self.event_type,
            revision: u32::try_from(self.revision).map_err(broken)?,
            data,
            privacy,
            metadata: Metadata::from_json(&metadata),
            recorded_at: from_micros(self.recorded_at)?,
        })
    }

    pub(crate) fn position(&self) -> u64 {
        unsigned(self.position)
    }
}
