//! Where the gateway has which call.

/// What paths begin with: etcd's, and the one that it had before and still has in 3.4.
pub(super) const VERSIONS: [&str; 2] = ["/v3", "/v3beta"];

/// Each path behind the version, and the call that it is.
pub(super) const PATHS: [(&str, &str); 33] = [
    ("/kv/range", "/etcdserverpb.KV/Range"),
    ("/kv/put", "/etcdserverpb.KV/Put"),
    ("/kv/deleterange", "/etcdserverpb.KV/DeleteRange"),
    ("/kv/txn", "/etcdserverpb.KV/Txn"),
    ("/kv/compaction", "/etcdserverpb.KV/Compact"),
    ("/watch", "/etcdserverpb.Watch/Watch"),
    ("/lease/grant", "/etcdserverpb.Lease/LeaseGrant"),
    ("/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
    ("/kv/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
    ("/lease/keepalive", "/etcdserverpb.Lease/LeaseKeepAlive"),
    ("/lease/timetolive", "/etcdserverpb.Lease/LeaseTimeToLive"),
    ("/kv/lease/timetolive", "/etcdserverpb.Lease/LeaseTimeToLive"),
    ("/lease/leases", "/etcdserverpb.Lease/LeaseLeases"),
    ("/kv/lease/leases", "/etcdserverpb.Lease/LeaseLeases"),
    ("/cluster/member/add", "/etcdserverpb.Cluster/MemberAdd"),
    ("/cluster/member/remove", "/etcdserverpb.Cluster/MemberRemove"),
    ("/cluster/member/update", "/etcdserverpb.Cluster/MemberUpdate"),
    ("/cluster/member/list", "/etcdserverpb.Cluster/MemberList"),
    ("/cluster/member/promote", "/etcdserverpb.Cluster/MemberPromote"),
    ("/maintenance/alarm", "/etcdserverpb.Maintenance/Alarm"),
    ("/maintenance/status", "/etcdserverpb.Maintenance/Status"),
    ("/maintenance/defragment", "/etcdserverpb.Maintenance/Defragment"),
    ("/maintenance/hash", "/etcdserverpb.Maintenance/Hash"),
    ("/maintenance/snapshot", "/etcdserverpb.Maintenance/Snapshot"),
    ("/maintenance/transfer-leadership", "/etcdserverpb.Maintenance/MoveLeader"),
    ("/auth/authenticate", "/etcdserverpb.Auth/Authenticate"),
    ("/lock/lock", "/v3lockpb.Lock/Lock"),
    ("/lock/unlock", "/v3lockpb.Lock/Unlock"),
    ("/election/campaign", "/v3electionpb.Election/Campaign"),
    ("/election/proclaim", "/v3electionpb.Election/Proclaim"),
    ("/election/leader", "/v3electionpb.Election/Leader"),
    ("/election/observe", "/v3electionpb.Election/Observe"),
    ("/election/resign", "/v3electionpb.Election/Resign"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::json::schema::SCHEMA;

    #[test]
    fn every_path_is_a_call_that_there_is() {
        for (path, call) in PATHS {
            assert!(SCHEMA.method(call).is_some(), "{path} is {call}");
        }
    }
}
