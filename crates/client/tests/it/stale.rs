//! What is known of services while their registry is away.

use std::sync::Arc;
use std::time::Duration;

use regatta_client::Client;
use regatta_core::ServiceName;
use regatta_discovery::{Discover, Freshness, InstanceSet, Publisher, Watch};

use crate::fleet::{Does, Fleet, name, options};

#[tokio::test]
async fn a_service_whose_registry_is_away_is_named_with_for_how_long_and_called_on() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(200)).await;
    let fresh = InstanceSet::fresh(vec![server.instance.clone()]);
    let publisher = Arc::new(Publisher::new(fresh.clone()));
    let registry = Arc::new(Held(Arc::clone(&publisher)));
    let client = Client::try_new(registry, options()).unwrap();
    let users = client.service("user-service").unwrap();
    users.get("/").send().await.unwrap();
    assert_eq!(client.stale(), []);
    let since = tokio::time::Instant::now().into_std().checked_sub(Duration::from_secs(7)).unwrap();
    publisher.publish(InstanceSet { freshness: Freshness::Stale { since }, ..fresh.clone() });
    let stale = client.stale();
    assert_eq!(stale.len(), 1);
    assert!(stale[0].0 == name() && stale[0].1 >= Duration::from_secs(7), "{stale:?}");
    users.get("/").send().await.unwrap();
    publisher.publish(fresh);
    assert_eq!(client.stale(), []);
}

/// A registry whose publisher the test holds too.
#[derive(Debug)]
struct Held(Arc<Publisher>);

impl Discover for Held {
    fn watch(&self, _: &ServiceName) -> Watch {
        self.0.watch()
    }
}
