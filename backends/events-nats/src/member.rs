//! One process's part in a consumer group: claims, hands out and settles for its subscribers.
//!
//! All that its subscribers want at a time is one change of the group's state: many settle and claim
//! at the price of one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt;
use regatta_events::{
    BusError, CloudEvent, FailedDelivery, GroupName, Next, Subscription, Verdict,
};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::ahead::Ahead;
use crate::group::{Claim, Clock, Group, hash};
use crate::letters::Letter;
use crate::link::{Link, unavailable};
use crate::{letters, log, states};

/// How often a change is tried that other processes are faster with, before all is begun anew.
const TRIES: u32 = 20;

/// How often it is looked whether something was missed, while somebody waits.
const LOOK: Duration = Duration::from_secs(1);

/// Passed over without anything to claim, so many events are worth a write of their own.
const WORTH_WRITING: u64 = 1000;

/// How often a process lets go of old events.
const TRIM_EVERY: Duration = Duration::from_secs(600);

/// What a subscriber wants.
pub(crate) enum Order {
    /// The next event.
    Claim { asks: Arc<Subscription>, reply: oneshot::Sender<Result<Given, BusError>> },
    /// That a delivery is settled.
    Settle(Box<Settling>),
}

/// An event that was claimed.
pub(crate) struct Given {
    pub(crate) event: CloudEvent,
    pub(crate) claim: Claim,
}

/// A delivery that is being settled.
pub(crate) struct Settling {
    pub(crate) asks: Arc<Subscription>,
    pub(crate) claim: Claim,
    pub(crate) event: CloudEvent,
    pub(crate) verdict: Verdict,
    pub(crate) reply: oneshot::Sender<Result<(), BusError>>,
}

type Waiting = (Arc<Subscription>, oneshot::Sender<Result<Given, BusError>>);

pub(crate) struct Member {
    link: Arc<Link>,
    name: GroupName,
    /// Who this is, in the states it sets.
    me: String,
    orders: mpsc::Receiver<Order>,
    /// The state as it was last seen, perhaps with more passed over, and its revision.
    state: Option<(Group, u64)>,
    /// Up to where the state in NATS has gone.
    written: u64,
    /// When each turn was first seen here.
    seen: HashMap<u64, Instant>,
    ahead: Ahead,
    /// What other processes have set.
    news: Option<Subscriber>,
    connects: u64,
    waiting: VecDeque<Waiting>,
    settling: Vec<Settling>,
    /// Claims that nobody took.
    returned: Vec<Claim>,
    trimmed_at: Option<Instant>,
}

impl Member {
    pub(crate) fn new(link: Arc<Link>, name: GroupName, orders: mpsc::Receiver<Order>) -> Self {
        let me = format!("{:016x}", rand::random::<u64>());
        let connects = link.connects();
        Self {
            link,
            name,
            me,
            orders,
            state: None,
            written: 0,
            seen: HashMap::new(),
            ahead: Ahead::default(),
            news: None,
            connects,
            waiting: VecDeque::new(),
            settling: Vec::new(),
            returned: Vec::new(),
            trimmed_at: None,
        }
    }

