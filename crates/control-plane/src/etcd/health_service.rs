//! gRPC's own service Health: what `/health` says, for probes and clients that ask over gRPC.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::app::App;

/// How often the state is looked at for those who watch it: often enough for a probe, and as dear as
/// reading two numbers.
const INTERVAL: Duration = Duration::from_secs(1);

/// Says whether the server as a whole serves; it has no other names.
#[derive(Clone, Debug)]
pub(crate) struct HealthService(pub(crate) App);

impl HealthService {
    fn status(&self, service: &str) -> ServingStatus {
        match self.0.trouble(&[]) {
            _ if !service.is_empty() => ServingStatus::ServiceUnknown,
            None => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.status(&request.get_ref().service) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("unknown service")),
            status => Ok(Response::new(response(status))),
        }
    }

    /// Sends the status, and each change of it.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (own, service) = (self.clone(), request.into_inner().service);
        let interval = tokio::time::interval(INTERVAL);
        let changes = stream::unfold((interval, None), move |(mut interval, told)| {
            let (own, service) = (own.clone(), service.clone());
            async move {
                loop {
                    interval.tick().await;
                    let status = own.status(&service);
                    if told != Some(status) {
                        return Some((Ok(response(status)), (interval, Some(status))));
                    }
                }
            }
        });
        let drained = self.0.drain.clone().cancelled_owned();
        Ok(Response::new(changes.take_until(drained).boxed()))
    }
}
