//! One shard against a limiter that remembers all calls.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rate_limit::window::{Rule, Window};

const RULE: Rule = Rule { limit: 3, window: 100, tick: Duration::from_micros(1) };

fn hash_of(client: u64) -> u64 {
    client.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// When each client's admitted calls came.
type Admitted = BTreeMap<u64, Vec<u64>>;

fn in_window(admitted: &Admitted, client: u64, now: u64) -> usize {
    let calls = admitted.get(&client).into_iter().flatten();
    calls.filter(|call| now - **call < u64::from(RULE.window)).count()
}

fn calls(clients: u64, longest_wait: u64) -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..clients, 0..=longest_wait), 1..600)
}

proptest! {
    #[test]
    fn with_room_for_all_it_decides_as_if_it_remembered_all(calls in calls(8, 30)) {
        let (mut shard, mut admitted, mut now) = (Shard::<Window>::new(8, 2), Admitted::new(), 1);
        for (client, wait) in calls {
            now += wait;
            let used = in_window(&admitted, client, now);
            let decision = shard.check(RULE, hash_of(client), now);
            prop_assert_eq!(decision.allowed, used < 3);
            if decision.allowed {
                admitted.entry(client).or_default().push(now);
            }
            let used = in_window(&admitted, client, now);
            prop_assert_eq!(decision.remaining as usize, 3 - used);

            // What it says about later is what happens later.
            let mine = &admitted[&client];
            let until = |call: u64| Duration::from_micros(call + 100 - now);
            prop_assert_eq!(decision.reset, until(mine[mine.len() - 1]));
            let expected = match used {
                3 => until(mine[mine.len() - 3]),
                _ => Duration::ZERO,
            };
            prop_assert_eq!(decision.retry_after, expected);
        }
    }

    #[test]
    fn admits_at_most_the_limit_in_every_window_however_many_clients(calls in calls(40, 12)) {
        // Far more clients than room: shared windows, evictions, and ways back from both.
        let (mut shard, mut admitted, mut now) = (Shard::<Window>::new(4, 2), Admitted::new(), 1);
        for (client, wait) in calls {
            now += wait;
            if shard.check(RULE, hash_of(client), now).allowed {
                admitted.entry(client).or_default().push(now);
            }
            prop_assert!(in_window(&admitted, client, now) <= 3);
        }
    }

    #[test]
    fn memory_stays_under_the_stated_bytes(calls in calls(1_000, 3), limit in 1_u32..20) {
        let rule = Rule { limit, ..RULE };
        let (mut shard, mut now) = (Shard::<Window>::new(16, 4), 1);
        for (client, wait) in calls {
            now += wait;
            shard.check(rule, hash_of(client), now);
            prop_assert!(shard.bytes() <= Shard::<Window>::most_bytes(16, 4, rule));
        }
    }

    #[test]
    fn time_that_runs_back_stands_still(calls in prop::collection::vec(0_u64..300, 1..200)) {
        let (mut shard, mut latest, mut admitted) = (Shard::<Window>::new(1, 1), 0, Admitted::new());
        for now in calls {
            latest = latest.max(now);
            if shard.check(RULE, 7, now).allowed {
                admitted.entry(7).or_default().push(latest);
            }
            prop_assert!(in_window(&admitted, 7, latest) <= 3);
        }
    }
}

#[test]
fn a_client_comes_back_after_the_tick_has_come_round() {
    // The lower half of the tick is then a little more, or a little less, than it was.
    for away in [(1 << 32) + 10, (1 << 32) - 10] {
        let mut shard = Shard::<Window>::new(1, 1);
        for turn in 0..5 {
            let now = 1 + turn * away;
            let admitted = (0..5).filter(|_| shard.check(RULE, 7, now).allowed).count();
            assert_eq!(admitted, 3);
        }
    }
}

#[test]
fn a_window_across_the_turn_of_the_tick_is_one_window() {
    let (mut shard, before) = (Shard::<Window>::new(1, 1), (1 << 32) - 50);
    (0..3).for_each(|_| assert!(shard.check(RULE, 7, before).allowed));
    let decision = shard.check(RULE, 7, before + 99);
    assert!(!decision.allowed);
    assert_eq!(decision.retry_after, Duration::from_micros(1));
    assert!(shard.check(RULE, 7, before + 100).allowed);
}

#[test]
fn a_client_without_calls_in_the_window_makes_room() {
    let mut shard = Shard::<Window>::new(2, 1);
    for client in 0..100 {
        let now = 1 + client * 100;
        assert!((0..3).all(|_| shard.check(RULE, hash_of(client), now).allowed), "{client}");
    }
}

#[test]
fn a_newcomer_to_a_full_shard_shares_and_takes_along_what_was_shared() {
    let mut shard = Shard::<Window>::new(1, 1);
    assert!(shard.check(RULE, 1, 1).allowed);
    // No room: both newcomers share one window.
    assert!(shard.check(RULE, 2, 50).allowed);
    assert!(shard.check(RULE, 3, 50).allowed);
    assert_eq!(shard.check(RULE, 2, 60).remaining, 0);
    // Client 1 has left; the newcomer gets its slot, but not a new window.
    assert!(!shard.check(RULE, 2, 110).allowed);
    assert!(shard.check(RULE, 2, 150).allowed);
}

#[test]
fn the_client_whose_last_call_is_longest_ago_makes_room() {
    let mut shard = Shard::<Window>::new(2, 1);
    for (client, now) in [(1, 1), (2, 50), (1, 90)] {
        assert!(shard.check(RULE, hash_of(client), now).allowed);
    }
    assert!(shard.check(RULE, hash_of(3), 155).allowed);
    let held: Vec<u64> = shard.slots.iter().map(|slot| slot.hash).collect();
    assert_eq!(held, [hash_of(1), hash_of(3)]);
}