    /// Works until the last subscriber and the last unsettled delivery are gone.
    pub(crate) async fn run(mut self) {
        loop {
            let wakes_at = self.wakes_at();
            let position = self.state.as_ref().map_or(0, |(group, _)| group.position);
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => {
                        self.take(order);
                        while let Ok(order) = self.orders.try_recv() {
                            self.take(order);
                        }
                    }
                    None => return,
                },
                () = self.ahead.read(position) => (),
                () = foreign(&mut self.news, &self.me) => self.state = None,
                // News may be lost with a connection.
                () = tokio::time::sleep_until(wakes_at) => self.state = None,
            }
            if let Err(error) = self.turn().await {
                self.give_up(&error);
            }
            self.trim_now_and_then().await;
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Claim { asks, reply } => self.waiting.push_back((asks, reply)),
            Order::Settle(settling) => self.settling.push(*settling),
        }
    }

    /// When something is due without anybody saying so.
    fn wakes_at(&self) -> Instant {
        let now = Instant::now();
        if !self.returned.is_empty() {
            return now;
        }
        if self.waiting.is_empty() {
            return now + TRIM_EVERY;
        }
        let waits = self.state.iter().flat_map(|(group, _)| group.waits());
        next_due(waits, &self.seen, now).unwrap_or(now + LOOK).min(now + LOOK)
    }

    /// Does what is to do, in one change of the state.
    async fn turn(&mut self) -> Result<(), BusError> {
        self.waiting.retain(|(_, reply)| !reply.is_closed());
        if self.link.connects() != self.connects {
            // What came while the connection was away is lost.
            self.connects = self.link.connects();
            self.ahead.forget();
            self.state = None;
        }
        if self.waiting.is_empty() && self.settling.is_empty() && self.returned.is_empty() {
            return Ok(());
        }
        for _ in 0..TRIES {
            let (current, revision) = self.current().await?;
            let mut next = current.clone();
            let lost = self.settle(&mut next).await?;
            let given = self.claims(&mut next).await?;
            let passed = next.position.saturating_sub(self.written);
            let is_worth_it = next.without_position() != current.without_position()
                || passed >= WORTH_WRITING
                || !given.is_empty();
            if !is_worth_it {
                self.state = Some((next, revision));
                self.returned.clear();
                self.answer_settled(&lost);
                return Ok(());
            }
            let set = states::set(&self.link, &self.name, (&next, revision), &self.me).await?;
            match set {
                Some(revision) => {
                    self.written = next.position;
                    self.see(&next);
                    self.ahead.prune(&next);
                    self.state = Some((next, revision));
                    self.returned.clear();
                    self.answer_settled(&lost);
                    return self.hand_out(given).await;
                }
                // Another process was faster.
                None => self.state = None,
            }
        }
        Err(unavailable("other processes change the consumer group all the time"))
    }

    /// The state, read again when it may have changed; the log is read on from there.
    async fn current(&mut self) -> Result<(Group, u64), BusError> {
        if self.news.is_none() {
            let subject = self.link.names.group(&self.name);
            self.news = Some(self.link.client.subscribe(subject).await.map_err(unavailable)?);
        }
        let (group, revision) = match &self.state {
            Some(state) => state.clone(),
            None => {
                let unknown = || BusError::UnknownGroup { group: self.name.clone() };
                let loaded = states::load(&self.link, &self.name).await?.ok_or_else(unknown)?;
                self.written = loaded.0.position;
                self.see(&loaded.0);
                loaded
            }
        };
        if let Some((asks, _)) = self.waiting.back() {
            self.ahead.want(&self.link, &asks.types, self.written).await?;
        }
        self.state = Some((group.clone(), revision));
        Ok((group, revision))
    }

    /// Remembers since when each wait is known.
    fn see(&mut self, group: &Group) {
        let now = Instant::now();
        let seen = std::mem::take(&mut self.seen);
        let waits = group.waits();
        self.seen =
            waits.map(|(turn, _)| (turn, seen.get(&turn).copied().unwrap_or(now))).collect();
    }

    /// Settles what is to be settled; answers which of it was lost.
    async fn settle(&mut self, next: &mut Group) -> Result<Vec<bool>, BusError> {
        for claim in &self.returned {
            next.release(*claim);
        }
        let mut lost = Vec::new();
        for settling in &self.settling {
            let claim = settling.claim;
            let has_letter = next.held(claim).map(|open| open.has_letter);
            lost.push(has_letter.is_none());
            let Some(has_letter) = has_letter else { continue };
            let (outcome, reason) = match &settling.verdict {
                Verdict::Ack => {
                    if has_letter {
                        letters::delete(&self.link, &self.name, claim.position).await?;
                    }
                    next.close(claim);
                    continue;
                }
                Verdict::Away(pause) => {
                    next.take_back(claim, *pause);
                    continue;
                }
                Verdict::Retry(reason) => (settling.asks.after_failure(claim.number), reason),
                Verdict::Reject(reason) => (Next::Dead, reason),
            };
            let letter = (claim, &settling.event, has_letter, reason.as_str());
            write_letter(&self.link, &self.name, letter).await?;
            next.fail(claim, outcome);
        }
        Ok(lost)
    }

    /// Claims an event for each who waits, as far as there are any.
    async fn claims(&mut self, next: &mut Group) -> Result<Vec<Claim>, BusError> {
        let Some((asks, _)) = self.waiting.front() else { return Ok(Vec::new()) };
        let clock = Seen { seen: &self.seen, now: Instant::now() };
        while let Some(claim) = next.expired(&clock) {
            let outcome = match asks.after_failure(claim.number) {
                Next::Dead => Next::Dead,
                // The lease was pause enough.
                Next::Retry(_) => Next::Retry(Duration::ZERO),
            };
            let known = self.ahead.get(claim.position).cloned();
            match find(&self.link, &self.name, claim.position, known).await? {
                Some(event) => {
                    let has_letter = next.held(claim).is_some_and(|open| open.has_letter);
                    let letter = (claim, &event, has_letter, FailedDelivery::LEASE_RAN_OUT);
                    write_letter(&self.link, &self.name, letter).await?;
                    next.fail(claim, outcome);
                }
                None => {
                    next.close(claim);
                }
            }
        }
        let mut claims = Vec::new();
        for (asks, _) in &self.waiting {
            let lease = u64::try_from(asks.lease.as_millis()).unwrap_or(u64::MAX);
            match self.claim(next, lease, &clock) {
                Some(claim) => claims.push(claim),
                None => break,
            }
        }
        Ok(claims)
    }

    /// Claims what is free, else opens the next of the log until something is.
    fn claim(&self, next: &mut Group, lease: u64, clock: &Seen<'_>) -> Option<Claim> {
        loop {
            if let Some(claim) = next.claim(lease, clock) {
                return Some(claim);
            }
            if next.is_full() {
                return None;
            }
            let (position, event) = self.ahead.after(next.position)?;
            let key = event.map(|event| event.partition_key().map(hash));
            next.advance(position, key);
        }
    }

    fn answer_settled(&mut self, lost: &[bool]) {
        for (settling, is_lost) in self.settling.drain(..).zip(lost) {
            let answer = if *is_lost { Err(BusError::LeaseLost) } else { Ok(()) };
            // Who does not wait for the answer any more does not need it.
            let _ = settling.reply.send(answer);
        }
    }

    async fn hand_out(&mut self, claims: Vec<Claim>) -> Result<(), BusError> {
        for (number, claim) in claims.iter().enumerate() {
            let known = self.ahead.get(claim.position).cloned();
            let event = match find(&self.link, &self.name, claim.position, known).await {
                Ok(event) => event,
                Err(error) => {
                    self.returned.extend(&claims[number..]);
                    return Err(error);
                }
            };
            let Some(event) = event else {
                tracing::warn!(group = %self.name, position = claim.position, "an event was let go");
                let claim = *claim;
                states::change(&self.link, &self.name, |group| group.close(claim)).await?;
                self.state = None;
                continue;
            };
            let Some((_, reply)) = self.waiting.pop_front() else { continue };
            if reply.send(Ok(Given { event, claim: *claim })).is_err() {
                self.returned.push(*claim);
            }
        }
        Ok(())
    }

    /// Everybody who waits is told; what is known is read again at the next try.
    fn give_up(&mut self, error: &BusError) {
        let again = || match error {
            BusError::UnknownGroup { group } => BusError::UnknownGroup { group: group.clone() },
            error => unavailable(regatta_core::Chain(error).to_string()),
        };
        for (_, reply) in self.waiting.drain(..) {
            let _ = reply.send(Err(again()));
        }
        for settling in self.settling.drain(..) {
            let _ = settling.reply.send(Err(again()));
        }
        // They come again when their lease is over.
        self.returned.clear();
        self.state = None;
        self.ahead.forget();
    }

    async fn trim_now_and_then(&mut self) {
        let now = Instant::now();
        let trimmed_at = *self.trimmed_at.get_or_insert(now);
        if now >= trimmed_at + TRIM_EVERY {
            self.trimmed_at = Some(now);
            if let Err(error) = crate::bus::trim(&self.link, crate::bus::KEPT).await {
                tracing::debug!(error = %regatta_core::Chain(&error), "old events stay for now");
            }
        }
    }
}

