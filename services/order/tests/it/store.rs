//! The stores of orders, on real engines.

use std::sync::Arc;

use order_service::api::messages;
use order_service::domain::Orders;
use order_service::store::{EventedOrders, MIGRATIONS, OrderList};
use regatta::events::GroupName;
use regatta::eventstore::Projector;
use regatta::eventstore_sql::{SCHEMA, SqlStore};
use regatta_database::{Database, Options};
use regatta_testkit::Postgres;

use crate::conformance;

#[tokio::test(flavor = "multi_thread")]
async fn orders_in_sqlite_conform() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    let fresh = async || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let url = format!("sqlite://{}/{number}.db", folder.path().display());
        open(&url).await
    };
    conformance::all(async || fresh().await.0).await;
    lists(fresh().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_in_postgres_conform() {
    let server = Postgres::shared().await;
    let fresh = async || open(&server.database().await.unwrap()).await;
    conformance::all(async || fresh().await.0).await;
    lists(fresh().await).await;
}

async fn lists((orders, store): (EventedOrders, SqlStore)) {
    let drain = regatta::CancellationToken::new();
    let store = Arc::new(store);
    let projector = Projector::new(store.clone(), store, OrderList).run(drain.clone());
    let orders: Arc<dyn Orders> = Arc::new(orders);
    let checks = async {
        conformance::lists(&orders, &["1", "1", "2", "1", "3"]).await;
        drain.cancel();
    };
    tokio::join!(projector, checks);
}

pub(crate) async fn open(url: &str) -> (EventedOrders, SqlStore) {
    let database = Database::open(url, &Options::default()).unwrap();
    database.migrate_schema(&SCHEMA).await.unwrap();
    database.migrate(MIGRATIONS).await.unwrap();
    let store = SqlStore::new(&database);
    let group = GroupName::try_new("order-service").unwrap();
    (EventedOrders::new(&database, &store, group, messages::of), store)
}
