//! A request's attempts at the instances of its service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use http::{Request, Response, Version, header};
use hyper::body::Incoming;
use regatta_core::Code;
use regatta_resilience::retry::Decision;
use regatta_traffic::cluster::{Outcome, PickError, Picked};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::body::{Upload, UploadError};
use super::pool::{self, Sender};
use super::replay::{Again, Kept};
use super::request;
use crate::http1::Refusal;
use crate::policy::{Denial, Rules};
use crate::record::Record;
use crate::shared::{Shared, wall_clock};
use crate::upstream::retry::{self, Failure};
use crate::upstream::{Failed, Target, Tries};
use crate::worker::activity::Activity;

/// Kept connections that may prove stale one after the other, without counting as attempts.
const MOST_STALE: u32 = 4;

/// What an upload that does not move is given beyond the time in which its own side gives up.
const GRACE: Duration = Duration::from_secs(1);

/// What attempts need to know beside the request itself.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) is_idempotent: bool,
    pub(super) is_empty: bool,
    /// What was sent of the body; none when there is none, or it is sent once.
    pub(super) kept: Option<Kept>,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) host: String,
    /// What sends requests to the same instance.
    pub(super) key: Option<u64>,
    pub(super) ended: Arc<Notify>,
    pub(super) started: Instant,
    pub(super) timeout: Duration,
    /// Known from the start when it is the caller's own, or when there is no body to wait for.
    pub(super) deadline: Option<Instant>,
    pub(super) is_callers_timeout: bool,
    pub(super) attempt_before: u8,
    pub(super) is_grpc: bool,
    /// When the upload last moved, and how long it may stand still.
    pub(super) moved: Arc<Activity>,
    pub(super) idle: Duration,
}

impl Outgoing {
    fn end(&self) -> Instant {
        self.started + self.timeout
    }

    /// How long the instance has; its whole time once it has the whole body, the first time.
    fn left(&self, sent: u8, now: Instant) -> Duration {
        let end = self.deadline.or_else(|| (sent > 0).then(|| self.end()));
        end.map_or(self.timeout, |end| end.saturating_duration_since(now))
    }
}

/// How an attempt ended without an answer; with the request if it was not sent.
enum Lost {
    Unsent(Box<Request<Upload>>),
    /// The upstream says that it has not looked at it.
    Untaken,
    Broken,
    /// The client's body did not get through, which says nothing about the upstream.
    Refused(Box<Denial>),
    TooLate,
}

/// How connecting failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unconnected {
    Refused,
    TooLate,
}

