//! A database of each engine, with the store's tables.

use regatta_database::{Database, Options};
use regatta_eventstore_sql::SCHEMA;
use regatta_testkit::Postgres;
use tempfile::TempDir;

/// A database that ends with the test.
pub(crate) struct Fresh {
    pub(crate) url: String,
    pub(crate) database: Database,
    folder: Option<TempDir>,
}

impl Fresh {
    /// Whether any of a SQLite database's files holds these bytes.
    pub(crate) fn files_hold(&self, bytes: &[u8]) -> bool {
        let folder = self.folder.as_ref().expect("is SQLite").path();
        let files = std::fs::read_dir(folder).unwrap();
        files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .any(|content| content.windows(bytes.len()).any(|window| window == bytes))
    }
}

pub(crate) async fn both() -> [Fresh; 2] {
    [sqlite().await, postgres().await]
}

pub(crate) async fn sqlite() -> Fresh {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}/events.db", folder.path().display());
    Fresh { database: open(&url).await, url, folder: Some(folder) }
}

pub(crate) async fn postgres() -> Fresh {
    let url = Postgres::shared().await.database().await.unwrap();
    Fresh { database: open(&url).await, url, folder: None }
}

/// Other pools to the same database, as another process has.
pub(crate) async fn open(url: &str) -> Database {
    let mut options = Options::default();
    options.max_connections = 16;
    let database = Database::open(url, &options).unwrap();
    database.migrate_schema(&SCHEMA).await.unwrap();
    database
}
