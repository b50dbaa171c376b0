//! What the client does with what discovery says.

use std::time::Duration;

use regatta_client::Error;
use regatta_core::InstanceId;
use regatta_discovery::{Discover, Publisher, Register, Watch};
use regatta_traffic::balance::Strategy;

use crate::fleet::{Does, Fleet, MILLISECOND, client, options};

#[tokio::test]
async fn a_removed_instance_is_not_called_again() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.serve(Does::Answer(200)).await, fleet.serve(Does::Answer(200)).await);
    let users = fleet.client(options());
    for _ in 0..10 {
        users.get("/").send().await.unwrap();
    }
    assert_eq!((one.hits(), two.hits()), (5, 5));
    fleet.remove(&one).await;
    for _ in 0..10 {
        users.get("/").send().await.unwrap();
    }
    assert_eq!((one.hits(), two.hits()), (5, 15));
}

#[tokio::test]
async fn a_new_instance_is_called() {
    let fleet = Fleet::new();
    let one = fleet.serve(Does::Answer(200)).await;
    let users = fleet.client(options());
    users.get("/").send().await.unwrap();
    let two = fleet.serve(Does::Answer(200)).await;
    for _ in 0..10 {
        users.get("/").send().await.unwrap();
    }
    assert_eq!((one.hits(), two.hits()), (6, 5));
}

#[tokio::test]
async fn an_instance_that_stays_keeps_its_breaker() {
    let fleet = Fleet::new();
    let bad = fleet.serve(Does::Answer(500)).await;
    let users = fleet.client(options());
    for _ in 0..5 {
        users.get("/").send().await.unwrap();
    }
    fleet.serve(Does::Answer(200)).await;
    for _ in 0..10 {
        assert_eq!(users.get("/").send().await.unwrap().status(), 200);
    }
    assert_eq!(bad.hits(), 5);
}

#[tokio::test]
async fn weights_are_met() {
    let fleet = Fleet::new();
    let (one, three) = (fleet.serve(Does::Answer(200)).await, fleet.serve(Does::Answer(200)).await);
    fleet.register(&three.instance.clone().with_weight(3)).await;
    let mut options = options();
    options.cluster.balance = Strategy::Weighted;
    let users = fleet.client(options);
    for _ in 0..40 {
        users.get("/").send().await.unwrap();
    }
    assert_eq!((one.hits(), three.hits()), (10, 30));
}

#[tokio::test]
async fn version_weights_are_met() {
    let fleet = Fleet::new();
    let (old, new) = (fleet.serve(Does::Answer(200)).await, fleet.serve(Does::Answer(200)).await);
    fleet.register(&old.instance.clone().with_version("v1")).await;
    fleet.register(&new.instance.clone().with_version("v2")).await;
    let weights = [("v1".to_owned(), 90), ("v2".to_owned(), 10)].into();
    let mut options = options();
    options.cluster.subsets = std::sync::Arc::new(weights);
    let users = fleet.client(options);
    for _ in 0..20 {
        users.get("/").send().await.unwrap();
    }
    assert_eq!((old.hits(), new.hits()), (18, 2));
}

#[tokio::test]
async fn a_call_may_ask_for_a_version_whatever_the_weights() {
    let fleet = Fleet::new();
    let (old, new) = (fleet.serve(Does::Answer(200)).await, fleet.serve(Does::Answer(200)).await);
    fleet.register(&old.instance.clone().with_version("v1")).await;
    fleet.register(&new.instance.clone().with_version("v2")).await;
    let mut options = options();
    options.cluster.subsets = std::sync::Arc::new([("v1".to_owned(), 100)].into());
    let users = fleet.client(options);
    for _ in 0..4 {
        users.get("/").send().await.unwrap();
        users.get("/").version("v2").send().await.unwrap();
    }
    assert_eq!((old.hits(), new.hits()), (4, 4));
    let error = users.get("/").version("v3").send().await.unwrap_err();
    let Error::NoInstance { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("no instance of version `v3`"), "{source}");
}

