//! What a budget gives, and what it never does.

use proptest::prelude::*;

use super::*;
use crate::testing::now;

const SLOTS: u64 = Budget::WINDOW.as_secs();

fn withdrawals(budget: &Budget, now: Instant) -> u64 {
    (0..10_000).take_while(|_| budget.withdraw(now)).count() as u64
}

#[test]
fn a_quiet_caller_has_the_floor() {
    let (budget, now) = (Budget::default(), now());
    assert_eq!(budget.left(now), 30);
    assert_eq!(withdrawals(&budget, now), 30);
    assert!(!budget.withdraw(now));
}

#[test]
fn a_fifth_of_the_successes_is_added() {
    let (budget, now) = (Budget::try_new(20, 0).unwrap(), now());
    (0..99).for_each(|_| budget.deposit(now));
    assert_eq!(withdrawals(&budget, now), 19);
}

#[test]
fn both_are_forgotten_after_ten_seconds() {
    let (budget, now) = (Budget::try_new(100, 1).unwrap(), now());
    (0..5).for_each(|_| budget.deposit(now));
    assert_eq!(withdrawals(&budget, now), 15);
    let later = now + Duration::from_millis(9_999);
    assert_eq!(budget.left(later), 0);
    assert_eq!(budget.left(now + Budget::WINDOW), 10);
    assert_eq!(budget.left(now + Duration::from_secs(3_000_000)), 10);
}

#[test]
fn time_that_runs_back_stands_still() {
    let (budget, now) = (Budget::try_new(100, 0).unwrap(), now());
    for _ in 0..4 {
        budget.deposit(now + Duration::from_secs(5));
        budget.deposit(now);
    }
    assert_eq!(budget.left(now), 8);
    assert_eq!(budget.left(now + Duration::from_secs(5)), 8);
}

#[test]
fn a_retry_that_never_went_out_is_put_back() {
    let (budget, now) = (Budget::try_new(0, 1).unwrap(), now());
    let taken: Vec<_> = (0..10).filter_map(|_| budget.take(now)).collect();
    assert!(taken.len() == 10 && budget.take(now).is_none());
    for (turn, withdrawal) in taken.into_iter().enumerate() {
        if turn < 4 {
            withdrawal.spend();
        }
    }
    assert_eq!(budget.left(now), 6);
}

#[test]
fn a_retry_that_is_put_back_when_it_counts_no_more_changes_nothing() {
    let (budget, now) = (Budget::try_new(0, 1).unwrap(), now());
    let late = budget.take(now).unwrap();
    let later = now + Budget::WINDOW;
    assert_eq!(budget.left(later), 10);
    drop(late);
    assert_eq!(budget.left(later), 10);
}

#[test]
fn a_long_silence_forgets_all_at_once() {
    let (budget, now) = (Budget::try_new(100, 0).unwrap(), now());
    budget.deposit(now);
    assert_eq!(budget.left(now + Budget::WINDOW), 0);
    budget.deposit(now + Budget::WINDOW);
    assert_eq!(budget.left(now + 100 * Budget::WINDOW), 0);
}

#[test]
fn another_share_goes_for_what_was_counted() {
    let (budget, now) = (Budget::try_new(0, 0).unwrap(), now());
    (0..100).for_each(|_| budget.deposit(now));
    assert!(!budget.withdraw(now));
    budget.reconfigure(10, 1).unwrap();
    assert_eq!(withdrawals(&budget, now), 20);
    budget.reconfigure(5, 0).unwrap();
    assert!(!budget.withdraw(now));
    assert!(budget.reconfigure(101, 0).is_err());
}

#[test]
fn threads_that_share_it_take_out_what_they_put_in_and_no_more() {
    let (budget, now) = (Budget::try_new(20, 1).unwrap(), now());
    let taken = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for step in 0..1_000 {
                    let now = now + Duration::from_millis(step);
                    budget.deposit(now);
                    let allowed = u64::from(budget.withdraw(now));
                    taken.fetch_add(allowed, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    let all = taken.into_inner() + budget.left(now);
    assert_eq!(all, 4_000 / 5 + 10);
}

#[test]
fn a_share_over_the_whole_is_refused() {
    assert!(Budget::try_new(101, 0).unwrap_err().to_string().contains("`101` percent"));
}

proptest! {
    #[test]
    fn retries_are_at_most_the_share_of_successes_plus_the_floor(
        steps in prop::collection::vec((0_u64..3_000, 0_u32..40, 0_u32..40), 1..80),
        percent in 0_u32..=100, floor in 0_u32..5,
    ) {
        let (budget, start) = (Budget::try_new(percent, floor).unwrap(), now());
        let mut elapsed = Duration::ZERO;
        let (mut all_successes, mut all_retries) = (0, 0);
        let mut taken: Vec<(u64, u64, u64)> = Vec::new();
        budget.deposit(start);
        for (millis, successes, tries) in steps {
            elapsed += Duration::from_millis(millis);
            let (now, second) = (start + elapsed, elapsed.as_secs());
            (0..successes).for_each(|_| budget.deposit(now));
            let retries = (0..tries).filter(|_| budget.withdraw(now)).count() as u64;
            taken.push((second, successes.into(), retries));
            let share = |successes: u64| successes * u64::from(percent) / 100;
            let floor = u64::from(floor) * SLOTS;

            // The first deposit counts until second 9.
            let recent = taken.iter().filter(|(then, ..)| then + SLOTS > second);
            let first = u64::from(second < SLOTS);
            let (recent_successes, recent_retries) =
                recent.fold((first, 0), |(a, b), (_, s, r)| (a + s, b + r));
            let most = share(recent_successes) + floor;
            prop_assert!(retries == 0 || recent_retries <= most, "{recent_retries} > {most}");

            all_successes += u64::from(successes);
            all_retries += retries;
            let most = share(1 + all_successes) + floor * (1 + second / SLOTS);
            prop_assert!(all_retries <= most, "{all_retries} > {most}");
        }
    }
}
