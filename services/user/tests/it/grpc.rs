//! Users over gRPC, through the whole service.

use std::time::Duration;

use regatta_proto::userservice::user_service_client::UserServiceClient;
use regatta_proto::userservice::{CreateUserRequest, GetUserRequest};
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::running::UserService;

#[tokio::test]
async fn a_user_is_created_and_read() {
    let service = UserService::start().await;
    let mut client = client(&service).await;
    let created = client.create_user(user("Ada", "ada@example.org")).await.unwrap().into_inner();
    assert_eq!((created.user_id, created.status.as_str()), (1, "created"));
    let read = client.get_user(GetUserRequest { user_id: 1 }).await.unwrap().into_inner();
    assert_eq!(
        (read.user_id, read.name.as_str(), read.email.as_str()),
        (1, "Ada", "ada@example.org")
    );
    assert_eq!(service.get("/users/1").await.json()["email"], "ada@example.org");
}

#[tokio::test]
async fn errors_have_their_codes() {
    let service = UserService::start().await;
    let mut client = client(&service).await;
    client.create_user(user("Ada", "ada@example.org")).await.unwrap();
    let taken = client.create_user(user("Eve", "ADA@example.org")).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);
    let missing = client.get_user(GetUserRequest { user_id: 7 }).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    for user_id in [0, -1, i32::MIN] {
        let invalid = client.get_user(GetUserRequest { user_id }).await.unwrap_err();
        assert_eq!(invalid.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn bad_fields_are_named() {
    let service = UserService::start().await;
    let error = client(&service).await.create_user(user("", "ada")).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let details = error.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["name", "email"]);
    assert!(violations.iter().all(|violation| !violation.description.is_empty()));
}

#[tokio::test]
async fn a_deadline_that_is_over_is_told() {
    let service = UserService::start().await;
    let mut request = Request::new(GetUserRequest { user_id: 1 });
    request.set_timeout(Duration::from_nanos(1));
    let error = client(&service).await.get_user(request).await.unwrap_err();
    assert!(matches!(error.code(), Code::DeadlineExceeded | Code::Cancelled), "{error}");
}

async fn client(service: &UserService) -> UserServiceClient<Channel> {
    UserServiceClient::connect(service.running.url()).await.unwrap()
}

fn user(name: &str, email: &str) -> CreateUserRequest {
    CreateUserRequest { name: name.to_owned(), email: email.to_owned() }
}
