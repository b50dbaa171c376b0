//! gRPC beside REST on the same port.

use std::time::Duration;

use regatta::testing::Running;
use regatta_proto::userservice::user_service_client::UserServiceClient;
use regatta_proto::userservice::user_service_server::{UserService, UserServiceServer};
use regatta_proto::userservice::{
    CreateUserRequest, CreateUserResponse, FILE_DESCRIPTOR_SET, GetUserRequest, GetUserResponse,
};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::fixture::{opened, routes};

#[derive(Clone)]
pub(crate) struct Users;

#[tonic::async_trait]
impl UserService for Users {
    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        match request.into_inner().user_id {
            1 => Ok(Response::new(GetUserResponse { user_id: 1, ..Default::default() })),
            2 => panic!("the secret of this method"),
            3 => std::future::pending().await,
            _ => {
                Err(regatta::Problem::not_found("no such user").with_code("user_not_found").into())
            }
        }
    }

    async fn create_user(
        &self,
        _request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

async fn running(yaml: &str) -> (Running, Channel) {
    let service = opened(yaml).await.rest(routes()).grpc(UserServiceServer::new(Users));
    let service = Running::start(service.reflection(FILE_DESCRIPTOR_SET)).await.unwrap();
    let channel = Channel::from_shared(service.url()).unwrap().connect().await.unwrap();
    (service, channel)
}

fn asking(user_id: i32) -> Request<GetUserRequest> {
    Request::new(GetUserRequest { user_id })
}

#[tokio::test]
async fn rest_and_grpc_share_the_port() {
    let (service, channel) = running("").await;
    let user = UserServiceClient::new(channel).get_user(asking(1)).await.unwrap();
    assert_eq!(user.into_inner().user_id, 1);
    assert_eq!(service.get("/hello").await.text(), "hello");
    assert_eq!(service.get("/nowhere").await.status(), 404);
}

#[tokio::test]
async fn a_problem_is_a_status_of_the_same_meaning() {
    let (_service, channel) = running("").await;
    let status = UserServiceClient::new(channel).get_user(asking(9)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such user"));
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert_eq!(details.error_info().unwrap().reason, "USER_NOT_FOUND");
}

#[tokio::test]
async fn a_panic_is_internal_and_tells_nothing() {
    let (_service, channel) = running("").await;
    let mut users = UserServiceClient::new(channel);
    let status = users.get_user(asking(2)).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("secret"), "{status}");
    assert!(users.get_user(asking(1)).await.is_ok(), "the connection goes on");
}

#[tokio::test]
async fn a_deadline_that_is_over_is_deadline_exceeded() {
    let (_service, channel) = running("server: {request_timeout: 50ms}").await;
    let status = UserServiceClient::new(channel).get_user(asking(3)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    // The caller's own deadline is taken over from its header, whoever notices first.
    let (_service, channel) = running("").await;
    let mut request = asking(3);
    request.set_timeout(Duration::from_millis(50));
    let status = UserServiceClient::new(channel).get_user(request).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status}");
}

#[tokio::test]
async fn an_unknown_service_or_method_is_unimplemented() {
    let (service, _channel) = running("").await;
    for path in ["/userservice.UserService/Nope", "/other.Service/Get"] {
        let request = http::Request::post(path).header("content-type", "application/grpc");
        let answer = service.send(request.body(String::new())).await;
        assert_eq!((answer.status().as_u16(), answer.header("grpc-status")), (200, "12"), "{path}");
    }
}

#[tokio::test]
async fn health_and_reflection_know_the_services() {
    let (_service, channel) = running("").await;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "userservice.UserService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1, "serving");
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let stream = futures::stream::iter([request]);
    let mut answers =
        ServerReflectionClient::new(channel).server_reflection_info(stream).await.unwrap();
    let answer = format!("{:?}", answers.get_mut().message().await.unwrap());
    assert!(answer.contains("userservice.UserService"), "{answer}");
    assert!(answer.contains("grpc.health.v1.Health"), "{answer}");
}

#[tokio::test]
async fn grpc_takes_a_token_where_the_operator_asks_for_one_and_health_never_does() {
    let yaml = "auth: {grpc: required, secret: 0123456789abcdef0123456789abcdef}";
    let (_service, channel) = running(yaml).await;
    let status = UserServiceClient::new(channel.clone()).get_user(asking(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let request = HealthCheckRequest { service: String::new() };
    assert!(HealthClient::new(channel).check(request).await.is_ok());
}

#[tokio::test]
async fn a_message_that_is_none_is_the_callers_fault_and_a_panic_the_services() {
    let (_service, channel) = running("").await;
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    // Its first field is a text, where a number belongs.
    let codec = tonic_prost::ProstCodec::<CreateUserRequest, GetUserResponse>::default();
    let request = CreateUserRequest { name: "Ada".into(), ..Default::default() };
    let path = "/userservice.UserService/GetUser".parse().unwrap();
    let error = client.unary(Request::new(request), path, codec).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert!(error.message().starts_with("failed to decode Protobuf message"), "{error}");
    let error = UserServiceClient::new(channel).get_user(asking(2)).await.unwrap_err();
    assert_eq!(error.code(), Code::Internal, "{error}");
}
