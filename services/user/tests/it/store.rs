//! The stores of users, on real engines.

use std::sync::Arc;

use regatta::cache::{CacheAside, MemoryCache, Policy};
use regatta::events::CloudEvent;
use regatta::eventstore::Outbox;
use regatta::eventstore_sql::{SCHEMA, SqlStore};
use regatta::telemetry::Telemetry;
use regatta_database::{Database, Options};
use regatta_testkit::Postgres;
use user_service::domain::{Change, UserEvent, UserId, Users};
use user_service::store::{CachedUsers, MIGRATIONS, users};

use crate::conformance;

#[tokio::test]
async fn users_in_sqlite_conform() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    conformance::all(async || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let url = format!("sqlite://{}/{number}.db", folder.path().display());
        opened(&url).await.0
    })
    .await;
}

#[tokio::test]
async fn users_in_postgres_conform() {
    let server = Postgres::shared().await;
    conformance::all(async || opened(&server.database().await.unwrap()).await.0).await;
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
        Arc::new(CachedUsers::new(opened(&url).await.0, cache))
    })
    .await;
}

#[tokio::test]
async fn what_happens_is_in_the_outbox_if_and_only_if_it_happened() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}/users.db", folder.path().display());
    for url in [sqlite, Postgres::shared().await.database().await.unwrap()] {
        let (users, store) = opened(&url).await;
        let waiting = async || store.backlog().await.unwrap().0;
        let ada = users.create(conformance::user("Ada", "ada@example.org")).await.unwrap();
        assert_eq!(waiting().await, 1);
        users.create(conformance::user("Eve", "ada@example.org")).await.unwrap_err();
        assert_eq!(waiting().await, 1, "the address is taken");
        let nobody = UserId::try_new(77).unwrap();
        users.update(nobody, Change::default()).await.unwrap();
        users.delete(nobody).await.unwrap();
        assert_eq!(waiting().await, 1, "there is no such user");
        users.update(ada.id, Change::default()).await.unwrap();
        assert_eq!(waiting().await, 2);
        users.delete(ada.id).await.unwrap();
        users.delete(ada.id).await.unwrap();
        assert_eq!(waiting().await, 3);
    }
}

async fn opened(url: &str) -> (Arc<dyn Users>, SqlStore) {
    let database = Database::open(url, &Options::default()).unwrap();
    database.migrate_schema(&SCHEMA).await.unwrap();
    database.migrate(MIGRATIONS).await.unwrap();
    let store = SqlStore::new(&database);
    let tell = Arc::new(|_: &UserEvent| CloudEvent::try_new("1", "/user", "happened").unwrap());
    (users(&database, &store, tell), store)
}
