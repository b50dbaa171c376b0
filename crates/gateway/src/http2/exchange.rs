//! A request's attempts at the instances of its service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use regatta_resilience::retry::Decision;
use regatta_traffic::answer::{Answering, unless_impatient};
use regatta_traffic::cluster::{Hints, PickError, Picked};
use regatta_traffic::fault::Fault;
use regatta_traffic::retry_info;
use regatta_traffic::verdict::{self, Failure, Head, Silence, Verdict};
use tokio::time::{Instant, sleep};

use super::attempt::{Lost, attempt, connect, is_closed};
use super::body::Upload;
use super::hedge::{self, Asking};
use super::pool;
use super::progress::Progress;
use super::replay::{Again, Kept};
use super::request;
use crate::policy::{Denial, Rules};
use crate::record::Record;
use crate::shared::{Shared, wall_clock};
use crate::upstream::{Failed, Target, Tries, hints, is_overloaded};
use crate::worker::activity::Activity;

/// Kept connections that may prove stale one after the other, without counting as attempts.
const MOST_STALE: u32 = 4;

/// What attempts need to know beside the request itself.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) is_idempotent: bool,
    /// Whether it only reads, so that it may be sent twice at the same time.
    pub(super) is_read: bool,
    pub(super) is_empty: bool,
    /// What was sent of the body; none when there is none, or it is sent once.
    pub(super) kept: Option<Kept>,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) host: String,
    /// What sends requests to the same instance.
    pub(super) key: Option<u64>,
    /// Only instances of this version will do; none for any.
    pub(super) version: Option<Arc<str>>,
    pub(super) progress: Arc<Progress>,
    pub(super) started: Instant,
    pub(super) timeout: Duration,
    /// Known from the start when it is the caller's own, or when there is no body to wait for.
    pub(super) deadline: Option<Instant>,
    pub(super) is_callers_timeout: bool,
    /// When a gRPC call is to end, if its caller says so.
    pub(super) whole: Option<Duration>,
    pub(super) attempt_before: u8,
    pub(super) is_grpc: bool,
    /// When the upload last moved, and how long it may stand still.
    pub(super) moved: Arc<Activity>,
    pub(super) idle: Duration,
}

impl Outgoing {
    /// What it says about the instance it wants.
    pub(super) fn hints(&self) -> Hints<'_> {
        hints(self.key, self.version.as_deref())
    }

    /// The time that the caller has set for the call itself, if it has.
    pub(super) fn own(&self) -> Option<Duration> {
        let head = self.is_callers_timeout.then_some(self.timeout);
        self.whole.into_iter().chain(head).min()
    }

    fn end(&self) -> Instant {
        self.started + self.timeout
    }

    /// Whether it may be sent to two instances at the same time.
    fn may_hedge(&self) -> bool {
        self.is_read && self.is_empty && self.attempt_before <= 1
    }

    /// How long the instance has; its whole time once it has the whole body, the first time.
    fn left(&self, sent: u8, now: Instant) -> Duration {
        let end = self.deadline.or_else(|| (sent > 0).then(|| self.end()));
        end.map_or(self.timeout, |end| end.saturating_duration_since(now))
    }
}

