//! A call whose one message does not come whole is given up.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use tonic::Status;

use crate::accept::{Late, in_time};

/// The calls whose messages come for as long as the client likes.
const STREAMS: [&str; 2] = ["/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive"];

/// Around all calls: one that takes a single message has so long to send it, so that no client
/// holds a stream and its memory for ever with half of one.
pub(super) async fn given_up(
    State(longest): State<Duration>,
    request: Request,
    next: Next,
) -> Response {
    if STREAMS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let request = request.map(|body| Body::new(in_time(body, longest).map_err(late)));
    next.run(request).await
}

/// The status that the caller is told; what is no lateness stays what it is.
fn late(error: axum::Error) -> axum::BoxError {
    match error.into_inner().downcast::<Late>() {
        Ok(late) => Status::deadline_exceeded(late.to_string()).into(),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;
    use regatta_proto::etcdserverpb::FILE_DESCRIPTOR_SET;

    use super::*;

    #[test]
    fn the_calls_without_a_time_are_those_that_take_many_messages() {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let services = set
            .file
            .iter()
            .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
        let methods = services.flat_map(|(package, service)| {
            let streams = service.method.iter().filter(|method| method.client_streaming());
            streams.map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
        });
        let mut streams = methods.collect::<Vec<_>>();
        streams.sort_by_key(|path| STREAMS.iter().position(|known| known == path));
        assert_eq!(streams, STREAMS);
    }
}
