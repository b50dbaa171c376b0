//! Health over gRPC (`grpc.health.v1.Health`): what readiness says, for each service.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health as Protocol, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::Health;

/// How often a watch looks for a change; the report behind it is kept for as long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct GrpcHealth {
    health: Health,
    services: Arc<HashSet<String>>,
}

impl GrpcHealth {
    /// Answers for these services, and for the empty name: the whole process.
    pub(crate) fn server(health: Health, services: HashSet<String>) -> HealthServer<Self> {
        HealthServer::new(Self { health, services: Arc::new(services) })
    }

    async fn status(&self, service: &str) -> ServingStatus {
        if !(service.is_empty() || self.services.contains(service)) {
            ServingStatus::ServiceUnknown
        } else if self.health.is_ready().await {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

#[tonic::async_trait]
impl Protocol for GrpcHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        match self.status(&service).await {
            ServingStatus::ServiceUnknown => {
                Err(Status::not_found(format!("there is no service `{service}` here")))
            }
            status => Ok(Response::new(HealthCheckResponse { status: status.into() })),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let watching = (self.clone(), service, None);
        let changes = unfold(watching, |(this, service, mut last)| async move {
            // The first status is sent at once, then each change.
            loop {
                let status = this.status(&service).await;
                if last.replace(status) != Some(status) {
                    let response = HealthCheckResponse { status: status.into() };
                    return Some((Ok(response), (this, service, last)));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    fn health() -> (Health, GrpcHealth) {
        let health = Health::new(Vec::new());
        let services = Arc::new(HashSet::from(["a.B".to_owned()]));
        (health.clone(), GrpcHealth { health, services })
    }

    fn asking(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.to_owned() })
    }

    #[tokio::test]
    async fn knows_its_services_and_no_other() {
        let (_, grpc) = health();
        for known in ["", "a.B"] {
            let answer = grpc.check(asking(known)).await.unwrap().into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving);
        }
        let unknown = grpc.check(asking("a.C")).await.unwrap_err();
        assert_eq!(unknown.code(), tonic::Code::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_tells_the_present_status_and_each_change() {
        let (health, grpc) = health();
        let mut watch = grpc.watch(asking("a.B")).await.unwrap().into_inner();
        let mut next = async || watch.next().await.unwrap().unwrap().status();
        assert_eq!(next().await, ServingStatus::Serving);
        health.leave();
        assert_eq!(next().await, ServingStatus::NotServing);
    }
}
