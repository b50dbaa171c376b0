//! The state of a consumer group: how far it is, and what is open.
//!
//! It is one value, changed by comparing and setting its revision, so that of two subscribers who
//! claim the same event one wins. Times are lengths, counted by each process from when it first saw
//! them: no clock of one machine is compared with another's, and a clock that jumps moves nothing.

use std::collections::HashSet;
use std::time::Duration;

use regatta_events::Next;
use serde::{Deserialize, Serialize};

/// How many events that are the first of their key a group has open at most; what is beyond waits in
/// the log.
const WINDOW: usize = 1000;
/// How many it has open in all: those that wait behind another of their key, too. With so many behind
/// one that fails, the others stop until it is done or dead; the state of so many is 0.3 MB, of the
/// 1 MiB that a message may have.
const MOST_OPEN: usize = 5000;

/// A consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// Every event up to here is open, settled or not wanted.
    pub(crate) position: u64,
    /// Counts claims and pauses, so that each has a name of its own.
    turn: u64,
    /// In the order of the log.
    open: Vec<Open>,
}

/// An event that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    #[serde(rename = "p")]
    pub(crate) position: u64,
    /// The hash of its partition key. Two keys of one hash wait for each other.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    key: Option<u64>,
    #[serde(rename = "d", default, skip_serializing_if = "is_default")]
    deliveries: u32,
    #[serde(rename = "s", default, skip_serializing_if = "is_default")]
    state: State,
    /// Whether it has failed before, which its letter tells of.
    #[serde(rename = "l", default, skip_serializing_if = "is_default")]
    pub(crate) has_letter: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    #[default]
    #[serde(rename = "f")]
    Free,
    /// In the hands of a subscriber, for so many milliseconds.
    #[serde(rename = "h")]
    Held { turn: u64, lease: u64 },
    /// Failed, and to come again after so many milliseconds.
    #[serde(rename = "w")]
    Waits { turn: u64, pause: u64 },
}

/// A delivery: which event, which time, by which claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) position: u64,
    pub(crate) number: u32,
    pub(crate) turn: u64,
}

/// When turns were first seen, as asked by the rules: whether so many milliseconds are over since.
pub(crate) trait Clock {
    fn is_over(&self, turn: u64, milliseconds: u64) -> bool;
}

impl Group {
    /// A group that begins after this position.
    pub(crate) fn new(position: u64) -> Self {
        Self { position, ..Self::default() }
    }

    /// Everything up to here is settled.
    pub(crate) fn floor(&self) -> u64 {
        self.open.first().map_or(self.position, |open| self.position.min(open.position - 1))
    }

