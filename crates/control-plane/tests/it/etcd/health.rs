//! Whether the server is healthy: a page in plain HTTP, and gRPC's own service.

use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::alarm_request::AlarmAction;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use super::client::{Client, assert_refused};
use crate::api::Api;

pub(crate) async fn suite(client: &Client) {
    let api = Api::new(&client.endpoint);
    let page = async |path: &str| {
        let answer = api.get(path).await;
        let health = answer.json()["health"].as_str().unwrap().to_owned();
        (answer.status.as_u16(), health)
    };
    let (healthy, not) = ((200, "true".to_owned()), (503, "false".to_owned()));
    let whole = api.get("/health").await;
    assert_eq!(whole.text, r#"{"health":"true"}"#);
    assert_eq!(whole.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(api.put("/health", "").await.status, 405);
    assert!(api.get("/version").await.text.contains("\"etcdserver\":\"3."));
    assert_eq!(check(client, "").await.unwrap(), ServingStatus::Serving);
    assert_refused(check(client, "any").await, Code::NotFound, "unknown service");

    alarm(client, AlarmAction::Activate).await;
    assert_eq!(page("/health").await, not);
    assert_eq!(page("/health?exclude=NOSPACE").await, healthy);
    assert_eq!(page("/health?exclude=CORRUPT").await, not);
    assert_eq!(page("/health?exclude=CORRUPT&exclude=NOSPACE&serializable=true").await, healthy);
    alarm(client, AlarmAction::Deactivate).await;
    assert_eq!(page("/health").await, healthy);
}

#[tokio::test]
async fn an_alarm_is_named_and_seen_over_grpc() {
    let server = super::server().await;
    let client = Client::connect(&server.etcd_endpoint()).await;
    let request = HealthCheckRequest { service: String::new() };
    let mut changes = client.health.clone().watch(request).await.unwrap().into_inner();
    let mut change = async || {
        let change = tokio::time::timeout(crate::server::LIMIT, changes.message()).await;
        change.unwrap().unwrap().unwrap().status()
    };
    assert_eq!(change().await, ServingStatus::Serving);
    alarm(&client, AlarmAction::Activate).await;
    assert_eq!(check(&client, "").await.unwrap(), ServingStatus::NotServing);
    assert_eq!(change().await, ServingStatus::NotServing);
    let page = Api::new(&client.endpoint).get("/health").await;
    assert_eq!(page.json()["reason"], "ALARM NOSPACE");
    alarm(&client, AlarmAction::Deactivate).await;
    assert_eq!(change().await, ServingStatus::Serving);
}

async fn check(client: &Client, service: &str) -> Result<ServingStatus, tonic::Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(client.health.clone().check(request).await?.into_inner().status())
}

async fn alarm(client: &Client, action: AlarmAction) {
    let (action, alarm) = (action.into(), pb::AlarmType::Nospace.into());
    let request = pb::AlarmRequest { action, alarm, member_id: 0 };
    client.maintenance.clone().alarm(request).await.unwrap();
}