/// Sends the request until an instance answers or nothing more may be tried.
///
/// # Errors
///
/// What the client is told.
///
/// # Cancel safety
///
/// Cancel safe: an attempt under way is reset towards the upstream.
pub(super) async fn exchange(
    mut upload: Request<Upload>,
    outgoing: &Outgoing,
    target: &Target,
    rules: &Rules,
    shared: &Shared,
    record: &mut Record,
) -> Result<Response<Incoming>, Denial> {
    let mut tries = Tries::new();
    let mut stale = 0;
    // Attempts of which an instance may have seen something.
    let mut sent = 0_u8;
    loop {
        let began = Instant::now();
        let picked = tries.pick(target, outgoing.key, began.into_std()).map_err(|error| {
            shared.metrics.unpicked(&error);
            record.note("regatta.unpicked", error.name());
            Denial::no_instance(target.name(), &error)
        })?;
        let address = *picked.data();
        record.attempts = record.attempts.saturating_add(1);
        trace(upload.headers_mut(), &picked, record);
        let spare = spare(&upload, outgoing);
        let reused = pool::take(address, outgoing.is_grpc, began, rules.timeouts.upstream_idle);
        let is_reused = reused.is_some();
        let connected = match reused {
            Some(sender) => Ok(sender),
            None => connect(address, outgoing, began + rules.timeouts.connect).await,
        };
        let may_follow = tries.may_follow(target) && outgoing.is_idempotent && outgoing.is_empty;
        let try_end = target.try_timeout.filter(|_| may_follow).map(|time| began + time);
        let (ended, outcome) = match connected {
            // As over HTTP/1.1: a refusal is no reason to stay away for a minute.
            Err(Unconnected::Refused) => (Err(Lost::Unsent(Box::new(upload))), Outcome::Abandoned),
            Err(Unconnected::TooLate) => (Err(Lost::Unsent(Box::new(upload))), Outcome::Failure),
            Ok(sender) if is_reused && !outgoing.is_idempotent && is_closed(&sender).await => {
                (Err(Lost::Unsent(Box::new(upload))), Outcome::Abandoned)
            }
            Ok(sender) => {
                mark(upload.headers_mut(), outgoing, sent);
                let ended = attempt(sender, upload, outgoing, address, try_end, rules).await;
                let outcome = outcome(&ended, outgoing, is_reused);
                (ended, outcome)
            }
        };
        note(&ended, record);
        if !matches!(ended, Err(Lost::Unsent(_) | Lost::Untaken)) {
            sent = sent.saturating_add(1);
        }
        let mut repeatable = outgoing.is_idempotent;
        let spare = spare.and_then(|head| again(head, outgoing));
        let member = Arc::clone(picked.member());
        let now = Instant::now();
        picked.finish(now.into_std(), outcome, now.duration_since(began));
        let (failure, next, answer) = match ended {
            Ok(response) => {
                if outcome == Outcome::Success {
                    target.budget.deposit(now.into_std());
                }
                // gRPC's word for "ask somebody else", said before any message.
                repeatable |= outgoing.is_grpc && says_unavailable(&response);
                match refusal(&response, outgoing.is_grpc) {
                    None => return Ok(response),
                    Some(failure) => (failure, spare, Ok(response)),
                }
            }
            // A kept connection that was closed as we wrote says nothing about the instance.
            Err(Lost::Unsent(again)) if is_reused && stale < MOST_STALE => {
                stale += 1;
                record.attempts -= 1;
                upload = *again;
                continue;
            }
            Err(Lost::Untaken) if is_reused && stale < MOST_STALE && spare.is_some() => {
                stale += 1;
                record.attempts -= 1;
                if let Some(again) = spare {
                    upload = again;
                    continue;
                }
                return Err(Denial::no_instance(target.name(), &PickError::AllTried));
            }
            Err(Lost::Unsent(_)) if outgoing.end() <= now => {
                return Err(Denial::timed_out(target.name(), outgoing.timeout));
            }
            Err(Lost::Unsent(again)) => {
                let denial = Denial::no_instance(target.name(), &PickError::AllTried);
                (Failure::Unsent, Some(*again), Err(denial))
            }
            Err(Lost::Untaken) => {
                let why = "the service refused the stream";
                (Failure::Unsent, spare, Err(Denial::bad_upstream(target.name(), why)))
            }
            Err(Lost::Broken) => {
                let why = "the connection broke before the answer";
                (Failure::Lost, spare, Err(Denial::bad_upstream(target.name(), why)))
            }
            Err(Lost::Refused(denial)) => return Err(*denial),
            Err(Lost::TooLate) => {
                let denial = Denial::timed_out(target.name(), outgoing.timeout);
                if outgoing.deadline.is_none_or(|deadline| deadline <= now) {
                    return Err(denial);
                }
                (Failure::Lost, spare, Err(denial))
            }
        };
        let failed = Failed {
            failure,
            repeatable,
            replayable: next.is_some(),
            serves_retry: outgoing.attempt_before > 1,
            left: outgoing.end().saturating_duration_since(now),
        };
        match (tries.decide(target, outgoing.key, &member, failed, now.into_std()), next) {
            (Decision::Retry { after }, Some(next)) => {
                shared.metrics.retried();
                if !after.is_zero() {
                    sleep(after).await;
                }
                upload = next;
            }
            (Decision::Stop(why), _) => {
                shared.metrics.stopped(why);
                record.note("regatta.retry.stopped", why.name());
                return answer;
            }
            // The policy repeats nothing that cannot be replayed.
            (Decision::Retry { .. }, None) => return answer,
        }
    }
}

