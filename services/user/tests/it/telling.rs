//! What other services are told of users.

use std::time::Duration;

use regatta::events::{CloudEvent, HistoryQuery};
use regatta::http::Method;
use regatta_proto::userservice::CreateUserRequest;
use regatta_proto::userservice::user_service_client::UserServiceClient;
use regatta_testkit::wait_until;
use serde_json::json;

use crate::running::UserService;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_happens_to_a_user_is_told_in_its_order_and_in_its_trace() {
    let service = UserService::start().await;
    service.post("/users", &json!({ "name": "Ada", "email": "ada@example.org" })).await;
    service.post("/users", &json!({ "name": "Eve", "email": "ada@example.org" })).await;
    let change = r#"{"email":"king@example.org"}"#;
    service.send(Method::PATCH, "/users/1", "user", change).await;
    service.send(Method::DELETE, "/users/1", "user", "").await;
    service.send(Method::DELETE, "/users/1", "user", "").await;
    let told = told(&service, 3).await;
    let types: Vec<_> = told.iter().map(CloudEvent::event_type).collect();
    assert_eq!(types, ["user.created", "user.updated", "user.deleted"]);
    let [created, updated, deleted] = [0, 1, 2].map(|number| told[number].json().unwrap());
    assert_eq!(*created, json!({ "user_id": 1, "email": "ada@example.org" }));
    assert_eq!(*updated, json!({ "user_id": 1, "email": "king@example.org" }));
    assert_eq!(*deleted, json!({ "user_id": 1 }));
    for event in &told {
        assert_eq!((event.source(), event.partition_key()), ("/user-service", Some("user-1")));
        assert!(event.extension(CloudEvent::TRACEPARENT).is_some());
    }
}

#[tokio::test]
async fn a_user_that_another_service_makes_is_told_of_too() {
    let service = UserService::start().await;
    let mut client = UserServiceClient::connect(service.running.url()).await.unwrap();
    let ada = CreateUserRequest { name: "Ada".into(), email: "ada@example.org".into() };
    client.create_user(ada).await.unwrap();
    assert_eq!(told(&service, 1).await[0].event_type(), "user.created");
}

/// All that was told, once it is so many.
async fn told(service: &UserService, count: usize) -> Vec<CloudEvent> {
    let mut told = Vec::new();
    wait_until("what is told", LIMIT, async || {
        let history = service.bus.history(&HistoryQuery::default()).await.unwrap();
        told = history.into_iter().map(|logged| logged.event).collect();
        told.len() >= count
    })
    .await;
    told
}
