//! etcd's service Lock.

use bytes::Bytes;
use regatta_proto::v3lockpb as pb;
use regatta_proto::v3lockpb::lock_server::Lock;
use tonic::{Request, Response, Status};

use super::app::App;
use super::turn::prefix;
use crate::access::Level;
use crate::kv::KeyRange;

/// Locks that end with a lease.
#[derive(Clone, Debug)]
pub(crate) struct LockService(pub(crate) App);

#[tonic::async_trait]
impl Lock for LockService {
    async fn lock(
        &self,
        request: Request<pb::LockRequest>,
    ) -> Result<Response<pb::LockResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let pb::LockRequest { name, lease } = request.into_inner();
        self.0.check_prefix(&caller, &prefix(&name), Level::Write)?;
        self.0.check_lease(&caller, lease, Level::Write)?;
        let (mut turn, leaving) = self.0.queue(&name, lease, Bytes::new()).await?;
        self.0.wait_as(&caller, &mut turn).await?;
        leaving.stay();
        let header = self.0.header(turn.revision);
        Ok(Response::new(pb::LockResponse { header, key: turn.key }))
    }

    async fn unlock(
        &self,
        request: Request<pb::UnlockRequest>,
    ) -> Result<Response<pb::UnlockResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let key = request.into_inner().key;
        self.0.check_range(&caller, &KeyRange::only(key.clone()), Level::Write)?;
        let revision = self.0.remove(key).await?;
        Ok(Response::new(pb::UnlockResponse { header: self.0.header(revision) }))
    }
}