/// Says which attempt it is and how much time is left, just before it is sent.
fn mark(headers: &mut http::HeaderMap, outgoing: &Outgoing, sent: u8) {
    request::set_attempt(headers, outgoing.attempt_before.saturating_add(sent).min(9));
    // A stream may outlast the time until its head, so gRPC gets only a deadline the caller set.
    if outgoing.is_callers_timeout || !outgoing.is_grpc {
        let left = outgoing.left(sent, Instant::now());
        request::set_timeout(headers, left, outgoing.is_grpc);
    }
}

/// Says under which span.
fn trace(headers: &mut http::HeaderMap, picked: &Picked<SocketAddr>, record: &mut Record) {
    if let Some(trace) = record.call(*picked.data(), picked.instance())
        && let Ok(trace) = HeaderValue::from_bytes(&trace)
    {
        headers.insert("traceparent", trace);
    }
}

async fn connect(
    address: SocketAddr,
    outgoing: &Outgoing,
    deadline: Instant,
) -> Result<Sender, Unconnected> {
    let deadline = deadline.min(outgoing.deadline.unwrap_or(deadline));
    match timeout_at(deadline, pool::connect(address, outgoing.is_grpc)).await {
        Ok(Ok(sender)) => Ok(sender),
        Ok(Err(_)) => Err(Unconnected::Refused),
        Err(_) => Err(Unconnected::TooLate),
    }
}

fn outcome(
    ended: &Result<Response<Incoming>, Lost>,
    outgoing: &Outgoing,
    is_reused: bool,
) -> Outcome {
    match ended {
        Ok(response) => match grpc_code(response).filter(|_| outgoing.is_grpc) {
            Some(code) => retry::grpc_outcome(code),
            None => retry::outcome(response.status().as_u16()),
        },
        Err(Lost::Unsent(_) | Lost::Untaken) if is_reused => Outcome::Abandoned,
        Err(Lost::Refused(_)) => Outcome::Abandoned,
        // A caller with no patience must not open the breaker for all others.
        Err(Lost::TooLate) if outgoing.is_callers_timeout && outgoing.end() <= Instant::now() => {
            Outcome::Abandoned
        }
        Err(_) => Outcome::Failure,
    }
}

fn note(ended: &Result<Response<Incoming>, Lost>, record: &mut Record) {
    match ended {
        Ok(response) => record.answered(response.status().as_u16(), Some(response.headers())),
        Err(Lost::Unsent(_)) => record.call_failed("connect_failed"),
        Err(Lost::Untaken) => record.call_failed("refused_stream"),
        Err(Lost::Broken) => record.call_failed("connection_broken"),
        Err(Lost::TooLate) => record.call_failed("timeout"),
        Err(Lost::Refused(_)) => record.call_failed("request_body"),
    }
}

/// What an answer says that cannot be the last word: the service cannot serve now.
fn refusal(response: &Response<Incoming>, is_grpc: bool) -> Option<Failure> {
    let headers = response.headers();
    if is_grpc && says_unavailable(response) {
        // gRPC's own word on when to come again; what is no number says not to (gRFC A6).
        let Some(asked) = headers.get("grpc-retry-pushback-ms") else {
            return Some(Failure::Refused { retry_after: None });
        };
        let millis = asked.to_str().ok().and_then(|text| text.parse().ok());
        let wait = |millis| Failure::Refused { retry_after: Some(Duration::from_millis(millis)) };
        return Some(millis.map_or(Failure::Final, wait));
    }
    retry::is_unavailable(response.status().as_u16()).then(|| {
        let asked = headers.get(header::RETRY_AFTER);
        let retry_after = asked.and_then(|it| retry::retry_after(it.as_bytes(), wall_clock()));
        Failure::Refused { retry_after }
    })
}

/// The status in the head of an answer: no message was sent before it (gRPC's trailers-only).
fn grpc_code(response: &Response<Incoming>) -> Option<Code> {
    let status = response.headers().get("grpc-status")?;
    Code::from_grpc(status.to_str().ok()?.parse().ok()?)
}

fn says_unavailable(response: &Response<Incoming>) -> bool {
    grpc_code(response) == Some(Code::Unavailable)
}