async fn write_letter(
    link: &Link,
    name: &GroupName,
    (claim, event, has_letter, reason): (Claim, &CloudEvent, bool, &str),
) -> Result<(), BusError> {
    let before = match has_letter {
        true => letters::read(link, name, claim.position).await?,
        false => None,
    };
    let letter = Letter::add(before, event, claim.number, reason, OffsetDateTime::now_utc());
    letters::write(link, name, claim.position, &letter).await
}

/// The event, as it is known, from the log or from its letter; none when all have let it go.
async fn find(
    link: &Link,
    name: &GroupName,
    position: u64,
    known: Option<CloudEvent>,
) -> Result<Option<CloudEvent>, BusError> {
    if known.is_some() {
        return Ok(known);
    }
    if let Some(event) = log::at(link, position).await? {
        return Ok(Some(event));
    }
    let letter = letters::read(link, name, position).await?;
    letter.map(|letter| letter.event()).transpose()
}

/// When the next lease or pause is over. One that is over already waits for something else, such as an
/// event of its key before it, and wakes nobody again and again.
fn next_due(
    waits: impl Iterator<Item = (u64, u64)>,
    seen: &HashMap<u64, Instant>,
    now: Instant,
) -> Option<Instant> {
    let due = waits
        .filter_map(|(turn, length)| seen.get(&turn)?.checked_add(Duration::from_millis(length)));
    due.filter(|due| *due > now).min()
}

/// Waits until another process has set the state.
async fn foreign(news: &mut Option<Subscriber>, me: &str) {
    let Some(subscriber) = news else { return std::future::pending().await };
    loop {
        let Some(message) = subscriber.next().await else {
            *news = None;
            return;
        };
        let author = message.headers.as_ref().and_then(|headers| headers.get(states::AUTHOR));
        if author.is_none_or(|author| author.as_str() != me) {
            return;
        }
    }
}

struct Seen<'a> {
    seen: &'a HashMap<u64, Instant>,
    now: Instant,
}

impl Clock for Seen<'_> {
    fn is_over(&self, turn: u64, milliseconds: u64) -> bool {
        let since = self.seen.get(&turn).map(|at| self.now.saturating_duration_since(*at));
        since.is_some_and(|since| since >= Duration::from_millis(milliseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_over_and_still_waits_wakes_nobody() {
        let now = Instant::now();
        let seen = HashMap::from([(1, now), (2, now)]);
        let later = now + Duration::from_millis(10);
        let waits = || [(1, 5), (2, 30), (3, 1)].into_iter();
        assert_eq!(next_due(waits(), &seen, later), Some(now + Duration::from_millis(30)));
        assert_eq!(next_due(waits(), &seen, now + Duration::from_secs(1)), None);
    }
}
