//! The config center at the other end of the link.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regatta_config::center::{
    CenterError, Commit, Committed, ConfigCenter, Follow, LeaseId, Query, Snapshot, Which,
};
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::kv_client::KvClient;
use regatta_proto::etcdserverpb::lease_client::LeaseClient;

use crate::link::{Link, MAX_MESSAGE_BYTES};
use crate::{InvalidOptions, Options, watch, wire};

/// A config center in etcd's protocol; cheap to clone, and clones share their connections.
#[derive(Clone, Debug)]
pub struct EtcdCenter {
    link: Arc<Link>,
}

impl EtcdCenter {
    /// The center at a URL, or at several with a comma between them. Connects to nothing yet; needs
    /// the context of a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`] when the URL or an option cannot be used.
    pub fn try_new(url: &str, options: Options) -> Result<Self, InvalidOptions> {
        Ok(Self { link: Arc::new(Link::try_new(url, &options)?) })
    }
}

#[async_trait]
impl ConfigCenter for EtcdCenter {
    async fn list(&self, query: &Query) -> Result<Snapshot, CenterError> {
        let (key, range_end) = wire::range(&query.which);
        let limit = query.limit.map_or(0, |limit| wire::number(limit.max(1) as u64));
        let at = query.at.unwrap_or(0);
        let request = pb::RangeRequest {
            key: key.into(),
            range_end: range_end.into(),
            limit,
            revision: wire::number(at),
            ..pb::RangeRequest::default()
        };
        let call = |channel, request| async move {
            let client = KvClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
            let mut client = client;
            client.range(request).await
        };
        let answer: pb::RangeResponse = self.link.read(request, at, call).await?;
        let present = answer.header.as_ref().map_or(0, |header| wire::revision(header.revision));
        let items = answer.kvs.iter().map(wire::item).collect();
        Ok(Snapshot::new(query.at.unwrap_or(present), items, wire::revision(answer.count)))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CenterError> {
        commit.check()?;
        let call = |channel, request| async move { KvClient::new(channel).txn(request).await };
        let answer: pb::TxnResponse = self.link.write(wire::transaction(&commit), call).await?;
        if !answer.succeeded {
            return Err(CenterError::Conflict { key: wire::conflict(&commit, &answer) });
        }
        let revision = answer.header.as_ref().map_or(0, |header| wire::revision(header.revision));
        Ok(Committed { revision, deleted: wire::deleted(&answer) })
    }

    async fn follow(&self, which: &Which, from: u64) -> Result<Follow, CenterError> {
        watch::follow(&self.link, which, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, CenterError> {
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let request = pb::LeaseGrantRequest { ttl: wire::number(seconds.max(1)), id: 0 };
        let call =
            |channel, request| async move { LeaseClient::new(channel).lease_grant(request).await };
        let answer: pb::LeaseGrantResponse = self.link.write(request, call).await?;
        Ok(LeaseId(answer.id))
    }

    async fn renew(&self, lease: LeaseId) -> Result<(), CenterError> {
        let request = pb::LeaseKeepAliveRequest { id: lease.0 };
        let call = |channel, request: tonic::Request<pb::LeaseKeepAliveRequest>| async move {
            let (metadata, extensions, message) = request.into_parts();
            let once = futures::stream::once(std::future::ready(message));
            let request = tonic::Request::from_parts(metadata, extensions, once);
            let answers = LeaseClient::new(channel).lease_keep_alive(request).await?;
            let answer = answers.into_inner().message().await?;
            let answer = answer.ok_or_else(|| tonic::Status::unavailable("the stream ended"))?;
            Ok(tonic::Response::new(answer))
        };
        let answer: pb::LeaseKeepAliveResponse = self.link.read(request, 0, call).await?;
        if answer.ttl > 0 { Ok(()) } else { Err(CenterError::NoLease) }
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), CenterError> {
        let request = pb::LeaseRevokeRequest { id: lease.0 };
        let call =
            |channel, request| async move { LeaseClient::new(channel).lease_revoke(request).await };
        let _answer: pb::LeaseRevokeResponse = self.link.write(request, call).await?;
        Ok(())
    }
}
