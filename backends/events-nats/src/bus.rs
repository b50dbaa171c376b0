//! The bus over NATS JetStream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use regatta_events::{
    BusError, CloudEvent, DeadLetter, Deliveries, EventBus, GroupName, GroupStanding, HistoryQuery,
    Logged, Redrive, Start, Subscription,
};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::deliveries::NatsDeliveries;
use crate::group::{Group, hash};
use crate::link::{Link, unavailable};
use crate::member::Member;
use crate::orders::Order;
use crate::{InvalidOptions, Options, letters, log, states};

/// How long an event stays in the log at least, for history and replays.
pub(crate) const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Orders of subscribers that wait to be taken; more wait outside.
const ORDERS: usize = 256;

/// A bus on NATS JetStream; clones share its connection, and so do processes with the same server
/// and prefix the bus.
#[derive(Clone, Debug)]
pub struct NatsBus {
    link: Arc<Link>,
    /// Where the last look into the log ended, for who goes on from there.
    reading: Arc<log::LastLook>,
    members: Arc<Mutex<HashMap<GroupName, mpsc::WeakSender<Order>>>>,
    /// A member ends with the last subscriber of its group, so nobody has to wait for it.
    tasks: TaskTracker,
}

impl NatsBus {
    /// A bus on these servers, which need not be there yet. Call it inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`] names the first option out of range.
    pub fn try_new(options: Options) -> Result<Self, InvalidOptions> {
        let link = Arc::new(Link::try_new(options)?);
        Ok(Self {
            link,
            reading: Arc::default(),
            members: Arc::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// Lets go of events that are older than this and that no group needs; answers how many.
    /// Subscribers do it by themselves every 10 minutes for events older than seven days.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the bus does not answer.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have let go of some.
    pub async fn trim(&self, older_than: Duration) -> Result<u64, BusError> {
        trim(&self.link, older_than).await
    }

    async fn stands(&self, group: GroupName, state: &Group) -> Result<GroupStanding, BusError> {
        let newest = log::newest(&self.link).await?;
        let dead = letters::positions(&self.link, &group, state).await?;
        Ok(GroupStanding {
            position: state.position,
            behind: newest.saturating_sub(state.position),
            open: state.open_count() as u64,
            dead: dead.len() as u64,
            group,
        })
    }

    fn member(&self, group: &GroupName) -> mpsc::Sender<Order> {
        // A map is whole whatever happened to who held it.
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = members.get(group).and_then(mpsc::WeakSender::upgrade) {
            return orders;
        }
        members.retain(|_, orders| orders.strong_count() > 0);
        let (orders, taken) = mpsc::channel(ORDERS);
        members.insert(group.clone(), orders.downgrade());
        self.tasks.spawn(Member::new(self.link.clone(), group.clone(), taken).run());
        orders
    }
}

pub(crate) async fn trim(link: &Link, older_than: Duration) -> Result<u64, BusError> {
    let before = OffsetDateTime::now_utc() - older_than;
    let floor = states::floor(link).await?.unwrap_or(u64::MAX - 1);
    log::trim(link, floor, before).await
}

#[async_trait]
impl EventBus for NatsBus {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), BusError> {
        log::publish(&self.link, events).await
    }

    async fn subscribe(&self, asks: Subscription) -> Result<Box<dyn Deliveries>, BusError> {
        asks.validate()?;
        if states::load(&self.link, &asks.group).await?.is_none() {
            let group = Group::new(log::start(&self.link, asks.start).await?);
            // Who was faster has made it.
            states::set(&self.link, &asks.group, (&group, 0), "").await?;
        }
        Ok(Box::new(NatsDeliveries::new(self.member(&asks.group), asks)))
    }

    async fn probe(&self) -> Result<(), BusError> {
        log::newest(&self.link).await.map(drop)
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Logged>, BusError> {
        log::history(&self.link, &self.reading, query).await
    }

    async fn replay(&self, group: &GroupName, start: Start) -> Result<(), BusError> {
        let position = log::start(&self.link, start).await?;
        states::change(&self.link, group, |group| group.seek(position)).await
    }

    async fn dead_letters(
        &self,
        group: &GroupName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        letters::dead(&self.link, group, after, limit as usize).await
    }

    async fn redrive(&self, group: &GroupName, redrive: &Redrive) -> Result<u64, BusError> {
        let wanted = match redrive {
            Redrive::Oldest(count) => letters::dead(&self.link, group, 0, *count as usize).await?,
            Redrive::Positions(positions) => {
                let mut dead = letters::dead(&self.link, group, 0, usize::MAX).await?;
                dead.retain(|letter| positions.contains(&letter.position));
                dead
            }
        };
        if wanted.is_empty() {
            return Ok(0);
        }
        // The letters stay until what they tell of is settled: the log may have let the events go.
        let reopen = |state: &mut Group| {
            let reopened = wanted.iter().filter(|letter| {
                state.reopen(letter.position, letter.event.partition_key().map(hash))
            });
            reopened.count() as u64
        };
        states::change(&self.link, group, reopen).await
    }
    async fn groups(&self) -> Result<Vec<GroupStanding>, BusError> {
        let mut standings = Vec::new();
        for (name, group) in states::all(&self.link).await? {
            standings.push(self.stands(name, &group).await?);
        }
        standings.sort_unstable_by(|one, two| one.group.cmp(&two.group));
        Ok(standings)
    }

    async fn standing(&self, group: &GroupName) -> Result<GroupStanding, BusError> {
        let unknown = || BusError::UnknownGroup { group: group.clone() };
        let (state, _) = states::load(&self.link, group).await?.ok_or_else(unknown)?;
        self.stands(group.clone(), &state).await
    }

    async fn forget(&self, group: &GroupName) -> Result<bool, BusError> {
        let streams = self.link.streams().await?;
        let letters = streams.letters.purge().filter(self.link.names.letters_of(group));
        letters.await.map_err(unavailable)?;
        let state = streams.groups.purge().filter(self.link.names.group(group));
        Ok(state.await.map_err(unavailable)?.purged > 0)
    }
}
