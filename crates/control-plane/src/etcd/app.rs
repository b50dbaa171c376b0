//! What the services of etcd's interface share.

use std::sync::Arc;
use std::time::Duration;

use regatta_proto::etcdserverpb::ResponseHeader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::copies::Copies;
use crate::kv::{Defragmenter, Identity, Store};
use crate::metrics::Metrics;

/// The version of etcd whose interface this is; clients that choose by version read it.
pub(crate) const VERSION: &str = "3.4.23";

/// What the services share; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) defragmenter: Defragmenter,
    pub(crate) identity: Identity,
    pub(crate) member: Arc<Member>,
    pub(crate) bounds: Bounds,
    pub(crate) access: Access,
    pub(crate) metrics: Metrics,
    pub(crate) copies: Copies,
    /// Streams and what is cleaned up behind callers that left.
    pub(crate) tasks: TaskTracker,
    pub(crate) drain: CancellationToken,
}

/// This server, as the list of members shows it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) client_url: String,
}

/// What a client may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) request_bytes: usize,
    pub(crate) watchers: usize,
    pub(crate) progress_interval: Duration,
    /// How long the one message of a call may take to come.
    pub(crate) body_read_timeout: Duration,
}

impl App {
    /// The header of an answer that was made at a revision.
    pub(crate) fn header(&self, revision: i64) -> Option<ResponseHeader> {
        let Identity { cluster, member, term } = self.identity;
        Some(ResponseHeader { cluster_id: cluster, member_id: member, revision, raft_term: term })
    }
}
