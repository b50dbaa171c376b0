//! etcd's service Cluster: one member.

use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::app::App;

/// Who serves.
#[derive(Clone, Debug)]
pub(crate) struct ClusterService(pub(crate) App);

impl ClusterService {
    /// What etcd says of a member that it does not know; none of the one there is.
    fn unknown(&self, id: u64) -> Option<Status> {
        let is_own = id == self.0.identity.member;
        (!is_own).then(|| Status::not_found("etcdserver: member not found"))
    }
}

/// There is nobody to form a cluster with.
fn alone(what: &str) -> Status {
    Status::unimplemented(format!(
        "etcdserver: {what} is not supported; this server is its only member"
    ))
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        _request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        let member = &self.0.member;
        let member = pb::Member {
            id: self.0.identity.member,
            name: member.name.clone(),
            // There are no peers; clients that print the list expect an address all the same.
            peer_ur_ls: vec![member.client_url.clone()],
            client_ur_ls: vec![member.client_url.clone()],
            is_learner: false,
        };
        // etcd's list has no revision.
        let header = self.0.header(0);
        Ok(Response::new(pb::MemberListResponse { header, members: vec![member] }))
    }

    async fn member_add(
        &self,
        _request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        Err(alone("adding a member"))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        // As etcd refuses to take the last one out.
        let last = "etcdserver: re-configuration failed due to not enough started members";
        let unknown = self.unknown(request.into_inner().id);
        Err(unknown.unwrap_or_else(|| Status::failed_precondition(last)))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let unknown = self.unknown(request.into_inner().id);
        Err(unknown.unwrap_or_else(|| alone("changing the address of peers")))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        let no_learner = "etcdserver: can only promote a learner member";
        let unknown = self.unknown(request.into_inner().id);
        Err(unknown.unwrap_or_else(|| Status::failed_precondition(no_learner)))
    }
}
