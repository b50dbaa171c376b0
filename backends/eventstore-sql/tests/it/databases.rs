//! A database of each engine, with the store's tables.

use regatta_database::{Database, Options};
use regatta_eventstore_sql::SCHEMA;
use regatta_testkit::Postgres;
use tempfile::TempDir;

/// A database that ends with the test.
pub(crate) struct Fresh {
    pub(crate) url: String,
    pub(crate) database: Database,
    _folder: Option<TempDir>,
}

pub(crate) async fn both() -> [Fresh; 2] {
    [sqlite().await, postgres().await]
}

pub(crate) async fn sqlite() -> Fresh {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}/events.db", folder.path().display());
    Fresh { database: open(&url).await, url, _folder: Some(folder) }
}

pub(crate) async fn postgres() -> Fresh {
    let url = Postgres::shared().await.database().await.unwrap();
    Fresh { database: open(&url).await, url, _folder: None }
}

/// Other pools to the same database, as another process has.
pub(crate) async fn open(url: &str) -> Database {
    let mut options = Options::default();
    options.max_connections = 16;
    let database = Database::open(url, &options).unwrap();
    database.migrate_schema(&SCHEMA).await.unwrap();
    database
}
