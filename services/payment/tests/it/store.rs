//! The stores of payments, on real engines.

use payment_service::api::messages;
use payment_service::store::{EventedPayments, MIGRATIONS};
use regatta::events::GroupName;
use regatta::eventstore_sql::{SCHEMA, SqlStore};
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
        open(&url).await
    })
    .await;
}

#[tokio::test]
async fn payments_in_postgres_conform() {
    let server = Postgres::shared().await;
    conformance::all(async || open(&server.database().await.unwrap()).await).await;
}

async fn open(url: &str) -> EventedPayments {
    let database = Database::open(url, &Options::default()).unwrap();
    database.migrate_schema(&SCHEMA).await.unwrap();
    database.migrate(MIGRATIONS).await.unwrap();
    let group = GroupName::try_new("payment-service").unwrap();
    EventedPayments::new(&database, &SqlStore::new(&database), group, messages::of)
}
