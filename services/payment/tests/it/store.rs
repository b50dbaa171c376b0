//! The stores of payments, on real engines.

use payment_service::store::{MIGRATIONS, payments};
use regatta_database::{Database, Options};
use regatta_testkit::Postgres;

use crate::conformance;

#[tokio::test]
async fn payments_in_sqlite_conform() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    conformance::all(async || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let url = format!("sqlite://{}/{number}.db", folder.path().display());
        payments(&migrated(&url).await)
    })
    .await;
}

#[tokio::test]
async fn payments_in_postgres_conform() {
    let server = Postgres::shared().await;
    conformance::all(async || payments(&migrated(&server.database().await.unwrap()).await)).await;
}

async fn migrated(url: &str) -> Database {
    let database = Database::open(url, &Options::default()).unwrap();
    database.migrate(MIGRATIONS).await.unwrap();
    database
}
