//! Rows on disk, in redb; every commit is fsynced before it counts.

use std::path::{Path, PathBuf};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::registry::{Check, Delta, Key, Node, Service, State};

/// Keys and values are plain bytes: their encoding is ours, so that redb's may change.
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("registry");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const INDEX: &str = "index";
const FORMAT: &str = "format";
/// The version of the rows' encoding: JSON under `kind NUL node NUL id`.
const FORMAT_VERSION: u64 = 1;

/// The rows of the registry on disk.
#[derive(Debug)]
pub(crate) struct Journal {
    database: Database,
}

/// The disk did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("cannot make the folder `{}`", folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read or write the store; check the disk's space and permissions")]
    Database(#[source] Box<redb::Error>),
    #[error("the store has format {found}, this build reads {FORMAT_VERSION}; use the newer build")]
    Format { found: u64 },
    #[error("row `{key}` of the store is damaged; restore a copy of the folder")]
    Row {
        key: String,
        #[source]
        source: serde_json::Error,
    },
}

impl Journal {
    /// Opens or makes the file `registry.redb` in this folder, repairing it after a crash.
    pub(crate) fn open(folder: &Path) -> Result<Self, JournalError> {
        let no_folder = |source| JournalError::Folder { folder: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(no_folder)?;
        let database = Database::create(folder.join("registry.redb")).map_err(failed)?;
        let journal = Self { database };
        journal.check_format()?;
        Ok(journal)
    }

    /// Everything that was ever committed, at the index of the last commit.
    pub(crate) fn load(&self) -> Result<State, JournalError> {
        let read = self.database.begin_read().map_err(failed)?;
        let numbers = read.open_table(NUMBERS).map_err(failed)?;
        let index = numbers.get(INDEX).map_err(failed)?.map_or(0, |index| index.value());
        let mut state = State::starting_at(index);
        let rows = read.open_table(ROWS).map_err(failed)?;
        for row in rows.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let row = decode(key.value(), value.value()).map_err(|source| JournalError::Row {
                key: String::from_utf8_lossy(key.value()).replace('\0', "/"),
                source,
            })?;
            row.iter().for_each(|row| state.restore(row));
        }
        Ok(state)
    }

    /// Writes the durable ones among these changes and the index they lead to, all or nothing.
    /// When it returns, they are on the disk.
    pub(crate) fn commit(&self, deltas: &[Delta], index: u64) -> Result<(), JournalError> {
        let mut write = self.database.begin_write().map_err(failed)?;
        write.set_durability(Durability::Immediate).map_err(failed)?;
        {
            let mut rows = write.open_table(ROWS).map_err(failed)?;
            for delta in deltas {
                match encode(delta) {
                    Row::Put(key, value) => {
                        rows.insert(key.as_slice(), value.as_slice()).map_err(failed)?;
                    }
                    Row::Remove(key) => {
                        rows.remove(key.as_slice()).map_err(failed)?;
                    }
                    Row::None => (),
                }
            }
            write.open_table(NUMBERS).map_err(failed)?.insert(INDEX, index).map_err(failed)?;
        }
        write.commit().map_err(failed)
    }

    fn check_format(&self) -> Result<(), JournalError> {
        let write = self.database.begin_write().map_err(failed)?;
        {
            write.open_table(ROWS).map_err(failed)?;
            let mut numbers = write.open_table(NUMBERS).map_err(failed)?;
            let found = numbers.get(FORMAT).map_err(failed)?.map(|found| found.value());
            match found {
                Some(FORMAT_VERSION) => return Ok(()),
                Some(found) => return Err(JournalError::Format { found }),
                None => numbers.insert(FORMAT, FORMAT_VERSION).map_err(failed)?,
            };
        }
        write.commit().map_err(failed)
    }
}

enum Row {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    None,
}

fn encode(delta: &Delta) -> Row {
    let json = |row: serde_json::Result<Vec<u8>>| row.expect("rows have text keys only");
    match delta {
        Delta::PutNode(row) => Row::Put(key(b'n', &row.name, ""), json(serde_json::to_vec(&**row))),
        Delta::PutService(row) => {
            Row::Put(key(b's', &row.node, &row.id), json(serde_json::to_vec(&**row)))
        }
        Delta::PutCheck(row) => {
            Row::Put(key(b'c', &row.node, &row.id), json(serde_json::to_vec(&**row)))
        }
        Delta::RemoveNode(name) => Row::Remove(key(b'n', name, "")),
        Delta::RemoveService(Key { node, id }) => Row::Remove(key(b's', node, id)),
        Delta::RemoveCheck(Key { node, id }) => Row::Remove(key(b'c', node, id)),
        Delta::Output(_) => Row::None,
    }
}

/// The row of a kind this build knows; none for a kind it does not.
fn decode(key: &[u8], value: &[u8]) -> serde_json::Result<Option<Delta>> {
    Ok(match key.first() {
        Some(b'n') => Some(Delta::PutNode(serde_json::from_slice::<Node>(value)?.into())),
        Some(b's') => Some(Delta::PutService(serde_json::from_slice::<Service>(value)?.into())),
        Some(b'c') => Some(Delta::PutCheck(serde_json::from_slice::<Check>(value)?.into())),
        _ => None,
    })
}

fn key(kind: u8, node: &str, id: &str) -> Vec<u8> {
    let mut key = vec![kind, 0];
    key.extend(node.as_bytes());
    key.push(0);
    key.extend(id.as_bytes());
    key
}

fn failed(error: impl Into<redb::Error>) -> JournalError {
    JournalError::Database(Box::new(error.into()))
}
