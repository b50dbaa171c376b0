//! etcd's service Lease.

use futures::StreamExt;
use futures::stream::BoxStream;
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::lease_server::Lease;
use tonic::{Request, Response, Status, Streaming};

use super::app::App;
use super::status::failed;
use crate::access::Level;
use crate::kv::{Rejection, StoreError};

/// Keys that end with their owner.
#[derive(Clone, Debug)]
pub(crate) struct LeaseService(pub(crate) App);

impl App {
    /// Grants a lease; its id and its seconds, with the revision.
    pub(crate) async fn grant(&self, id: i64, ttl: i64) -> Result<(i64, i64, i64), StoreError> {
        // Positive, as etcd's: some clients print it in hexadecimal without a sign.
        let fresh = rand::random_range(1..i64::MAX);
        let granted = self.store.write(move |transition| transition.grant(id, fresh, ttl)).await?;
        let (id, ttl) = granted.value;
        Ok((id, ttl, granted.revision))
    }

    async fn keep_alive(&self, id: i64) -> Result<pb::LeaseKeepAliveResponse, Status> {
        let (ttl, revision) =
            match self.store.write(move |transition| transition.keep_alive(id)).await {
                Ok(kept) => (kept.value, kept.revision),
                // Said in the answer: the stream serves other leases, too.
                Err(StoreError::Rejected(Rejection::LeaseNotFound)) => (0, self.store.revision()),
                Err(error) => return Err(failed(error)),
            };
        Ok(pb::LeaseKeepAliveResponse { header: self.header(revision), id, ttl })
    }
}

#[tonic::async_trait]
impl Lease for LeaseService {
    type LeaseKeepAliveStream = BoxStream<'static, Result<pb::LeaseKeepAliveResponse, Status>>;

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        self.0.check_known(&self.0.caller(&request)?)?;
        let pb::LeaseGrantRequest { id, ttl } = request.into_inner();
        let (id, ttl, revision) = self.0.grant(id, ttl).await.map_err(failed)?;
        let header = self.0.header(revision);
        Ok(Response::new(pb::LeaseGrantResponse { header, id, ttl, error: String::new() }))
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let id = request.into_inner().id;
        self.0.check_known(&caller)?;
        self.0.check_lease(&caller, id, Level::Write)?;
        let done = self.0.store.write(move |transition| transition.revoke(id)).await;
        let header = self.0.header(done.map_err(failed)?.revision);
        Ok(Response::new(pb::LeaseRevokeResponse { header }))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let caller = self.0.caller(&request)?;
        self.0.check_known(&caller)?;
        let app = self.0.clone();
        let drained = self.0.drain.clone().cancelled_owned();
        // One at a time: the next request is read when this one is answered.
        let answers = request.into_inner().then(move |request| {
            let (app, caller) = (app.clone(), caller.clone());
            async move {
                // The stream may be older than the rules.
                app.check_known(&app.again(&caller)?)?;
                app.keep_alive(request?.id).await
            }
        });
        Ok(Response::new(answers.take_until(drained).boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let pb::LeaseTimeToLiveRequest { id, keys } = request.into_inner();
        self.0.check_known(&caller)?;
        if keys {
            self.0.check_lease(&caller, id, Level::Read)?;
        }
        let left = self.0.store.write(move |transition| transition.remaining(id, keys)).await;
        let (revision, ttl, granted_ttl, keys) = match left {
            Ok(left) => (left.revision, left.value.seconds, left.value.granted, left.value.keys),
            Err(StoreError::Rejected(Rejection::LeaseNotFound)) => {
                (self.0.store.revision(), -1, 0, Vec::new())
            }
            Err(error) => return Err(failed(error)),
        };
        let header = self.0.header(revision);
        Ok(Response::new(pb::LeaseTimeToLiveResponse { header, id, ttl, granted_ttl, keys }))
    }

    async fn lease_leases(
        &self,
        request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        self.0.check_known(&self.0.caller(&request)?)?;
        let listed = self.0.store.write(|transition| Ok(transition.leases())).await;
        let listed = listed.map_err(failed)?;
        let header = self.0.header(listed.revision);
        let leases = listed.value.into_iter().map(|id| pb::LeaseStatus { id }).collect();
        Ok(Response::new(pb::LeaseLeasesResponse { header, leases }))
    }
}
