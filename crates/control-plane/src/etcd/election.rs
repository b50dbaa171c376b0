//! etcd's service Election.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use regatta_proto::v3electionpb as pb;
use regatta_proto::v3electionpb::election_server::Election;
use tokio::sync::{Notify, mpsc};
use tonic::{Request, Response, Status};

use super::app::App;
use super::status::failed;
use super::turn::prefix;
use super::wire;
use crate::access::Level;
use crate::kv::{Compare, Delete, Feed, KeyRange, Operation, Put, Relation, Target, Txn, Wanted};

/// Announcements that wait for a slow client.
const ANNOUNCEMENTS: usize = 16;

/// Leadership that ends with a lease.
#[derive(Clone, Debug)]
pub(crate) struct ElectionService(pub(crate) App);

impl ElectionService {
    /// Does something to a leader's key if it still leads; the revision after that.
    async fn as_leader(&self, leader: &pb::LeaderKey, then: Operation) -> Result<i64, Status> {
        let is_leading = Compare {
            range: KeyRange::only(leader.key.clone()),
            target: Target::Created(leader.rev),
            relation: Relation::Equal,
        };
        let txn = Txn { compares: vec![is_leading], success: vec![then], failure: Vec::new() };
        let done = self.0.store.write(move |transition| transition.txn(&txn)).await;
        let reply = done.map_err(failed)?.value;
        match reply.succeeded {
            true => Ok(reply.revision),
            false => Err(Status::unknown("election: not leader")),
        }
    }

    async fn announce(&self, leader: &pb::LeaderKey, value: Bytes) -> Result<i64, Status> {
        let key = leader.key.clone();
        let put = Put { key, value: Some(value), lease: Some(leader.lease), previous: false };
        self.as_leader(leader, Operation::Put(put)).await
    }
}

fn leader(leader: Option<pb::LeaderKey>) -> Result<pb::LeaderKey, Status> {
    // Unknown, as etcd's, although the caller could know.
    leader.ok_or_else(|| Status::unknown("\"leader\" field must be provided"))
}

#[tonic::async_trait]
impl Election for ElectionService {
    type ObserveStream = BoxStream<'static, Result<pb::LeaderResponse, Status>>;

    async fn campaign(
        &self,
        request: Request<pb::CampaignRequest>,
    ) -> Result<Response<pb::CampaignResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let pb::CampaignRequest { name, lease, value } = request.into_inner();
        self.0.check_prefix(&caller, &prefix(&name), Level::Write)?;
        self.0.check_lease(&caller, lease, Level::Write)?;
        let (mut turn, leaving) = self.0.queue(&name, lease, value.clone()).await?;
        let key = turn.key.clone();
        let leader = pb::LeaderKey { name, key, rev: turn.created, lease: turn.lease };
        if turn.existing.as_ref().is_some_and(|existing| *existing != value) {
            turn.revision = self.announce(&leader, value).await?;
        }
        self.0.wait_as(&caller, &mut turn).await?;
        leaving.stay();
        let header = self.0.header(turn.revision);
        Ok(Response::new(pb::CampaignResponse { header, leader: Some(leader) }))
    }

    async fn proclaim(
        &self,
        request: Request<pb::ProclaimRequest>,
    ) -> Result<Response<pb::ProclaimResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let leader = leader(request.leader)?;
        self.0.check_range(&caller, &KeyRange::only(leader.key.clone()), Level::Write)?;
        self.0.check_lease(&caller, leader.lease, Level::Write)?;
        let revision = self.announce(&leader, request.value).await?;
        Ok(Response::new(pb::ProclaimResponse { header: self.0.header(revision) }))
    }

    async fn leader(
        &self,
        request: Request<pb::LeaderRequest>,
    ) -> Result<Response<pb::LeaderResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let prefix = prefix(&request.into_inner().name);
        self.0.check_prefix(&caller, &prefix, Level::Read)?;
        let (revision, first) = self.0.first(&prefix)?;
        let first = first.ok_or_else(|| Status::unknown("election: no leader"))?;
        let header = self.0.header(revision);
        Ok(Response::new(pb::LeaderResponse { header, kv: Some(wire::key_value(first)) }))
    }

    async fn observe(
        &self,
        request: Request<pb::LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let caller = self.0.caller(&request)?;
        let prefix = prefix(&request.into_inner().name);
        self.0.check_prefix(&caller, &prefix, Level::Read)?;
        let (out, announcements) = mpsc::channel(ANNOUNCEMENTS);
        let (range, wake) = (KeyRange::prefix(prefix.clone()), Arc::<Notify>::default());
        let (feed, _) = self.0.follow(range.clone(), Wanted::default(), None, Arc::clone(&wake))?;
        let app = self.0.clone();
        self.0.tasks.spawn(async move {
            tokio::select! {
                () = observe(&app, prefix, feed, &wake, &out) => (),
                denied = app.until_denied(&caller, &range, Level::Read) => {
                    // Whoever cannot take it is gone anyway.
                    let _full = out.try_send(Err(denied));
                }
            }
        });
        Ok(Response::new(tokio_stream::wrappers::ReceiverStream::new(announcements).boxed()))
    }

    async fn resign(
        &self,
        request: Request<pb::ResignRequest>,
    ) -> Result<Response<pb::ResignResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let leader = leader(request.into_inner().leader)?;
        self.0.check_range(&caller, &KeyRange::only(leader.key.clone()), Level::Write)?;
        let range = KeyRange::only(leader.key.clone());
        let delete = Operation::Delete(Delete { range, previous: false });
        // Who does not lead any more has resigned already.
        let revision = match self.as_leader(&leader, delete).await {
            Ok(revision) => revision,
            Err(error) if error.code() == tonic::Code::Unknown => self.0.store.revision(),
            Err(error) => return Err(error),
        };
        Ok(Response::new(pb::ResignResponse { header: self.0.header(revision) }))
    }
}

/// Sends each leader and each of its announcements until the client is gone.
async fn observe(
    app: &App,
    prefix: Bytes,
    mut feed: Feed,
    wake: &Notify,
    out: &mpsc::Sender<Result<pb::LeaderResponse, Status>>,
) {
    let mut sent = None;
    loop {
        let first = match app.first(&prefix) {
            Ok(first) => first,
            Err(error) => {
                let _gone = out.send(Err(error)).await;
                return;
            }
        };
        if let (revision, Some(first)) = first
            && sent != Some(first.version.revision)
        {
            sent = Some(first.version.revision);
            let kv = Some(wire::key_value(first));
            let announcement = pb::LeaderResponse { header: app.header(revision), kv };
            if out.send(Ok(announcement)).await.is_err() {
                return;
            }
        }
        let more = tokio::select! {
            more = app.next_events(&mut feed, wake) => more,
            () = out.closed() => return,
        };
        if more.is_none() {
            let _gone = out.send(Err(Status::unavailable("etcdserver: watch canceled"))).await;
            return;
        }
    }
}
