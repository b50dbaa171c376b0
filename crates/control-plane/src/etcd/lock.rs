//! etcd's service Lock.

use bytes::Bytes;
use regatta_proto::v3lockpb as pb;
use regatta_proto::v3lockpb::lock_server::Lock;
use tonic::{Request, Response, Status};

use super::app::App;
use super::turn::Leaving;

/// Locks that end with a lease.
#[derive(Clone, Debug)]
pub(crate) struct LockService(pub(crate) App);

#[tonic::async_trait]
impl Lock for LockService {
    async fn lock(
        &self,
        request: Request<pb::LockRequest>,
    ) -> Result<Response<pb::LockResponse>, Status> {
        let pb::LockRequest { name, lease } = request.into_inner();
        let mut turn = self.0.queue(&name, lease, Bytes::new()).await?;
        let leaving = Leaving::new(&self.0, &turn);
        self.0.wait(&mut turn).await?;
        leaving.stay();
        let header = self.0.header(turn.revision);
        Ok(Response::new(pb::LockResponse { header, key: turn.key }))
    }

    async fn unlock(
        &self,
        request: Request<pb::UnlockRequest>,
    ) -> Result<Response<pb::UnlockResponse>, Status> {
        let revision = self.0.remove(request.into_inner().key).await?;
        Ok(Response::new(pb::UnlockResponse { header: self.0.header(revision) }))
    }
}
