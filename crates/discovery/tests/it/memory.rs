//! The registry in memory.

use std::sync::Arc;

use regatta_core::{Endpoint, Instance};
use regatta_discovery::{
    Discover, Freshness, MemoryRegistry, Register, RegisterError, Registration, conformance,
};

#[tokio::test]
async fn memory_registry_conforms() {
    let registry = Arc::new(MemoryRegistry::new());
    conformance::all(registry.clone(), registry).await;
}

#[tokio::test]
async fn keeps_the_set_as_stale_while_it_is_away() {
    let registry = MemoryRegistry::new();
    registry.register(&users()).await.unwrap();
    let mut watch = registry.watch(&users().instance.service);
    registry.set_away(true);
    let set = watch.changed().await;
    assert!(matches!(set.freshness, Freshness::Stale { .. }));
    assert_eq!(set.instances.len(), 1);
    let error = registry.register(&users()).await.unwrap_err();
    assert!(matches!(error, RegisterError::Unreachable { .. }));
    registry.set_away(false);
    assert_eq!(watch.changed().await.freshness, Freshness::Fresh);
}

#[tokio::test]
async fn a_watch_that_begins_during_an_outage_knows_nothing() {
    let registry = MemoryRegistry::new();
    registry.register(&users()).await.unwrap();
    registry.set_away(true);
    let watch = registry.watch(&users().instance.service);
    assert_eq!(watch.current().freshness, Freshness::Unknown);
    registry.set_away(false);
    assert_eq!(watch.current().instances.len(), 1);
}

fn users() -> Registration {
    let endpoint = Endpoint::try_new("127.0.0.1", 8080).unwrap();
    Registration::new(Instance::new("users".parse().unwrap(), endpoint))
}
