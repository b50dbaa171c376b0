//! An event bus in the memory of one process, for tests and for one process alone.

mod group;
mod log;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use crate::{
    BusError, CloudEvent, DeadLetter, Deliveries, Delivery, EventBus, GroupName, GroupStanding,
    HistoryQuery, InFlight, Logged, Next, Redrive, Settle, Start, Subscription, Verdict,
};
use group::{Claim, Group, Now};
use log::Log;

/// A bus that forgets everything with its process; clones share it.
///
/// It keeps the newest 10,000 events (or what [`MemoryBus::with_capacity`] says) and refuses more
/// while a group has not settled the oldest.
#[derive(Clone, Debug)]
pub struct MemoryBus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    log: Log,
    groups: BTreeMap<GroupName, Group>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::with_capacity(10_000)
    }
}

impl MemoryBus {
    /// A bus that keeps so many events, at least one.
    pub fn with_capacity(events: usize) -> Self {
        let state = State { log: Log::new(events.max(1)), groups: BTreeMap::new() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is made whole before the lock is let go, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn group(&mut self, name: &GroupName) -> Result<&mut Group, BusError> {
        self.groups.get_mut(name).ok_or_else(|| BusError::UnknownGroup { group: name.clone() })
    }

    /// The position after which a group that starts there begins.
    fn cursor(&self, start: Start) -> u64 {
        match start {
            Start::Beginning => 0,
            Start::Latest => self.log.newest(),
            Start::After(position) => position.min(self.log.newest()),
            Start::Time(time) => {
                let first = self.log.iter().find(|logged| logged.recorded_at >= time);
                first.map_or(self.log.newest(), |logged| logged.position - 1)
            }
        }
    }
}

#[async_trait]
impl EventBus for MemoryBus {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), BusError> {
        let mut state = self.shared.lock();
        let needed = state.groups.values().map(Group::needs).min().unwrap_or(u64::MAX);
        if !state.log.append(events, needed, wall_clock()) {
            return Err(BusError::Full { held: state.log.len() });
        }
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Deliveries>, BusError> {
        subscription.validate()?;
        let mut state = self.shared.lock();
        let cursor = state.cursor(subscription.start);
        state.groups.entry(subscription.group.clone()).or_insert_with(|| Group::new(cursor));
        let in_flight = InFlight::new(&subscription);
        let subscription = Arc::new(subscription);
        Ok(Box::new(MemoryDeliveries { shared: self.shared.clone(), subscription, in_flight }))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Logged>, BusError> {
        let state = self.shared.lock();
        let wanted = state.log.iter().filter(|logged| {
            logged.position > query.after
                && query.since.is_none_or(|since| logged.recorded_at >= since)
                && query.types.passes(logged.event.event_type())
        });
        Ok(wanted.take(query.limit as usize).cloned().collect())
    }

    async fn replay(&self, group: &GroupName, start: Start) -> Result<(), BusError> {
        let mut state = self.shared.lock();
        let cursor = state.cursor(start);
        state.group(group)?.seek(cursor);
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn dead_letters(
        &self,
        group: &GroupName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        let state = self.shared.lock();
        let dead = state.groups.get(group).map_or(&[][..], |group| &group.dead);
        let wanted = dead.iter().filter(|letter| letter.position > after);
        Ok(wanted.take(limit as usize).cloned().collect())
    }

    async fn redrive(&self, group: &GroupName, redrive: &Redrive) -> Result<u64, BusError> {
        let mut state = self.shared.lock();
        let count = state.group(group)?.redrive(|index, position| match redrive {
            Redrive::Oldest(count) => index < *count as usize,
            Redrive::Positions(positions) => positions.contains(&position),
        });
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(count)
    }

    async fn groups(&self) -> Result<Vec<GroupStanding>, BusError> {
        let state = self.shared.lock();
        let newest = state.log.newest();
        Ok(state.groups.iter().map(|(name, group)| group.standing(name.clone(), newest)).collect())
    }

    async fn standing(&self, group: &GroupName) -> Result<GroupStanding, BusError> {
        let mut state = self.shared.lock();
        let newest = state.log.newest();
        Ok(state.group(group)?.standing(group.clone(), newest))
    }

    async fn forget(&self, group: &GroupName) -> Result<bool, BusError> {
        let is_known = self.shared.lock().groups.remove(group).is_some();
        self.shared.changed.notify_waiters();
        Ok(is_known)
    }
}

#[derive(Debug)]
struct MemoryDeliveries {
    shared: Arc<Shared>,
    subscription: Arc<Subscription>,
    in_flight: InFlight,
}

#[async_trait]
impl Deliveries for MemoryDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let mut permit = Some(self.in_flight.places(1).await);
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on a change is not missed.
            changed.as_mut().enable();
            let wake = {
                let now = now();
                let mut state = self.shared.lock();
                let State { log, groups } = &mut *state;
                let group = self.subscription.group.clone();
                let Some(member) = groups.get_mut(&group) else {
                    return Err(BusError::UnknownGroup { group });
                };
                if let Some((claim, event)) = member.claim(log, &self.subscription, now) {
                    let settle = MemorySettle {
                        shared: self.shared.clone(),
                        subscription: self.subscription.clone(),
                        claim,
                        _permit: permit.take(),
                    };
                    let place = (claim.position, claim.number);
                    let lease = self.subscription.lease;
                    return Ok(Delivery::new(event, place, lease, Box::new(settle)));
                }
                member.wakes_at(now.instant)
            };
            match wake {
                None => changed.await,
                Some(wake) => tokio::select! {
                    () = changed => (),
                    () = tokio::time::sleep_until(Instant::from_std(wake)) => (),
                },
            }
        }
    }
}

#[derive(Debug)]
struct MemorySettle {
    shared: Arc<Shared>,
    subscription: Arc<Subscription>,
    claim: Claim,
    _permit: Option<OwnedSemaphorePermit>,
}

#[async_trait]
impl Settle for MemorySettle {
    async fn settle(&self, verdict: Verdict) -> Result<(), BusError> {
        let mut state = self.shared.lock();
        let group = state.group(&self.subscription.group)?;
        let done = match verdict {
            Verdict::Ack => group.ack(self.claim),
            Verdict::Retry(reason) => {
                let next = self.subscription.after_failure(self.claim.number);
                group.fail(self.claim, next, &reason, now())
            }
            Verdict::Reject(reason) => group.fail(self.claim, Next::Dead, &reason, now()),
            Verdict::Away(pause) => group.take_back(self.claim, pause, now()),
        };
        drop(state);
        self.shared.changed.notify_waiters();
        if done { Ok(()) } else { Err(BusError::LeaseLost) }
    }
}

fn now() -> Now {
    Now { instant: Instant::now().into_std(), wall: wall_clock() }
}

/// What the log says about when an event came.
fn wall_clock() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
