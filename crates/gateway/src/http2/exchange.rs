//! A request's attempts at the instances of its service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use http::{Request, Response, Version, header};
use hyper::body::Incoming;
use regatta_resilience::breaker::{Outcome, Permit};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::{Upload, UploadError};
use super::pool::{self, Sender};
use super::request;
use crate::http1::Refusal;
use crate::policy::{Denial, Rules};
use crate::record::Record;
use crate::shared::Shared;
use crate::upstream::{Tried, Upstream, retry};
use crate::worker::random;

/// What attempts need to know beside the request itself.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) is_idempotent: bool,
    pub(super) is_empty: bool,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) host: String,
    pub(super) ended: Arc<Notify>,
    pub(super) timeout: Duration,
    /// Known from the start when it is the caller's own, or when there is no body to wait for.
    pub(super) deadline: Option<Instant>,
    pub(super) is_callers_timeout: bool,
    pub(super) attempt_before: u8,
    pub(super) is_grpc: bool,
}

/// How an attempt ended without an answer; with the request if it was not sent.
enum Lost {
    Unsent(Box<Request<Upload>>),
    Broken,
    /// The client's body did not get through, which says nothing about the upstream.
    Refused(Box<Denial>),
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
    upstream: &Arc<Upstream>,
    rules: &Rules,
    shared: &Shared,
    record: &mut Record,
) -> Result<Response<Incoming>, Denial> {
    let cluster = upstream.cluster();
    let name = upstream.name.as_str();
    let retries = if outgoing.attempt_before > 1 { 0 } else { rules.resilience.retries };
    let mut tried = Tried::default();
    // Stale connections are tried again without counting, as often as there can be any.
    let mut stale = 0;
    loop {
        let now = Instant::now();
        let no_instance = || Denial::no_instance(name);
        let number = cluster.pick(random::next(), tried, now.into_std()).ok_or_else(no_instance)?;
        let member = cluster.member(number);
        let Ok(permit) = member.breaker.admit(now.into_std()) else {
            shared.metrics.breaker_rejected();
            tried.insert(number);
            continue;
        };
        record.attempts = record.attempts.saturating_add(1);
        request::set_attempt(
            upload.headers_mut(),
            outgoing.attempt_before.saturating_add(record.attempts - 1).min(9),
        );
        if let Some(trace) = record.call(member.address)
            && let Ok(trace) = HeaderValue::from_bytes(&trace)
        {
            upload.headers_mut().insert("traceparent", trace);
        }
        let spare = spare(&upload, outgoing);
        let may_go_on = |tried: Tried, attempts: u8| {
            let now = Instant::now().into_std();
            attempts <= retries
                && cluster.pick(0, tried, now).is_some()
                && upstream.budget.withdraw(now)
        };
        let reused =
            pool::take(member.address, outgoing.is_grpc, now, rules.timeouts.upstream_idle);
        let is_reused = reused.is_some();
        let mut was_refused = false;
        let sender = match reused {
            Some(sender) => Ok(sender),
            None => {
                let connect = pool::connect(member.address, outgoing.is_grpc);
                let connected = timeout(rules.timeouts.connect, connect).await;
                was_refused = matches!(connected, Ok(Err(_)));
                connected.ok().and_then(Result::ok).ok_or(())
            }
        };
        let ended = match sender {
            Ok(sender) => attempt(sender, upload, outgoing, member.address, rules).await,
            Err(()) => Err(Lost::Unsent(Box::new(upload))),
        };
        match &ended {
            Ok(response) => {
                record.answered(response.status().as_u16(), Some(response.headers()));
            }
            Err(Lost::Unsent(_)) => record.call_failed("connect_failed"),
            Err(Lost::Broken) => record.call_failed("connection_broken"),
            Err(Lost::TooLate) => record.call_failed("timeout"),
            Err(Lost::Refused(_)) => record.call_failed("request_body"),
        }
        let next = match ended {
            Ok(response) => {
                let failed = retry::is_unavailable(response.status().as_u16());
                count(permit, upstream, failed);
                tried.insert(number);
                match spare {
                    Some(spare) if failed && may_go_on(tried, record.attempts) => spare,
                    _ => return Ok(response),
                }
            }
            Err(Lost::Unsent(again)) if is_reused && stale < 4 => {
                stale += 1;
                record.attempts -= 1;
                drop(permit);
                *again
            }
            Err(Lost::Unsent(again)) => {
                // As over HTTP/1.1: a refusal is no reason to stay away for a minute.
                if was_refused {
                    drop(permit)
                } else {
                    count(permit, upstream, true)
                }
                tried.insert(number);
                if !may_go_on(tried, record.attempts) {
                    return Err(no_instance());
                }
                *again
            }
            Err(Lost::Broken) => {
                count(permit, upstream, true);
                tried.insert(number);
                match spare {
                    Some(spare) if may_go_on(tried, record.attempts) => spare,
                    _ => {
                        return Err(Denial::bad_upstream(
                            name,
                            "the connection broke before the answer",
                        ));
                    }
                }
            }
            Err(Lost::Refused(denial)) => return Err(*denial),
            Err(Lost::TooLate) => {
                if !outgoing.is_callers_timeout {
                    count(permit, upstream, true);
                }
                return Err(Denial::timed_out(name, outgoing.timeout));
            }
        };
        upload = next;
        if record.attempts > 0 {
            shared.metrics.retried();
        }
    }
}

fn count(permit: Permit, upstream: &Upstream, failed: bool) {
    let now = Instant::now().into_std();
    permit.record(now, if failed { Outcome::Failure } else { Outcome::Success });
    if !failed {
        upstream.budget.deposit(now);
    }
}

/// A copy to send again, of a request that may be and has no body.
fn spare(upload: &Request<Upload>, outgoing: &Outgoing) -> Option<Request<Upload>> {
    if !outgoing.is_idempotent || !outgoing.is_empty {
        return None;
    }
    let empty = Upload::empty(Arc::clone(&outgoing.ended));
    let mut spare = Request::new(empty);
    *spare.method_mut() = upload.method().clone();
    *spare.headers_mut() = upload.headers().clone();
    Some(spare)
}

async fn attempt(
    sender: Sender,
    mut upload: Request<Upload>,
    outgoing: &Outgoing,
    address: SocketAddr,
    rules: &Rules,
) -> Result<Response<Incoming>, Lost> {
    let query = outgoing.query.as_deref();
    let many = matches!(sender, Sender::Many(_));
    let host = Some(outgoing.host.as_str()).filter(|host| !host.is_empty());
    let uri = request::target(&outgoing.path, query, host.filter(|_| many)).ok_or(Lost::Broken)?;
    *upload.uri_mut() = uri;
    *upload.version_mut() = if many { Version::HTTP_2 } else { Version::HTTP_11 };
    if let (false, Some(host)) = (many, host)
        && let Ok(host) = HeaderValue::from_str(host)
    {
        upload.headers_mut().insert(header::HOST, host);
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
        return timeout_at(deadline, send).await.unwrap_or(Err(Lost::TooLate));
    }
    // The service gets its whole time once it has the whole body.
    let too_late = async {
        outgoing.ended.notified().await;
        tokio::time::sleep(outgoing.timeout).await;
    };
    tokio::select! {
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
