//! etcd's service Maintenance.

use std::io;

use aws_lc_rs::digest;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::alarm_request::AlarmAction;
use regatta_proto::etcdserverpb::maintenance_server::Maintenance;
use tonic::{Request, Response, Status};

use super::app::{App, VERSION};
use super::snapshot;
use super::status::{failed, rejected};
use super::wire;
use crate::copies::{Busy, Outlet};
use crate::kv::{Alarm, State, StoreError};

/// What a snapshot's stream carries at a time, in bytes: etcd's.
const CHUNK: usize = 32 * 1024;

/// A part of a snapshot, or why there are no more.
type Sent = Result<pb::SnapshotResponse, Status>;

/// For operators.
#[derive(Clone, Debug)]
pub(crate) struct MaintenanceService(pub(crate) App);

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    type SnapshotStream = BoxStream<'static, Sent>;

    async fn alarm(
        &self,
        request: Request<pb::AlarmRequest>,
    ) -> Result<Response<pb::AlarmResponse>, Status> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        match request.action() {
            AlarmAction::Get => self.0.check_known(&caller)?,
            _ => self.0.check_management(&caller)?,
        }
        let asked = match request.alarm() {
            pb::AlarmType::None => None,
            pb::AlarmType::Nospace => Some(Alarm::NoSpace),
            pb::AlarmType::Corrupt => Some(Alarm::Corrupt),
        };
        let (action, member) = (request.action(), request.member_id);
        let changed = self.0.store.write(move |transition| {
            let of_kind = |alarm: &(Alarm, u64)| asked.is_none_or(|asked| asked == alarm.0);
            Ok(match (action, asked) {
                (AlarmAction::Get, _) => transition.alarms().into_iter().filter(of_kind).collect(),
                // What a change concerned is shown, also when that is its end.
                (AlarmAction::Activate, Some(alarm)) => {
                    transition.set_alarm(alarm, member, true);
                    vec![(alarm, member)]
                }
                (AlarmAction::Deactivate, Some(alarm)) => {
                    match transition.set_alarm(alarm, member, false) {
                        true => vec![(alarm, member)],
                        false => Vec::new(),
                    }
                }
                (_, None) => Vec::new(),
            })
        });
        let shown = changed.await.map_err(failed)?;
        let alarms = shown.value.into_iter().map(|(alarm, member_id)| pb::AlarmMember {
            member_id,
            alarm: wire::alarm(alarm).into(),
        });
        let (header, alarms) = (self.0.header(shown.revision), alarms.collect());
        Ok(Response::new(pb::AlarmResponse { header, alarms }))
    }

    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, Status> {
        let member = self.0.identity.member;
        let (revision, applied, in_use, alarms) = self.0.store.read(|state, revision| {
            (revision, state.applied(), state.bytes(), state.alarms().clone())
        });
        let mut errors: Vec<_> = alarms
            .into_iter()
            .map(|(alarm, of)| format!("memberID:{of} alarm:{} ", wire::alarm(alarm).as_str_name()))
            .collect();
        if !self.0.store.is_writable() {
            errors.push(super::health::NOT_WRITABLE.to_owned());
        }
        Ok(Response::new(pb::StatusResponse {
            header: self.0.header(revision),
            version: VERSION.to_owned(),
            db_size: self.0.store.disk_bytes().cast_signed(),
            leader: member,
            raft_index: applied,
            raft_term: self.0.identity.term,
            raft_applied_index: applied,
            errors,
            db_size_in_use: i64::try_from(in_use).unwrap_or(i64::MAX),
            is_learner: false,
        }))
    }

    async fn defragment(
        &self,
        request: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        self.0.check_management(&self.0.caller(&request)?)?;
        self.0.defragmenter.run().await.map_err(|error| failed(StoreError::Log(error)))?;
        let header = self.0.header(self.0.store.revision());
        Ok(Response::new(pb::DefragmentResponse { header }))
    }

    async fn hash(
        &self,
        request: Request<pb::HashRequest>,
    ) -> Result<Response<pb::HashResponse>, Status> {
        self.0.check_management(&self.0.caller(&request)?)?;
        let hashed = |state: &State, revision| (revision, sum(state, revision));
        let (revision, hash) = self.0.store.read(hashed);
        Ok(Response::new(pb::HashResponse { header: self.0.header(revision), hash }))
    }

    async fn hash_kv(
        &self,
        request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        self.0.check_management(&self.0.caller(&request)?)?;
        let asked = request.into_inner().revision;
        let hashed = self.0.store.read(|state, latest| {
            let revision = state.readable(asked, latest)?;
            Ok((latest, sum(state, revision), state.compacted()))
        });
        let (revision, hash, compact_revision) = hashed.map_err(rejected)?;
        let header = self.0.header(revision);
        Ok(Response::new(pb::HashKvResponse { header, hash, compact_revision }))
    }

    async fn snapshot(
        &self,
        request: Request<pb::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        self.0.check_management(&self.0.caller(&request)?)?;
        let busy = |busy: Busy| Status::resource_exhausted(busy.to_string());
        let turn = self.0.copies.turn().await.map_err(busy)?;
        let state = self.0.store.copy().await.map_err(failed)?;
        let (out, chunks) = Outlet::new();
        let app = self.0.clone();
        self.0.tasks.spawn(async move {
            let _turn = turn;
            let drain = app.drain.clone();
            let sent = drain.run_until_cancelled(send(&app, state, &out)).await;
            let stopping = || Err(io::Error::other("the control plane is stopping"));
            if let Err(error) = sent.unwrap_or_else(stopping) {
                out.cut(Err(Status::unavailable(format!("the snapshot is not whole; {error}"))));
            }
        });
        Ok(Response::new(chunks.boxed()))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        self.0.check_management(&self.0.caller(&request)?)?;
        // There is nobody else to lead.
        Err(Status::failed_precondition("etcdserver: bad leader transferee"))
    }
}

/// Sends the store as a file of etcd's, in parts, and then its checksum.
async fn send(app: &App, state: State, out: &Outlet<Sent>) -> io::Result<()> {
    let revision = state.revision();
    // The work of seconds when there is much, so not for the runtime's threads.
    let made = tokio::task::spawn_blocking(move || {
        let file = Bytes::from(snapshot::file(&state));
        (digest::digest(&digest::SHA256, &file), file)
    });
    let (sum, mut left) = made.await.map_err(io::Error::other)?;
    while !left.is_empty() {
        let blob = left.split_to(CHUNK.min(left.len()));
        let remaining_bytes = left.len() as u64;
        let header = app.header(revision);
        out.send(Ok(pb::SnapshotResponse { header, remaining_bytes, blob })).await?;
    }
    let blob = Bytes::copy_from_slice(sum.as_ref());
    let header = app.header(revision);
    out.send(Ok(pb::SnapshotResponse { header, remaining_bytes: 0, blob })).await
}

/// A checksum of every version up to a revision. Equal stores have equal ones; etcd's is another.
fn sum(state: &State, revision: i64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for (key, history) in state.histories() {
        for version in history.versions().iter().filter(|version| version.revision <= revision) {
            hasher.update(key);
            hasher.update(&version.revision.to_le_bytes());
            hasher.update(&version.version.to_le_bytes());
            hasher.update(&version.lease.to_le_bytes());
            hasher.update(&version.value);
        }
    }
    hasher.finalize()
}
