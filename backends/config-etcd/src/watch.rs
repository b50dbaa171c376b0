//! One watch on a stream of its own.

use futures::StreamExt;
use regatta_config::center::{Batch, CenterError, Follow, Which};
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::watch_client::WatchClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::link::{Link, MAX_MESSAGE_BYTES};
use crate::status::{self, is_stale_token, is_unavailable};
use crate::wire;

/// A watch that is open.
struct Open {
    /// Its first answer, which says that it is there, and may say that it cannot go on.
    first: Option<pb::WatchResponse>,
    answers: Streaming<pb::WatchResponse>,
    /// Dropped, it would end the stream.
    _requests: mpsc::Sender<pb::WatchRequest>,
    address: String,
    from: u64,
}

/// Opens a watch and waits until the server has taken it on.
pub(crate) async fn follow(link: &Link, which: &Which, from: u64) -> Result<Follow, CenterError> {
    let mut has_logged_in = false;
    loop {
        let (index, channel) = link.channel();
        let status = match open(link, channel, which, from).await {
            Ok(open) => return Ok(futures::stream::unfold(Some(open), next).boxed()),
            Err(status) => status,
        };
        if is_stale_token(&status) && !has_logged_in && link.has_user() {
            has_logged_in = true;
            link.forget_token();
            continue;
        }
        if is_unavailable(&status) {
            link.go_on(index);
        }
        return Err(status::error(status, link.address(), from));
    }
}

async fn open(
    link: &Link,
    channel: tonic::transport::Channel,
    which: &Which,
    from: u64,
) -> Result<Open, tonic::Status> {
    let (key, range_end) = wire::range(which);
    let create = pb::WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision: wire::number(from),
        ..pb::WatchCreateRequest::default()
    };
    let create = pb::watch_request::RequestUnion::CreateRequest(create);
    let (requests, stream) = mpsc::channel(1);
    // There is room for one, and this is the first.
    let _sent = requests.try_send(pb::WatchRequest { request_union: Some(create) });
    let request = link.request(&channel, ReceiverStream::new(stream)).await?;
    let mut client = WatchClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    // etcd begins to answer with its first message, so one limit bounds both.
    let opening = async {
        let mut answers = client.watch(request).await?.into_inner();
        let first = answers.message().await?;
        Ok((answers, first))
    };
    let (answers, first) = link.in_time(opening).await?;
    let first = first.ok_or_else(|| tonic::Status::unavailable("the stream ended"))?;
    let address = link.address().to_owned();
    if first.canceled && first.compact_revision == 0 {
        return Err(cancelled(&first));
    }
    let first = Some(first);
    Ok(Open { first, answers, _requests: requests, address, from })
}

/// The next changes; an answer without any is the server's sign of life.
async fn next(open: Option<Open>) -> Option<(Result<Batch, CenterError>, Option<Open>)> {
    let mut open = open?;
    loop {
        let answer = match open.first.take() {
            Some(first) => Ok(Some(first)),
            None => open.answers.message().await,
        };
        let answer = match answer {
            Ok(answer) => answer?,
            Err(status) => {
                return Some((Err(status::error(status, &open.address, open.from)), None));
            }
        };
        if answer.compact_revision > 0 {
            let oldest = Some(wire::revision(answer.compact_revision) + 1);
            return Some((Err(CenterError::Compacted { asked: open.from, oldest }), None));
        }
        if answer.canceled {
            let error = status::error(cancelled(&answer), &open.address, open.from);
            return Some((Err(error), None));
        }
        let changes: Vec<_> = answer.events.iter().filter_map(wire::change).collect();
        if !changes.is_empty() {
            let batch = Batch::new(changes);
            open.from = batch.revision + 1;
            return Some((Ok(batch), Some(open)));
        }
    }
}

fn cancelled(answer: &pb::WatchResponse) -> tonic::Status {
    let reason = answer.cancel_reason.as_str();
    if reason.contains("permission denied") {
        return tonic::Status::permission_denied(reason);
    }
    if reason.contains("auth token") {
        return tonic::Status::unauthenticated(reason);
    }
    tonic::Status::unavailable(if reason.is_empty() { "the watch was cancelled" } else { reason })
}
