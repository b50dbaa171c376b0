//! The database goes away and comes back under the running service.

use std::time::Duration;

use regatta_proto::userservice::GetUserRequest;
use regatta_proto::userservice::user_service_client::UserServiceClient;
use regatta_testkit::{Postgres, wait_until};
use serde_json::json;

use crate::running::UserService;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn without_its_database_it_says_so_and_it_heals_by_itself() {
    let mut server = Postgres::start().await.unwrap();
    let url = server.database().await.unwrap();
    let service = UserService::start_on(&url, tempfile::tempdir().unwrap(), "").await;
    let ada = json!({ "name": "Ada", "email": "ada@example.org" });
    wait_until("the schema is there", LIMIT, async || {
        service.running.get("/health/ready").await.status() == 200
    })
    .await;
    assert_eq!(service.post("/users", &ada).await.status(), 201);

    server.stop();
    // A number that no cache knows.
    let away = service.get("/users/7").await;
    assert_eq!(away.status(), 503);
    assert_eq!(away.header("content-type"), "application/problem+json");
    let bob = json!({ "name": "Bob", "email": "bob@example.org" });
    assert_eq!(service.post("/users", &bob).await.status(), 503);
    let mut client = UserServiceClient::connect(service.running.url()).await.unwrap();
    let status = client.get_user(GetUserRequest { user_id: 7 }).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    wait_until("it is not ready", LIMIT, async || {
        service.running.get("/health/ready").await.status() == 503
    })
    .await;
    assert_eq!(service.running.get("/health/live").await.status(), 200);

    server.resume().await.unwrap();
    wait_until("it is ready again", LIMIT, async || {
        service.running.get("/health/ready").await.status() == 200
    })
    .await;
    assert_eq!(service.get("/users/1").await.json()["name"], "Ada", "what was told is kept");
    assert_eq!(service.post("/users", &ada).await.status(), 409);
}
