//! etcd's service Auth, as far as clients need it to log in.

use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::auth_server::Auth;
use tonic::{Request, Response, Status};

use super::access::now;
use super::app::App;
use crate::access::Denied;

/// Logs users in. Who there is and what they may is in the access file.
#[derive(Clone, Debug)]
pub(crate) struct AuthService(pub(crate) App);

#[tonic::async_trait]
impl Auth for AuthService {
    async fn authenticate(
        &self,
        request: Request<pb::AuthenticateRequest>,
    ) -> Result<Response<pb::AuthenticateResponse>, Status> {
        let pb::AuthenticateRequest { name, password } = request.into_inner();
        let token = self.0.access.log_in(now, &name, password).await;
        let token = token.map_err(|denied| {
            self.0.metrics.denied("etcd");
            match denied {
                Denied::NotEnabled => {
                    Status::failed_precondition("etcdserver: authentication is not enabled")
                }
                Denied::WrongPassword | Denied::UnknownToken => Status::invalid_argument(
                    "etcdserver: authentication failed, invalid user ID or password",
                ),
            }
        })?;
        let header = self.0.header(self.0.store.revision());
        Ok(Response::new(pb::AuthenticateResponse { header, token }))
    }
}