#[tokio::test]
async fn calls_go_on_while_a_large_set_is_taken_over() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(200)).await;
    let client = crate::fleet::client(&fleet.registry, options());
    let users = client.service("user-service").unwrap();
    users.get("/").send().await.unwrap();
    for number in 0..300 {
        let other = server.instance.clone().with_id(InstanceId::new(&format!("copy-{number}")));
        fleet.register(&other).await;
        users.get("/").send().await.unwrap();
    }
    let all = async {
        while client.clusters()[0].instances.len() < 301 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
    fleet.registry.deregister(&InstanceId::new("copy-299")).await.unwrap();
    let fewer = async {
        while client.clusters()[0].instances.len() > 300 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), fewer).await.unwrap();
}

#[tokio::test]
async fn no_instance_is_an_error_that_names_the_service_and_comes_at_once() {
    let fleet = Fleet::new();
    let error = fleet.client(options()).get("/").send().await.unwrap_err();
    assert!(matches!(error, Error::NoInstance { .. }), "{error}");
    assert!(error.to_string().contains("no instance of `user-service`"), "{error}");
    assert!(error.is_retryable() && !error.was_sent());
    assert_eq!(error.status(), 503);
}

#[tokio::test]
async fn the_wait_for_the_registrys_first_answer_is_bounded() {
    let registry = Silent(Publisher::default());
    let mut options = options();
    options.discovery_timeout = MILLISECOND * 20;
    let client = regatta_client::Client::try_new(std::sync::Arc::new(registry), options).unwrap();
    let error = client.service("user-service").unwrap().get("/").send().await.unwrap_err();
    assert!(matches!(error, Error::NotDiscovered { .. }), "{error}");
    assert!(error.to_string().contains("look at the registry's URL"), "{error}");
}

#[tokio::test]
async fn the_wait_ends_with_the_registrys_first_answer() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(200)).await;
    let publisher = std::sync::Arc::new(Publisher::default());
    let registry = std::sync::Arc::new(Shared(std::sync::Arc::clone(&publisher)));
    let client = regatta_client::Client::try_new(registry, options()).unwrap();
    let users = client.service("user-service").unwrap();
    let (answer, ()) = tokio::join!(users.get("/").send(), async {
        let instances = vec![server.instance.clone()];
        publisher.publish(regatta_discovery::InstanceSet::fresh(instances));
    });
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn the_last_known_instances_serve_while_the_registry_is_away() {
    let fleet = Fleet::new();
    fleet.serve(Does::Answer(200)).await;
    let users = fleet.client(options());
    users.get("/").send().await.unwrap();
    fleet.registry.set_away(true);
    for _ in 0..5 {
        assert_eq!(users.get("/").send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_with_the_rule() {
    let client = client(&Fleet::new().registry, options());
    let error = client.service("User_Service").unwrap_err();
    assert!(error.to_string().contains("`User_Service`"), "{error}");
    assert!(client.channel("").is_err());
}

#[tokio::test]
async fn clients_of_one_service_share_their_breakers() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(500)).await;
    let client = client(&fleet.registry, options());
    for _ in 0..5 {
        client.service("user-service").unwrap().get("/").send().await.unwrap();
    }
    let error = client.service("user-service").unwrap().get("/").send().await.unwrap_err();
    assert!(matches!(error, Error::BreakerOpen { .. }));
    assert_eq!(server.hits(), 5);
    assert!(Duration::from_secs(60) >= error.retry_after().unwrap());
}

/// A registry that never answers.
#[derive(Debug)]
struct Silent(Publisher);

impl Discover for Silent {
    fn watch(&self, _: &regatta_core::ServiceName) -> Watch {
        self.0.watch()
    }
}

/// A registry whose publisher the test holds too.
#[derive(Debug)]
struct Shared(std::sync::Arc<Publisher>);

impl Discover for Shared {
    fn watch(&self, _: &regatta_core::ServiceName) -> Watch {
        self.0.watch()
    }
}