/// The head of a request that may come again.
fn spare(upload: &Request<Upload>, outgoing: &Outgoing) -> Option<Request<()>> {
    if outgoing.kept.is_none() && !(outgoing.is_idempotent && outgoing.is_empty) {
        return None;
    }
    let mut spare = Request::new(());
    *spare.method_mut() = upload.method().clone();
    *spare.headers_mut() = upload.headers().clone();
    Some(spare)
}

/// The request once more, if all of its body is kept.
fn again(head: Request<()>, outgoing: &Outgoing) -> Option<Request<Upload>> {
    let body = match &outgoing.kept {
        Some(kept) => kept.again()?,
        None => Again::default(),
    };
    Some(head.map(|()| Upload::again(body, Arc::clone(&outgoing.ended))))
}

/// Whether a kept connection has closed, asking the system: worth it for what may not be repeated.
async fn is_closed(sender: &Sender) -> bool {
    // The runtime takes in what has happened, and the connection's own task runs before this one.
    tokio::task::yield_now().await;
    match sender {
        Sender::One(sender) => sender.is_closed(),
        Sender::Many(sender) => sender.is_closed(),
    }
}

async fn attempt(
    sender: Sender,
    mut upload: Request<Upload>,
    outgoing: &Outgoing,
    address: SocketAddr,
    try_end: Option<Instant>,
    rules: &Rules,
) -> Result<Response<Incoming>, Lost> {
    let query = outgoing.query.as_deref();
    let many = matches!(sender, Sender::Many(_));
    let host = Some(outgoing.host.as_str()).filter(|host| !host.is_empty());
    let uri = request::target(&outgoing.path, query, host.filter(|_| many)).ok_or(Lost::Broken)?;
    *upload.uri_mut() = uri;
    *upload.version_mut() = if many { Version::HTTP_2 } else { Version::HTTP_11 };
    if !many {
        request::join_cookies(upload.headers_mut());
        if let Some(Ok(host)) = host.map(HeaderValue::from_str) {
            upload.headers_mut().insert(header::HOST, host);
        }
    }
    let send = async {
        match sender {
            Sender::One(mut sender) => {
                let response = sender.try_send_request(upload).await.map_err(lost)?;
                let most = rules.limits.idle_upstream;
                pool::put(address, Sender::One(sender), Instant::now(), most);
                Ok(response)
            }
            Sender::Many(mut sender) => {
                if sender.ready().await.is_err() {
                    return Err(Lost::Unsent(Box::new(upload)));
                }
                sender.try_send_request(upload).await.map_err(lost)
            }
        }
    };
    if let Some(deadline) = outgoing.deadline {
        let deadline = try_end.map_or(deadline, |try_end| try_end.min(deadline));
        return timeout_at(deadline, send).await.unwrap_or(Err(Lost::TooLate));
    }
    let too_late = async {
        tokio::select! {
            // The service gets its whole time once it has the whole body.
            () = outgoing.ended.notified() => sleep(outgoing.timeout).await,
            // It does not take the body, or the client does not send it.
            () = outgoing.moved.still_for(outgoing.idle + GRACE) => (),
        }
    };
    tokio::select! {
        biased;
        ended = send => ended,
        () = too_late => Err(Lost::TooLate),
    }
}

fn lost(mut error: hyper::client::conn::TrySendError<Request<Upload>>) -> Lost {
    if let Some(upload) = error.take_message() {
        return Lost::Unsent(Box::new(upload));
    }
    let error = error.into_error();
    let mut cause = std::error::Error::source(&error);
    while let Some(found) = cause {
        // RFC 9113, sections 6.8 and 8.7: streams above a GOAWAY's last, and refused ones.
        if found.downcast_ref().is_some_and(|error: &h2::Error| {
            error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.is_remote())
        }) {
            return Lost::Untaken;
        }
        if let Some(error) = found.downcast_ref::<UploadError>() {
            return Lost::Refused(Box::new(match error {
                UploadError::TooLong => Refusal::BodyTooLong.into(),
                // Whoever broke off does not read it.
                UploadError::TooSlow | UploadError::Client(_) => Denial::body_too_slow(),
            }));
        }
        cause = found.source();
    }
    Lost::Broken
}
