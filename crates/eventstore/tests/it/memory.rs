//! The store in memory conforms.

use std::sync::Arc;

use regatta_eventstore::{MemoryStore, conformance};

#[tokio::test]
async fn the_store_in_memory_conforms() {
    conformance::all(Arc::new(MemoryStore::default())).await;
}

#[tokio::test(start_paused = true)]
async fn the_outbox_in_memory_conforms() {
    let store = Arc::new(MemoryStore::default());
    conformance::outbox(store.clone(), store).await;
}