    /// All but how far it is: that alone need not be written at once.
    pub(crate) fn without_position(&self) -> (u64, &[Open]) {
        (self.turn, &self.open)
    }

    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        if self.open.len() < WINDOW {
            return false;
        }
        let mut keys = HashSet::new();
        let first = self.open.iter().filter(|open| open.key.is_none_or(|key| keys.insert(key)));
        self.open.len() >= MOST_OPEN || first.count() >= WINDOW
    }

    pub(crate) fn is_open(&self, position: u64) -> bool {
        self.find(position).is_ok()
    }

    /// Takes an event of the log into the open ones, or passes over it.
    pub(crate) fn advance(&mut self, position: u64, wanted: Option<Option<u64>>) {
        if let (Some(key), Err(place)) = (wanted, self.find(position)) {
            self.open.insert(place, Open::new(position, key, false));
        }
        self.position = self.position.max(position);
    }

    /// Goes on from another place; what is open stays so.
    pub(crate) fn seek(&mut self, position: u64) {
        self.turn += 1;
        self.position = position;
    }

    /// Opens a dead letter again; false when there is no room, or it is open.
    pub(crate) fn reopen(&mut self, position: u64, key: Option<u64>) -> bool {
        match self.find(position) {
            Err(place) if !self.is_full() => {
                self.open.insert(place, Open::new(position, key, true));
                true
            }
            _ => false,
        }
    }

    /// Claims the oldest event that is free to go: none of its key is open before it, and its pause
    /// is over.
    pub(crate) fn claim(&mut self, lease: u64, clock: &impl Clock) -> Option<Claim> {
        let mut keys_before = HashSet::new();
        let place = self.open.iter().position(|open| {
            let is_first = open.key.is_none_or(|key| keys_before.insert(key));
            is_first && open.is_free(clock)
        })?;
        self.turn += 1;
        let turn = self.turn;
        let open = &mut self.open[place];
        open.deliveries += 1;
        open.state = State::Held { turn, lease };
        Some(Claim { position: open.position, number: open.deliveries, turn })
    }

    /// A claim whose lease has run out.
    pub(crate) fn expired(&self, clock: &impl Clock) -> Option<Claim> {
        self.open.iter().find_map(|open| match open.state {
            State::Held { turn, lease } if clock.is_over(turn, lease) => {
                Some(Claim { position: open.position, number: open.deliveries, turn })
            }
            _ => None,
        })
    }

    /// The open event of this claim; none when the claim is lost.
    pub(crate) fn held(&self, claim: Claim) -> Option<&Open> {
        let open = &self.open[self.find(claim.position).ok()?];
        matches!(open.state, State::Held { turn, .. } if turn == claim.turn).then_some(open)
    }

    /// It is done, or a dead letter; false when the claim is lost.
    pub(crate) fn close(&mut self, claim: Claim) -> bool {
        let is_held = self.held(claim).is_some();
        if is_held && let Ok(place) = self.find(claim.position) {
            self.open.remove(place);
        }
        is_held
    }

    /// It failed; false when the claim is lost.
    pub(crate) fn fail(&mut self, claim: Claim, next: Next) -> bool {
        let Next::Retry(pause) = next else { return self.close(claim) };
        let Some(open) = self.send_back(claim, pause) else { return false };
        open.has_letter = true;
        true
    }

    /// It was not tried, or not for a reason of its own: it comes again after the pause, as if it had
    /// not been delivered; false when the claim is lost.
    pub(crate) fn take_back(&mut self, claim: Claim, pause: Duration) -> bool {
        let Some(open) = self.send_back(claim, pause) else { return false };
        open.deliveries -= 1;
        true
    }

    /// It comes again after the pause; none when the claim is lost.
    fn send_back(&mut self, claim: Claim, pause: Duration) -> Option<&mut Open> {
        self.held(claim)?;
        let place = self.find(claim.position).ok()?;
        self.turn += 1;
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let open = &mut self.open[place];
        open.state = State::Waits { turn: self.turn, pause };
        Some(open)
    }

    /// It was claimed and not handed out: as if it had not been.
    pub(crate) fn release(&mut self, claim: Claim) {
        if self.held(claim).is_some()
            && let Ok(place) = self.find(claim.position)
        {
            let open = &mut self.open[place];
            open.deliveries -= 1;
            open.state = State::Free;
        }
    }

    /// The turns that something waits for, and for how many milliseconds.
    pub(crate) fn waits(&self) -> impl Iterator<Item = (u64, u64)> {
        self.open.iter().filter_map(|open| match open.state {
            State::Free => None,
            State::Held { turn, lease } => Some((turn, lease)),
            State::Waits { turn, pause } => Some((turn, pause)),
        })
    }

    fn find(&self, position: u64) -> Result<usize, usize> {
        self.open.binary_search_by_key(&position, |open| open.position)
    }
}

impl Open {
    fn new(position: u64, key: Option<u64>, has_letter: bool) -> Self {
        Self { position, key, deliveries: 0, state: State::Free, has_letter }
    }

    fn is_free(&self, clock: &impl Clock) -> bool {
        match self.state {
            State::Free => true,
            State::Held { .. } => false,
            State::Waits { turn, pause } => clock.is_over(turn, pause),
        }
    }
}

