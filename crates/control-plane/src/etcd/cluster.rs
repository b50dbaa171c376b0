//! etcd's service Cluster: one member.

use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::app::App;

/// Who serves.
#[derive(Clone, Debug)]
pub(crate) struct ClusterService(pub(crate) App);

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
}