/// Sends the request until an instance answers or nothing more may be tried. With the answer comes
/// the instance, unless it failed: the call is in flight as long as that is held.
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
) -> Result<(Response<Incoming>, Option<Answering<SocketAddr>>), Denial> {
    let mut tries = Tries::new();
    let mut stale = 0;
    // Attempts of which an instance may have seen something.
    let mut sent = 0_u8;
    // An answer that says "not now": it stands when nobody else has one.
    let mut kept = None;
    loop {
        let mut began = Instant::now();
        let mut picked = match tries.pick(target, &outgoing.hints(), began.into_std()) {
            Ok(picked) => picked,
            Err(error) => {
                shared.metrics.unpicked(&error);
                record.note("regatta.unpicked", error.name());
                return kept
                    .map(|response| (response, None))
                    .ok_or_else(|| Denial::no_instance(target.name(), &error));
            }
        };
        let address = *picked.data();
        record.attempts = record.attempts.saturating_add(1);
        trace(upload.headers_mut(), &picked, record);
        let spare = spare(&upload, outgoing);
        let reused = pool::take(address, outgoing.is_grpc, began, rules.timeouts.upstream_idle);
        let is_reused = reused.is_some();
        let connected = match reused {
            Some(sender) => Ok(sender),
            // Boxed, since it is seldom and large.
            None => Box::pin(connect(address, outgoing, began + rules.timeouts.connect)).await,
        };
        let may_follow = tries.may_follow(target) && outgoing.is_idempotent && outgoing.is_empty;
        let try_end = target.try_timeout.filter(|_| may_follow).map(|time| began + time);
        let (ended, fault) = match connected {
            Err(how) => (Err(Lost::Unsent(Box::new(upload))), Some(Fault::Silent(how))),
            Ok(sender) if is_reused && !outgoing.is_idempotent && is_closed(&sender).await => {
                (Err(Lost::Unsent(Box::new(upload))), Some(Fault::Silent(Silence::Stale)))
            }
            Ok(sender) => {
                mark(upload.headers_mut(), outgoing, sent);
                let first = attempt(sender, upload, outgoing, address, try_end, rules);
                let hedge = target.hedge.as_ref().filter(|_| outgoing.may_hedge());
                let ended = match (hedge, &spare) {
                    (Some(hedge), Some(spare)) => {
                        let (tries, sent, record) = (&mut tries, &mut sent, &mut *record);
                        let asking = Asking {
                            outgoing,
                            target,
                            rules,
                            shared,
                            try_end,
                            spare,
                            tries,
                            record,
                            sent,
                        };
                        let raced = hedge::answer(first, &picked, began, hedge, asking);
                        let (ended, second) = Box::pin(raced).await;
                        if let Some(second) = second {
                            let now = Instant::now();
                            let (now, waited) = (now.into_std(), now.duration_since(began));
                            let first = std::mem::replace(&mut picked, second.picked);
                            match second.first {
                                Some(fault) => {
                                    record.effect(first.conclude(now, fault, waited));
                                }
                                None => first.give_up(now, waited),
                            }
                            began = second.began;
                        }
                        ended
                    }
                    _ => first.await,
                };
                let fault = fault(&ended, outgoing, is_reused);
                (ended, fault)
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
        let (at, took) = (now.into_std(), now.duration_since(began));
        let awaits_status = outgoing.is_grpc && ended.as_ref().is_ok_and(awaits_status);
        let mut answering = Answering::new(picked, took, awaits_status);
        let answering = if awaits_status {
            Some(answering)
        } else if answering.is_good(fault) {
            record.effect(answering.begin(at));
            Some(answering)
        } else {
            record.effect(answering.finish(at, fault));
            None
        };
        let (failure, next, answer) = match ended {
            Ok(response) => {
                let Verdict { failure, is_turned_away, .. } = judge(&response, outgoing.is_grpc);
                if failure.is_none() {
                    target.budget.deposit(now.into_std());
                }
                // gRPC's word for "ask somebody else", said before any message.
                repeatable |= is_turned_away;
                match failure {
                    None | Some(Failure::Final) => return Ok((response, answering)),
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
                (Failure::Unsent, spare, Err(Denial::untaken(target.name(), why)))
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
        let hints = outgoing.hints();
        match (tries.decide(target, &hints, &member, failed, now.into_std()), next) {
            (Decision::Retry { after }, Some(next)) => {
                shared.metrics.retried();
                kept = answer.ok();
                if !after.is_zero() {
                    sleep(after).await;
                }
                upload = next;
            }
            (Decision::Stop(why), _) => {
                shared.metrics.stopped(why);
                record.note("regatta.retry.stopped", why.name());
                return answer.map(|response| (response, None));
            }
            // The policy repeats nothing that cannot be replayed.
            (Decision::Retry { .. }, None) => return answer.map(|response| (response, None)),
        }
    }
}

/// Says which attempt it is and how much time is left, just before it is sent.
pub(super) fn mark(headers: &mut http::HeaderMap, outgoing: &Outgoing, sent: u8) {
    request::set_attempt(headers, outgoing.attempt_before.saturating_add(sent).min(9));
    let now = Instant::now();
    let whole = outgoing.whole.map(|it| (outgoing.started + it).saturating_duration_since(now));
    request::set_timeout(headers, outgoing.left(sent, now), whole);
}

/// Says under which span, for a second try beside the first.
pub(super) fn trace_second(
    headers: &mut http::HeaderMap,
    picked: &Picked<SocketAddr>,
    record: &mut Record,
) {
    if let Some(trace) = record.hedge(picked)
        && let Ok(trace) = HeaderValue::from_bytes(&trace)
    {
        headers.insert("traceparent", request::once(trace));
    }
}

/// Says under which span.
fn trace(headers: &mut http::HeaderMap, picked: &Picked<SocketAddr>, record: &mut Record) {
    if let Some(trace) = record.call(picked)
        && let Ok(trace) = HeaderValue::from_bytes(&trace)
    {
        headers.insert("traceparent", request::once(trace));
    }
}

/// What went wrong, if anything did.
pub(super) fn fault(
    ended: &Result<Response<Incoming>, Lost>,
    outgoing: &Outgoing,
    is_reused: bool,
) -> Option<Fault> {
    let how = match ended {
        Ok(response) => {
            let fault = judge(response, outgoing.is_grpc).fault;
            let waited = Instant::now().duration_since(outgoing.started);
            return unless_impatient(fault, outgoing.own(), waited);
        }
        Err(Lost::Unsent(_) | Lost::Untaken) if is_reused => Silence::Stale,
        Err(Lost::Unsent(_) | Lost::Untaken) => Silence::Untaken,
        Err(Lost::Refused(_)) => Silence::Withdrawn,
        Err(Lost::TooLate) if outgoing.is_callers_timeout && outgoing.end() <= Instant::now() => {
            Silence::Impatient
        }
        Err(Lost::TooLate) => Silence::Late,
        Err(Lost::Broken) => Silence::Broken,
    };
    Some(Fault::Silent(how))
}

/// Whether a gRPC answer has begun without saying how the call went: its frames will.
fn awaits_status(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::OK
        && !response.headers().contains_key("grpc-status")
        && !response.body().is_end_stream()
}

/// What the head of an answer says.
pub(super) fn judge(response: &Response<Incoming>, is_grpc: bool) -> Verdict {
    let value = |name| response.headers().get(name).map(HeaderValue::as_bytes);
    let mut head = Head { status: response.status().as_u16(), ..Head::default() };
    if is_overloaded(head.status) {
        head.retry_after = value("retry-after");
    }
    if !is_grpc {
        return verdict::http(&head, wall_clock);
    }
    head.grpc_status = value("grpc-status");
    head.grpc_pushback = value(retry_info::PUSHBACK);
    head.grpc_details = value(retry_info::DETAILS);
    verdict::grpc(&head, wall_clock)
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
pub(super) fn again(head: Request<()>, outgoing: &Outgoing) -> Option<Request<Upload>> {
    let body = match &outgoing.kept {
        Some(kept) => kept.again()?,
        None => Again::default(),
    };
    Some(head.map(|()| Upload::again(body, Arc::clone(&outgoing.progress))))
}
