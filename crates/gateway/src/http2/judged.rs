//! The call whose answer a body is: judged by what comes of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use hyper::body::Frame;
use regatta_traffic::answer::{Answering, ended, unless_impatient};
use regatta_traffic::cluster::Effect;
use regatta_traffic::fault::Fault;
use regatta_traffic::verdict::Silence;
use tokio::time::Instant;

use super::progress::Progress;

/// The call whose answer a body is. In flight to its instance as long as this is held.
#[derive(Debug)]
pub(super) struct Judged {
    /// None when it has been judged to its end.
    pub(super) answering: Option<Answering<SocketAddr>>,
    /// Of the request's own body, which may outlast the answer's head.
    pub(super) upload: Arc<Progress>,
    pub(super) started: Instant,
    /// The time that the caller has set for the call itself, if it has.
    pub(super) own: Option<Duration>,
}

impl Judged {
    /// Takes what a frame says of a gRPC answer whose head said nothing: a message that all is well
    /// so far, trailers how it ended.
    pub(super) fn hear(&mut self, frame: Option<&Frame<Bytes>>, is_last: bool) -> Effect {
        let awaiting = self.answering.as_mut().filter(|answering| answering.awaits_status());
        let Some(answering) = awaiting else { return Effect::default() };
        let trailers = frame.map(Frame::trailers_ref);
        let mut effect = Effect::default();
        // The end of a stream may come as data without a byte.
        let is_message = frame.and_then(Frame::data_ref).is_some_and(|data| !data.is_empty());
        if is_message && answering.is_unjudged() {
            effect = answering.begin(Instant::now().into_std());
        }
        if trailers == Some(None) && !is_last {
            return effect;
        }
        let status = trailers.flatten().and_then(|trailers| trailers.get("grpc-status"));
        let fault = ended(status.map(HeaderValue::as_bytes), !answering.is_unjudged());
        let waited = Instant::now().duration_since(self.started);
        self.finish(unless_impatient(fault, self.own, waited))
    }

    /// The connection broke, or the stream was reset: by the service, unless the client's own
    /// upload failed.
    pub(super) fn broke(&mut self) -> Effect {
        let is_clients = self.upload.failure().is_some();
        let withdrawn = Fault::Silent(Silence::Withdrawn);
        self.finish(Some(if is_clients { withdrawn } else { Fault::CutOff }))
    }

    /// Nothing came for too long. What has begun well may be a stream that rests.
    pub(super) fn rested(&mut self) -> Effect {
        match &self.answering {
            Some(answering) if answering.is_unjudged() => {
                self.finish(Some(Fault::Silent(Silence::Late)))
            }
            _ => Effect::default(),
        }
    }

    fn finish(&mut self, fault: Option<Fault>) -> Effect {
        let now = Instant::now().into_std();
        self.answering.take().map_or(Effect::default(), |it| it.finish(now, fault))
    }
}
