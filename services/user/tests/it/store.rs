//! The stores of users, on real engines.

use std::sync::Arc;

use regatta::cache::{CacheAside, MemoryCache, Policy};
use regatta::telemetry::Telemetry;
use regatta_database::{Database, Options};
use regatta_testkit::Postgres;
use user_service::store::{CachedUsers, MIGRATIONS, users};

use crate::conformance;

#[tokio::test]
async fn users_in_sqlite_conform() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    conformance::all(async || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let url = format!("sqlite://{}/{number}.db", folder.path().display());
        users(&migrated(&url).await)
    })
    .await;
}

#[tokio::test]
async fn users_in_postgres_conform() {
    let server = Postgres::shared().await;
    conformance::all(async || users(&migrated(&server.database().await.unwrap()).await)).await;
}

#[tokio::test]
async fn users_with_a_cache_before_them_conform() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    conformance::all(async || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let url = format!("sqlite://{}/{number}.db", folder.path().display());
        let backend = Arc::new(MemoryCache::default());
        let cache = CacheAside::try_new(backend, Policy::default(), &Telemetry::global()).unwrap();
        Arc::new(CachedUsers::new(users(&migrated(&url).await), cache))
    })
    .await;
}

async fn migrated(url: &str) -> Database {
    let database = Database::open(url, &Options::default()).unwrap();
    database.migrate(MIGRATIONS).await.unwrap();
    database
}
