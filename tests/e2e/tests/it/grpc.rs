//! The user over gRPC, straight at the service and through the gateway.

use std::time::Duration;

use regatta_e2e::System;
use regatta_proto::userservice::user_service_client::UserServiceClient;
use regatta_proto::userservice::{CreateUserRequest, GetUserRequest};
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_created_and_read() {
    let system = System::start().unwrap();
    let mut users = UserServiceClient::new(channel(&system, "user-service").await);
    let created = users.create_user(ada()).await.unwrap().into_inner();
    let read = users.get_user(GetUserRequest { user_id: created.user_id }).await.unwrap();
    let read = read.into_inner();
    assert_eq!((read.name.as_str(), read.email.as_str()), ("Ada", "ada@example.com"));

    let code = |result: Result<_, tonic::Status>| result.map(|_: Response| ()).unwrap_err().code();
    let missing = users.get_user(GetUserRequest { user_id: i32::MAX }).await;
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
    let negative = users.get_user(GetUserRequest { user_id: -1 }).await;
    assert_eq!(negative.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(code(users.create_user(ada()).await), Code::AlreadyExists);
    let nameless = CreateUserRequest { name: String::new(), email: "nobody".into() };
    assert_eq!(code(users.create_user(nameless).await), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_over_ends_the_call() {
    let system = System::start().unwrap();
    let mut users = UserServiceClient::new(channel(&system, "user-service").await);
    let mut request = Request::new(GetUserRequest { user_id: 1 });
    request.set_timeout(Duration::from_nanos(1));
    let status = users.get_user(request).await.unwrap_err();
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_answer() {
    let system = System::start().unwrap();
    let channel = channel(&system, "user-service").await;
    for service in ["", "userservice.UserService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = HealthClient::new(channel.clone()).check(request).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "`{service}`");
    }
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let requests = stream_of(list);
    let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"userservice.UserService".to_owned()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_forwards_grpc_to_who_may() {
    let system = System::start().unwrap();
    let created = UserServiceClient::new(channel(&system, "user-service").await)
        .create_user(ada())
        .await
        .unwrap()
        .into_inner();
    let mut users = UserServiceClient::new(channel(&system, "gateway").await);
    let request = GetUserRequest { user_id: created.user_id };

    let status = users.get_user(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");

    let token = system.token("1", &["user"]).unwrap();
    let mut request = Request::new(request);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let read = users.get_user(request).await.unwrap().into_inner();
    assert_eq!(read.name, "Ada");
}

type Response = tonic::Response<regatta_proto::userservice::CreateUserResponse>;

async fn channel(system: &System, service: &str) -> Channel {
    Channel::from_shared(system.url(service).unwrap()).unwrap().connect().await.unwrap()
}

fn ada() -> CreateUserRequest {
    CreateUserRequest { name: "Ada".into(), email: "ada@example.com".into() }
}

/// A stream of one request.
fn stream_of<T: Send + 'static>(item: T) -> impl tonic::IntoStreamingRequest<Message = T> {
    Request::new(futures::stream::iter([item]))
}
