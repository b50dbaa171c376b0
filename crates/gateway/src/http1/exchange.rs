//! One request's way to an instance and back, driven from the client's own task.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use regatta_resilience::concurrency::Ending;
use regatta_traffic::cluster::Picked;
use regatta_traffic::fault::Fault;
use regatta_traffic::verdict::{Failure, Silence, Verdict};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::admit::{Forward, deny};
use super::attempts::{Attempts, FAR, Reached};
use super::await_head::{Look, NoHead, head};
use super::connection::After;
use super::finish::{finish_own, refuse_body};
use super::hedge::{self, Asking, Try};
use super::io::{write_all, write_counting};
use super::relay::{self, Relayed};
use super::upload::{self, Upload, UploadError};
use super::{ResponseHead, tunnel, write};
use crate::policy::{Denial, Rules};
use crate::shared::Shared;
use crate::upstream::Slot;
use crate::worker::alarm::Alarm;
use crate::worker::buffer::Buffer;
use crate::worker::pool;

/// How long an answer is waited for when the upstream has stopped reading the request.
const AFTER_REFUSED_BODY: Duration = Duration::from_secs(1);

/// Forwards a request whose head is in `out` and whose body begins in `buffer`.
pub(super) async fn run(
    client: &mut TcpStream,
    buffer: &mut Buffer,
    out: &mut Vec<u8>,
    mut forward: Forward,
    shared: &Arc<Shared>,
    rules: &Rules,
    alarm: &mut Alarm,
) -> After {
    let head_length = out.len();
    let (most, may_repeat) = (rules.limits.body_bytes, forward.is_idempotent);
    let mut body = match Upload::begin(forward.body, buffer, out, most, may_repeat) {
        Ok(body) => body,
        Err(error) => {
            out.clear();
            return refuse_body(client, out, forward, error, shared, alarm).await;
        }
    };
    buffer.rest();
    let mut attempts = Attempts::new();
    // An answer that says "not now": it stands when nobody else has one.
    let mut kept: Option<Kept> = None;
    let slot = Slot::take(&forward.target, forward.priority, forward.end()).await;
    let shed = match slot {
        Ok(slot) => {
            forward.slot = slot;
            None
        }
        Err(why) => {
            shared.metrics.shed(&why);
            forward.record.note("regatta.shed", why.name());
            Some(Denial::overloaded(forward.target.name(), &why))
        }
    };
    let denial = loop {
        if let Some(denial) = shed {
            break denial;
        }
        let reached = match attempts.reach(&mut forward, rules, shared, alarm).await {
            Ok(reached) => reached,
            Err(denial) => {
                let Some(Kept { upstream, address, response, head, side }) = kept else {
                    break denial;
                };
                // Another one may have been tried in between.
                attempts.address = address;
                return answer(
                    client, upstream, buffer, response, &head, body, forward, shared, rules, alarm,
                    out, &attempts, side, None,
                )
                .await;
            }
        };
        let Reached { mut upstream, mut picked, mut began, mut is_reused, trace } = reached;
        let now = if is_reused { began } else { Instant::now() };
        attempts.prepare(&forward, out, head_length, now);
        body.rewind();
        if let Some(trace) = trace {
            write::patch_trace(&mut out[..head_length], forward.patch, &trace);
        }
        let mut sent = 0;
        let written = write_counting(&mut upstream, out, &mut sent);
        let written = alarm.for_at_most(rules.timeouts.body_idle, written).await;
        let written = matches!(written, Ok(Ok(())));
        attempts.sent = attempts.sent.saturating_add(u8::from(sent > 0));

        let mut response = Buffer::default();
        let mut broke_off = None;
        let mut side = Side::default();
        let head = if !written {
            Err(NoHead::Broken)
        } else if body.is_done() {
            let deadline = attempts.try_deadline(&forward, began);
            let hedge = forward.target.hedge.clone();
            match hedge.filter(|_| forward.may_hedge()) {
                None => head(&mut upstream, &mut response, forward.is_head, deadline, alarm).await,
                Some(hedge) => {
                    let first = Try { upstream, picked, began, is_reused, response };
                    let (attempts, forward) = (&mut attempts, &mut forward);
                    let asking = Asking { attempts, forward, out, head_length, rules, shared };
                    let raced = hedge::answer(first, &hedge, deadline, asking, alarm);
                    let (won, found) = Box::pin(raced).await;
                    Try { upstream, picked, began, is_reused, response } = won;
                    found
                }
            }
        } else {
            if std::mem::take(&mut forward.expects_continue)
                && write_all(client, b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err()
            {
                return After::Close;
            }
            let limit = forward.is_callers_timeout.then(|| forward.end());
            let (found, upload) = head_while_sending(
                client,
                &mut upstream,
                buffer,
                &mut response,
                &mut body,
                forward.is_head,
                limit,
                rules,
                alarm,
            )
            .await;
            side.result = upload;
            match side.result {
                Some(Err(error)) if error != UploadError::Upstream => {
                    broke_off = Some(error);
                    Err(NoHead::Broken)
                }
                Some(_) if found.is_none() => {
                    let now = Instant::now();
                    let wait = match side.result {
                        Some(Ok(())) if body.may_come_again() => {
                            attempts.try_deadline(&forward, now)
                        }
                        Some(Ok(())) => attempts.deadline(&forward),
                        _ => now + AFTER_REFUSED_BODY,
                    };
                    head(&mut upstream, &mut response, forward.is_head, wait, alarm).await
                }
                _ => found.unwrap_or(Err(NoHead::Broken)),
            }
        };
        if let Some(error) = broke_off {
            // The client's fault says nothing about the upstream: the pick is dropped.
            out.clear();
            return refuse_body(client, out, forward, error, shared, alarm).await;
        }

        let is_replayable = body.may_come_again();
        let member = Arc::clone(picked.member());
        match head {
            Ok(Look { head, verdict: Verdict { fault, failure, .. } }) => {
                forward.record.answered(head.status, None);
                let fault = forward.blame()(fault);
                let refused = failure.filter(|it| matches!(it, Failure::Refused { .. }));
                let is_overloaded = refused.is_some();
                forward.slot.learn(if is_overloaded { Ending::Overloaded } else { Ending::Done });
                let now = Instant::now();
                let (picked, effect) = Reached::begin(picked, began, fault, now);
                forward.record.effect(effect);
                if failure.is_none() {
                    forward.target.budget.deposit(now.into_std());
                }
                if let Some(failure) = refused
                    && attempts.go_on(&mut forward, &member, failure, is_replayable, shared).await
                {
                    let address = attempts.address;
                    // The rest of the body goes to the next one.
                    if !body.is_done() {
                        side.result = Some(Err(UploadError::Upstream));
                    }
                    kept = Some(Kept { upstream, address, response, head, side });
                    continue;
                }
                return answer(
                    client, upstream, buffer, response, &head, body, forward, shared, rules, alarm,
                    out, &attempts, side, picked,
                )
                .await;
            }
            Err(NoHead::Broken) => {
                forward.record.call_failed("connection_broken");
                let failure = if sent == 0 { Failure::Unsent } else { Failure::Lost };
                // An idle connection that was closed before it took a byte says nothing about the
                // instance: it is asked again on a new one. What took bytes may have worked on
                // them, so the rules of sending again hold.
                let is_stale = is_reused && failure == Failure::Unsent;
                let how = if is_stale { Silence::Stale } else { Silence::Broken };
                forward.record.effect(Reached::finish(picked, began, Fault::Silent(how)));
                if is_stale && is_replayable && attempts.starts_afresh() {
                    continue;
                }
                attempts.fresh_only |= is_reused;
                if attempts.go_on(&mut forward, &member, failure, is_replayable, shared).await {
                    continue;
                }
                break Denial::bad_upstream(
                    forward.target.name(),
                    "the connection broke before the answer",
                );
            }
            Err(NoHead::Garbage(what)) => {
                forward.record.call_failed("malformed_answer");
                forward.record.effect(Reached::finish(
                    picked,
                    began,
                    Fault::Silent(Silence::Broken),
                ));
                break Denial::bad_upstream(forward.target.name(), what);
            }
            Err(NoHead::TooLate) => {
                forward.record.call_failed("timeout");
                forward.slot.learn(Ending::Overloaded);
                let is_over = forward.end() <= Instant::now();
                let is_impatient = forward.is_callers_timeout && is_over;
                let how = if is_impatient { Silence::Impatient } else { Silence::Late };
                forward.record.effect(Reached::finish(picked, began, Fault::Silent(how)));
                if !is_over
                    && attempts
                        .go_on(&mut forward, &member, Failure::Lost, is_replayable, shared)
                        .await
                {
                    continue;
                }
                break Denial::timed_out(forward.target.name(), forward.timeout);
            }
        }
    };
    out.clear();
    forward.keep_alive &= body.is_taken();
    deny(&denial, forward.is_grpc, &forward.trace, forward.is_head, &forward.common(), out);
    let status = denial.status();
    finish_own(client, out, forward, status, shared, alarm, attempts.made).await
}

/// An answer that says "not now", with the connection it came over.
struct Kept {
    upstream: TcpStream,
    address: Option<SocketAddr>,
    response: Buffer,
    head: Box<ResponseHead>,
    side: Side,
}

/// How the upload beside the download ended, once it has.
#[derive(Debug, Default)]
struct Side {
    result: Option<Result<(), UploadError>>,
}

/// Sends the body while the head is waited for: a service may answer before it has read it all.
#[expect(clippy::too_many_arguments, reason = "the parts of an exchange, borrowed apart")]
async fn head_while_sending(
    client: &mut TcpStream,
    upstream: &mut TcpStream,
    buffer: &mut Buffer,
    response: &mut Buffer,
    body: &mut Upload,
    is_head: bool,
    limit: Option<Instant>,
    rules: &Rules,
    alarm: &mut Alarm,
) -> (Option<Result<Look, NoHead>>, Option<Result<(), UploadError>>) {
    let (mut from_client, _) = client.split();
    let (mut from_upstream, mut to_upstream) = upstream.split();
    let limit = limit.unwrap_or_else(|| Instant::now() + FAR);
    let head = head(&mut from_upstream, response, is_head, limit, alarm);
    let send = upload::run(&mut from_client, &mut to_upstream, buffer, body, rules);
    tokio::select! {
        biased;
        found = head => (Some(found), None),
        sent = Box::pin(send) => (None, Some(sent)),
    }
}

/// Passes the response on, with the rest of the upload beside it if there is one. The call is in
/// flight to the picked instance until that is done.
#[expect(clippy::too_many_arguments, reason = "the parts of an exchange, borrowed apart")]
async fn answer(
    client: &mut TcpStream,
    mut upstream: TcpStream,
    buffer: &mut Buffer,
    mut response: Buffer,
    head: &ResponseHead,
    mut body: Upload,
    mut forward: Forward,
    shared: &Arc<Shared>,
    rules: &Rules,
    alarm: &mut Alarm,
    out: &mut Vec<u8>,
    attempts: &Attempts,
    side: Side,
    picked: Option<Picked<SocketAddr>>,
) -> After {
    out.clear();
    body.settle();
    let sending = !body.is_done() && side.result.is_none();
    // Half a body that nobody reads would be taken for the next request.
    forward.keep_alive &= body.is_taken() || sending;
    let start = relay::begin(&mut response, head, &mut forward, out);
    let relayed = match start {
        Err(what) => {
            broke_off(picked);
            out.clear();
            let denial = Denial::bad_upstream(forward.target.name(), what);
            deny(&denial, forward.is_grpc, &forward.trace, forward.is_head, &forward.common(), out);
            let status = denial.status();
            return finish_own(client, out, forward, status, shared, alarm, attempts.made).await;
        }
        Ok(relay::Start::Switch) => {
            forward.record.status = 101;
            // It may last for hours, and is no request any more.
            forward.slot = Slot::default();
            let idle = rules.timeouts.tunnel_idle;
            let tunnel = tunnel::run(client, upstream, buffer, response, out, idle, &shared.stop);
            Box::pin(tunnel).await;
            forward.record.finish(shared, Instant::now());
            return After::Close;
        }
        Ok(relay::Start::Body(plan)) if sending => {
            // The client is told that the connection closes only if the upload does not end in
            // time, which is known when it is too late to tell; so it just closes then.
            let (mut from_client, mut to_client) = client.split();
            let (mut from_upstream, mut to_upstream) = upstream.split();
            let send =
                Box::pin(upload::run(&mut from_client, &mut to_upstream, buffer, &mut body, rules));
            let relay = Box::pin(relay::body(
                &mut from_upstream,
                &mut to_client,
                &mut response,
                out,
                plan,
                rules,
                alarm,
            ));
            both(relay, send).await
        }
        Ok(relay::Start::Body(plan)) => {
            let (_, mut to_client) = client.split();
            let (mut from_upstream, _) = upstream.split();
            relay::body(&mut from_upstream, &mut to_client, &mut response, out, plan, rules, alarm)
                .await
        }
    };
    let now = Instant::now();
    // A connection with half a body on it is no connection for another request.
    let done = body.is_done() && !matches!(side.result, Some(Err(_)));
    if relayed == (Relayed::Whole { reusable: true })
        && done
        && response.is_empty()
        && let Some(address) = attempts.address
    {
        pool::put(address, upstream, now, rules.limits.idle_upstream);
    }
    let keep_alive =
        forward.keep_alive && body.is_taken() && matches!(relayed, Relayed::Whole { .. });
    match relayed {
        Relayed::Whole { .. } => drop(picked),
        Relayed::CutOff => broke_off(picked),
        Relayed::Broken => (),
    }
    if matches!(relayed, Relayed::Broken | Relayed::CutOff) {
        forward.record.broke();
    }
    forward.record.finish(shared, now);
    match relayed {
        Relayed::Whole { .. } if keep_alive => After::Again,
        Relayed::Whole { .. } => After::Linger,
        Relayed::Broken | Relayed::CutOff => After::Close,
    }
}

/// An answer that had begun well was cut off, or cannot be passed on.
fn broke_off(picked: Option<Picked<SocketAddr>>) {
    if let Some(picked) = picked {
        let now = Instant::now().into_std();
        _ = picked.conclude(now, Some(Fault::CutOff), Duration::ZERO);
    }
}

/// Runs the relay to its end with the upload beside it, for as long as that lasts.
async fn both(
    relay: impl Future<Output = Relayed> + Unpin,
    send: impl Future<Output = Result<(), UploadError>> + Unpin,
) -> Relayed {
    let (mut relay, mut send) = (relay, send);
    tokio::select! {
        relayed = &mut relay => return relayed,
        sent = &mut send => if sent.is_err_and(|error| error != UploadError::Upstream) {
            return Relayed::Broken;
        },
    }
    relay.await
}