/// Most open events wait untouched: what says so need not be written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The hash of a partition key: the same in every process (FNV-1a, 64 bits).
pub(crate) fn hash(key: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    key.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Nothing is over, or everything is.
    struct Still;
    struct Later;

    impl Clock for Still {
        fn is_over(&self, _: u64, milliseconds: u64) -> bool {
            milliseconds == 0
        }
    }

    impl Clock for Later {
        fn is_over(&self, _: u64, _: u64) -> bool {
            true
        }
    }

    #[test]
    fn one_of_a_key_is_out_at_a_time_and_others_go_on() {
        let mut group = group(&[Some("a"), Some("a"), Some("b"), None, None]);
        let claims: Vec<_> = std::iter::from_fn(|| group.claim(1000, &Still)).collect();
        let positions: Vec<_> = claims.iter().map(|claim| claim.position).collect();
        assert_eq!(positions, [1, 3, 4, 5]);
        assert!(group.close(claims[0]));
        assert_eq!(group.claim(1000, &Still).unwrap().position, 2);
    }

    #[test]
    fn what_failed_comes_again_after_its_pause_before_the_next_of_its_key() {
        let mut group = group(&[Some("a"), Some("a")]);
        let first = group.claim(1000, &Still).unwrap();
        assert!(group.fail(first, Next::Retry(Duration::from_secs(1))));
        assert_eq!(group.claim(1000, &Still), None);
        let again = group.claim(1000, &Later).unwrap();
        assert_eq!((again.position, again.number), (1, 2));
        assert!(group.fail(again, Next::Dead));
        assert_eq!(group.claim(1000, &Still).unwrap().position, 2);
    }

    #[test]
    fn a_claim_that_was_lost_settles_nothing() {
        let mut group = group(&[None]);
        let lost = group.claim(1000, &Still).unwrap();
        assert_eq!(group.expired(&Still), None);
        assert_eq!(group.expired(&Later), Some(lost));
        assert!(group.fail(lost, Next::Retry(Duration::ZERO)));
        let again = group.claim(1000, &Still).unwrap();
        assert!(!group.close(lost));
        assert!(!group.fail(lost, Next::Dead));
        group.release(lost);
        assert!(group.close(again));
    }

    #[test]
    fn what_was_not_handed_out_counts_as_no_delivery() {
        let mut group = group(&[None]);
        let claim = group.claim(1000, &Still).unwrap();
        group.release(claim);
        assert_eq!(group.claim(1000, &Still).unwrap().number, 1);
    }

    #[test]
    fn going_back_opens_nothing_twice_and_a_letter_is_opened_in_its_place() {
        let mut group = group(&[Some("a"), Some("a"), Some("a")]);
        let first = group.claim(1000, &Still).unwrap();
        group.close(first);
        group.seek(0);
        for position in 1..=3 {
            group.advance(position, Some(Some(hash("a"))));
        }
        assert_eq!(group.open.len(), 3);
        let first = group.claim(1000, &Still).unwrap();
        group.close(first);
        assert!(group.reopen(1, Some(hash("a"))) && !group.reopen(2, Some(hash("a"))));
        assert_eq!(group.claim(1000, &Still).unwrap().position, 1);
    }

    #[test]
    fn a_group_looks_ahead_past_those_that_wait_for_their_key_but_not_for_ever() {
        assert!(!group(&[None; WINDOW - 1]).is_full() && group(&[None; WINDOW]).is_full());
        let behind = group(&[Some("a"); MOST_OPEN]);
        assert!(behind.is_full() && !group(&[Some("a"); MOST_OPEN - 1]).is_full());
        let json = serde_json::to_string(&behind).unwrap();
        assert!(json.len() < 300_000, "{}", json.len());
    }

    #[test]
    fn what_is_kept_can_be_read_again_and_is_small() {
        let mut group = group(&[Some("a"), None, Some("b"), Some("b")]);
        let claim = group.claim(30_000, &Still).unwrap();
        group.claim(30_000, &Still);
        group.fail(claim, Next::Retry(Duration::from_secs(1)));
        let json = serde_json::to_string(&group).unwrap();
        assert_eq!(serde_json::from_str::<Group>(&json).unwrap(), group);
        assert!(json.len() < 4 * 90, "{json}");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Claim,
        Close(usize),
        Fail(usize),
        Expire,
        Release(usize),
    }

    proptest! {
        #[test]
        fn order_by_key_holds_whatever_fails_and_nothing_is_lost(
            keys in vec(prop::option::of(0..3_u8), 1..30),
            steps in vec(prop_oneof![
                4 => Just(Step::Claim),
                2 => (0..10_usize).prop_map(Step::Close),
                1 => (0..10_usize).prop_map(Step::Fail),
                1 => Just(Step::Expire),
                1 => (0..10_usize).prop_map(Step::Release),
            ], 0..200),
        ) {
            let names: Vec<_> = keys.iter().map(|key| key.map(|key| key.to_string())).collect();
            let borrowed: Vec<_> = names.iter().map(Option::as_deref).collect();
            let mut group = group(&borrowed);
            let (mut held, mut done) = (Vec::new(), Vec::new());
            for step in steps.into_iter().chain((0..400).map(|n| match n % 2 {
                0 => Step::Claim,
                _ => Step::Close(0),
            })) {
                match step {
                    Step::Claim => held.extend(group.claim(1000, &Later)),
                    Step::Close(n) if n < held.len() => {
                        let claim: Claim = held.remove(n);
                        if group.close(claim) {
                            done.push(claim.position);
                        }
                    }
                    Step::Fail(n) if n < held.len() => {
                        group.fail(held.remove(n), Next::Retry(Duration::from_secs(1)));
                    }
                    Step::Release(n) if n < held.len() => group.release(held.remove(n)),
                    Step::Expire => {
                        if let Some(claim) = group.expired(&Later) {
                            group.fail(claim, Next::Retry(Duration::ZERO));
                        }
                    }
                    _ => (),
                }
                let mut out: Vec<_> = group.open.iter()
                    .filter(|open| matches!(open.state, State::Held { .. }))
                    .filter_map(|open| open.key)
                    .collect();
                let count = out.len();
                out.sort_unstable();
                out.dedup();
                prop_assert_eq!(out.len(), count, "two of a key are out");
            }
            let mut all = done.clone();
            all.sort_unstable();
            prop_assert_eq!(all, (1..=keys.len() as u64).collect::<Vec<_>>());
            for key in 0..3_u8 {
                let of_key: Vec<_> =
                    done.iter().filter(|p| keys[**p as usize - 1] == Some(key)).collect();
                prop_assert!(of_key.is_sorted(), "{of_key:?}");
            }
        }
    }

    /// A group with these events open, by their keys.
    fn group(keys: &[Option<&str>]) -> Group {
        let mut group = Group::new(0);
        for (position, key) in (1..).zip(keys) {
            group.advance(position, Some(key.map(hash)));
        }
        group
    }
}
