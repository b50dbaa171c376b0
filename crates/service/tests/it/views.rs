//! A view of events that nobody keeps up to date is told in the service's health.

use std::sync::Arc;
use std::time::Duration;

use regatta::Service;
use regatta::database::Transaction;
use regatta::eventstore::{
    Append, Effects, EventStore, Expected, Filter, NewEvent, Projection, ProjectionError,
    ProjectionStore, Projector, Recorded, StreamId,
};
use regatta::eventstore_sql::SqlStore;
use regatta::testing::Running;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::fixture::opened;

/// One thread, whose clock can be moved: a view has to stand still for a minute.
#[tokio::test]
async fn a_view_that_a_later_release_left_behind_shows_in_the_health_until_it_is_built_again() {
    let folder = TempDir::new().unwrap();
    let (service, store) = service_in(&folder).await;
    append(&store).await;
    let shared = Arc::new(store.clone());
    Projector::new(shared.clone(), shared, Totals(2)).catch_up().await.unwrap();
    // The later release is rolled back.
    service.project(&store, Totals(1));
    let running = Running::start(service).await.unwrap();
    append(&store).await;
    let told = minutes_pass_until(&running, "unhealthy").await;
    let text = told.to_string();
    assert!(text.contains("revision 2") && text.contains("rebuild totals --revision 1"), "{text}");
    assert_eq!(running.get("/health/ready").await.status(), 200, "it serves meanwhile");

    assert_eq!(store.request_rebuild("totals", Some(1)).await.unwrap(), Some(2));
    minutes_pass_until(&running, "healthy").await;
    running.stop().await;
}

/// Lets time pass until the view's entry says so; the entry.
async fn minutes_pass_until(running: &Running, status: &str) -> Value {
    for _ in 0..1000 {
        let health = running.get("/health").await.json();
        let entry = &health["dependencies"]["projection totals"];
        if entry["status"] == status {
            return entry.clone();
        }
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(6)).await;
        tokio::time::resume();
        // The database has threads of its own, which no clock of ours moves.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the view is never {status}");
}

async fn service_in(folder: &TempDir) -> (Service, SqlStore) {
    let url = format!("sqlite://{}/own.db", folder.path().display());
    let service = opened(&format!("database: {{ url: '{url}' }}")).await;
    let database = service.database().unwrap();
    let store = service.event_store(&database).await.unwrap();
    service.migrate(&database, &[]).await.unwrap();
    (service, store)
}

async fn append(store: &SqlStore) {
    let event = NewEvent::new(Uuid::now_v7(), "Placed", json!({}));
    let stream = StreamId::try_new("order", 1).unwrap();
    store.append(&Append::new(stream, Expected::Any, vec![event])).await.unwrap();
}

/// A view without tables, of this revision.
struct Totals(u32);

#[async_trait::async_trait]
impl Projection<Transaction> for Totals {
    fn name(&self) -> &str {
        "totals"
    }

    fn revision(&self) -> u32 {
        self.0
    }

    fn filter(&self) -> Filter {
        Filter::category("order")
    }

    async fn create(&self, _: &mut Transaction, _: u32) -> Result<(), ProjectionError> {
        Ok(())
    }

    async fn apply(
        &self,
        _: &mut Transaction,
        _: u32,
        _: &Recorded,
        _: &mut Effects,
    ) -> Result<(), ProjectionError> {
        Ok(())
    }

    async fn remove(&self, _: &mut Transaction, _: u32) -> Result<(), ProjectionError> {
        Ok(())
    }
}
