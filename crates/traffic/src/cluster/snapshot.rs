//! The instances at one moment, made ready to choose from; replaced whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regatta_resilience::outlier;

use super::bits::Bits;
use super::pool::Pool;
use super::{Hints, Member, Policies};
use crate::balance::Schedule;

/// The instances at one moment. Only what is atomic in it changes: who takes calls, and turns.
pub(super) struct Snapshot<T> {
    pub(super) policies: Arc<Policies>,
    pub(super) members: Box<[Arc<Member<T>>]>,
    /// Who takes no calls now.
    pub(super) blocked: Bits,
    /// All instances, when versions have no weights.
    pub(super) any: Option<Subset<T>>,
    /// By version, those with a weight but no instance included.
    pub(super) versions: Box<[(String, Subset<T>)]>,
    /// Turns among the versions that have a weight and an instance.
    pub(super) turns: Schedule,
    /// When the first of the members joined, in the cluster's nanoseconds.
    pub(super) oldest: u64,
    /// From then on nobody is in slow start.
    pub(super) warm_from: u64,
}

/// The instances of one version, or all.
pub(super) struct Subset<T> {
    pub(super) all: Pool<T>,
    /// Those of the caller's zone and the others, when there are both.
    pub(super) zones: Option<(Pool<T>, Pool<T>)>,
}

impl<T> Subset<T> {
    fn new(
        policies: &Policies,
        members: &[Arc<Member<T>>],
        belongs: impl Fn(&Member<T>) -> bool,
        before: Option<&Self>,
        random: u64,
    ) -> Self {
        let turn = |pool: fn(&Self) -> Option<&Pool<T>>| {
            before.and_then(pool).map_or(random, |pool| pool.turns.turn())
        };
        let strategy = policies.balance;
        let all = Pool::new(strategy, members, &belongs, turn(|subset| Some(&subset.all)));
        let zones = policies.zone.as_deref().and_then(|zone| {
            let is_local = |member: &Member<T>| member.instance.zone.as_deref() == Some(zone);
            let local = |member: &Member<T>| belongs(member) && is_local(member);
            let other = |member: &Member<T>| belongs(member) && !is_local(member);
            let turns = [
                turn(|subset| subset.zones.as_ref().map(|zones| &zones.0)),
                turn(|subset| subset.zones.as_ref().map(|zones| &zones.1)),
            ];
            let local = Pool::new(strategy, members, local, turns[0]);
            let other = Pool::new(strategy, members, other, turns[1]);
            (!local.is_empty() && !other.is_empty()).then_some((local, other))
        });
        Self { all, zones }
    }

    /// Takes note that an instance takes calls from now on, or none.
    fn note(&self, place: u32, is_usable: bool) {
        let zones = self.zones.iter().flat_map(|(local, other)| [local, other]);
        std::iter::once(&self.all).chain(zones).for_each(|pool| pool.note(place, is_usable));
    }
}

impl<T> Snapshot<T> {
    /// The members under these policies, going on at the turns of `before`; all take calls.
    pub(super) fn new(
        policies: Arc<Policies>,
        members: Box<[Arc<Member<T>>]>,
        before: Option<&Self>,
        random: u64,
    ) -> Self {
        let weights = &policies.subsets;
        let mut names: BTreeMap<&str, u32> =
            weights.iter().map(|(version, weight)| (version.as_str(), *weight)).collect();
        for version in members.iter().filter_map(|member| member.instance.version.as_deref()) {
            names.entry(version).or_insert(0);
        }
        let named = |version: &str| before.and_then(|before| before.version(version));
        let subset = |version: &str| {
            let belongs = |member: &Member<T>| member.instance.version.as_deref() == Some(version);
            Subset::new(&policies, &members, belongs, named(version), random)
        };
        let versions: Box<[(String, Subset<T>)]> =
            names.keys().map(|version| ((*version).to_owned(), subset(version))).collect();
        let any = weights.is_empty().then(|| {
            let before = before.and_then(|before| before.any.as_ref());
            Subset::new(&policies, &members, |_| true, before, random)
        });
        let shares = versions.iter().zip(names.values());
        let shares =
            shares.map(|((_, subset), weight)| if subset.all.is_empty() { 0 } else { *weight });
        let first_turn = before.map_or(random, |before| before.turns.turn());
        let turns = Schedule::new(shares, first_turn);
        let joined = members.iter().map(|member| member.life.joined);
        let (oldest, youngest) = (joined.clone().min().unwrap_or(0), joined.max().unwrap_or(0));
        let window = policies.slow_start.window.as_nanos() as u64;
        let warm_from = if oldest == youngest { 0 } else { youngest + window };
        let blocked = Bits::new(members.len());
        Self { policies, members, blocked, any, versions, turns, oldest, warm_from }
    }

    /// How many members may be out, and when those that are take calls all the same: breakers keep
    /// to it also where nothing is ejected.
    pub(super) fn limits(&self) -> outlier::Settings {
        self.policies.outlier.clone().unwrap_or_default()
    }

    /// The part of its share that slow start lets a member have that joined at `joined`, against the
    /// oldest.
    pub(super) fn warmth(&self, joined: u64, now: u64) -> f64 {
        let age = |joined: u64| Duration::from_nanos(now.saturating_sub(joined));
        self.policies.slow_start.share(age(joined), age(self.oldest))
    }

    /// Takes note that an instance takes calls from now on, or none. Under the cluster's lock.
    pub(super) fn block(&self, place: usize, is_blocked: bool) {
        if self.blocked.set(place, is_blocked) {
            let versions = self.versions.iter().map(|(_, subset)| subset);
            versions.chain(&self.any).for_each(|subset| subset.note(place as u32, !is_blocked));
        }
    }

    /// The instances of this version.
    pub(super) fn version(&self, version: &str) -> Option<&Subset<T>> {
        let found = self.versions.binary_search_by(|(name, _)| name.as_str().cmp(version)).ok()?;
        Some(&self.versions[found].1)
    }

    /// Whether an instance, were it usable, might be chosen for such a call.
    pub(super) fn may_choose(&self, place: usize, hints: &Hints<'_>) -> bool {
        let place = place as u32;
        match (hints.subset, &self.any) {
            (Some(version), _) => {
                self.version(version).is_some_and(|subset| subset.all.contains(place))
            }
            (None, Some(any)) => any.all.contains(place),
            (None, None) => self.versions.iter().any(|(version, subset)| {
                let weight = self.policies.subsets.get(version).copied().unwrap_or(0);
                weight > 0 && subset.all.contains(place)
            }),
        }
    }
}
