//! Waits for an answer's head, and after a delay for a second instance's too.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use regatta_resilience::hedge::Hedge;
use regatta_traffic::cluster::Picked;
use regatta_traffic::fault::Fault;
use regatta_traffic::verdict::Silence;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::admit::Forward;
use super::attempts::{Attempts, Reached};
use super::await_head::{Look, NoHead, head, read_head};
use super::io::write_all;
use super::write;
use crate::policy::Rules;
use crate::shared::Shared;
use crate::worker::alarm::Alarm;
use crate::worker::buffer::Buffer;
use crate::worker::pool;

/// A try whose request is sent.
pub(super) struct Try {
    pub(super) upstream: TcpStream,
    pub(super) picked: Picked<SocketAddr>,
    pub(super) began: Instant,
    pub(super) is_reused: bool,
    pub(super) response: Buffer,
}

/// The request, and what it is answered by.
pub(super) struct Asking<'a> {
    pub(super) attempts: &'a mut Attempts,
    pub(super) forward: &'a mut Forward,
    pub(super) out: &'a mut [u8],
    pub(super) head_length: usize,
    pub(super) rules: &'a Rules,
    pub(super) shared: &'a Shared,
}

/// The head of the answer, and the try that brought it.
///
/// Waits for the first try, and once that has taken longer than is usual for the service, if there
/// is another instance and the budget has a retry, for a second one too. The other one is given up.
pub(super) async fn answer(
    mut first: Try,
    hedge: &Hedge,
    deadline: Instant,
    mut asking: Asking<'_>,
    alarm: &mut Alarm,
) -> (Try, Result<Look, NoHead>) {
    let is_head = asking.forward.is_head;
    let began = first.began;
    let delay = hedge.delay(began.into_std());
    let early = delay.map_or(deadline, |delay| deadline.min(began + delay));
    let mut found = head(&mut first.upstream, &mut first.response, is_head, early, alarm).await;
    let mut won = first;
    if matches!(found, Err(NoHead::TooLate)) && early < deadline {
        (won, found) = race(won, deadline, &mut asking, alarm).await;
    }
    // How soon a try fails says nothing about how long an answer takes.
    if stands(&found) {
        let now = Instant::now();
        hedge.observe(now.into_std(), now.duration_since(began));
    }
    (won, found)
}

async fn race(
    mut first: Try,
    deadline: Instant,
    asking: &mut Asking<'_>,
    alarm: &mut Alarm,
) -> (Try, Result<Look, NoHead>) {
    let is_head = asking.forward.is_head;
    let Some(picked) = asking.second(&first) else {
        asking.shared.metrics.hedged("denied");
        let found = head(&mut first.upstream, &mut first.response, is_head, deadline, alarm).await;
        return (first, found);
    };
    let address = *picked.data();
    let (out, rules, blame) = (&*asking.out, asking.rules, asking.forward.blame());
    let raced = alarm.within(deadline, async {
        let own = pin!(read_head(&mut first.upstream, &mut first.response, is_head));
        let other = pin!(ask(picked, out, is_head, rules, &blame));
        match select(own, other).await {
            Either::Left((found, _)) if stands(&found) => (found, None),
            Either::Left((found, other)) => (found, other.await),
            Either::Right((Some(other), _)) => (Err(NoHead::TooLate), Some(other)),
            Either::Right((None, own)) => (own.await, None),
        }
    });
    let (found, other) = raced.await.unwrap_or((Err(NoHead::TooLate), None));
    let is_second = other.is_some();
    asking.shared.metrics.hedged(if is_second { "second" } else { "first" });
    asking.forward.record.hedge_ended(is_second);
    let Some((second, look)) = other else { return (first, found) };
    asking.attempts.address = Some(address);
    let now = Instant::now();
    let waited = now.duration_since(first.began);
    match found {
        // It is given up.
        Err(NoHead::TooLate) => first.picked.give_up(now.into_std(), waited),
        Err(NoHead::Broken | NoHead::Garbage(_)) => {
            let broken = Fault::Silent(Silence::Broken);
            let effect = Reached::finish(first.picked, first.began, broken);
            asking.forward.record.effect(effect);
        }
        Ok(look) => {
            let effect = Reached::finish(first.picked, first.began, blame(look.verdict.fault));
            asking.forward.record.effect(effect);
        }
    }
    (second, Ok(look))
}

impl Asking<'_> {
    /// Another instance, told which attempt it is and how much time is left.
    fn second(&mut self, first: &Try) -> Option<Picked<SocketAddr>> {
        let picked = self.attempts.second(self.forward, first.picked.member())?;
        let trace = self.forward.record.hedge(&picked);
        self.attempts.prepare(self.forward, self.out, self.head_length, Instant::now());
        if let Some(trace) = trace {
            write::patch_trace(&mut self.out[..self.head_length], self.forward.patch, &trace);
        }
        self.attempts.sent = self.attempts.sent.saturating_add(1);
        Some(picked)
    }
}

fn stands(found: &Result<Look, NoHead>) -> bool {
    found.as_ref().is_ok_and(|look| look.verdict.failure.is_none())
}

/// Sends the request to the second instance; none when no answer of it stands.
async fn ask(
    picked: Picked<SocketAddr>,
    out: &[u8],
    is_head: bool,
    rules: &Rules,
    blame: &impl Fn(Option<Fault>) -> Option<Fault>,
) -> Option<(Try, Look)> {
    let (address, began) = (*picked.data(), Instant::now());
    let idle = pool::take(address, began, rules.timeouts.upstream_idle, true);
    let is_reused = idle.is_some();
    let upstream = match idle {
        Some(upstream) => Ok(upstream),
        None => connect(address, rules.timeouts.connect).await,
    };
    let mut upstream = match upstream {
        Ok(upstream) => upstream,
        Err(why) => {
            _ = Reached::finish(picked, began, Fault::Silent(why));
            return None;
        }
    };
    let mut response = Buffer::default();
    let found = match write_all(&mut upstream, out).await {
        Ok(()) => read_head(&mut upstream, &mut response, is_head).await,
        Err(_) => Err(NoHead::Broken),
    };
    match found {
        Ok(look) if look.verdict.failure.is_none() => {
            Some((Try { upstream, picked, began, is_reused, response }, look))
        }
        Ok(look) => {
            _ = Reached::finish(picked, began, blame(look.verdict.fault));
            None
        }
        Err(_) => {
            let how = if is_reused { Silence::Stale } else { Silence::Broken };
            _ = Reached::finish(picked, began, Fault::Silent(how));
            None
        }
    }
}

async fn connect(address: SocketAddr, within: Duration) -> Result<TcpStream, Silence> {
    match timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(upstream)) => {
            _ = upstream.set_nodelay(true);
            Ok(upstream)
        }
        Ok(Err(_)) => Err(Silence::Refused),
        Err(_) => Err(Silence::Unreached),
    }
}
