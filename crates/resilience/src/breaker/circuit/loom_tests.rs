//! Every interleaving of two threads: `RUSTFLAGS="--cfg loom" cargo test --lib loom`.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use loom::thread;

use super::*;
use crate::breaker::Breaker;

const OPEN_FOR: Duration = Duration::from_secs(60);

#[test]
fn a_success_never_hides_an_opening_and_it_is_announced_once() {
    loom::model(|| {
        let (now, announced) = (crate::testing::now(), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&announced);
        let observer: Observer = Arc::new(move |_| {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        let breaker = Breaker::try_observed(settings(1), observer).unwrap();
        let other = breaker.clone();
        let thread = thread::spawn(move || report(&other, now, Outcome::Failure));
        report(&breaker, now, Outcome::Success);
        thread.join().unwrap();
        assert_eq!(breaker.state(now), State::Open);
        assert_eq!(announced.load(std::sync::atomic::Ordering::SeqCst), 1);
    });
}

#[test]
fn failures_of_two_threads_are_in_a_row() {
    loom::model(|| {
        let now = crate::testing::now();
        let breaker = Breaker::try_new(settings(2)).unwrap();
        let other = breaker.clone();
        let thread = thread::spawn(move || report(&other, now, Outcome::Failure));
        report(&breaker, now, Outcome::Failure);
        thread.join().unwrap();
        assert_eq!(breaker.state(now), State::Open);
    });
}

#[test]
fn a_thread_sees_its_own_failure_before_its_success() {
    loom::model(|| {
        let now = crate::testing::now();
        let breaker = Breaker::try_new(settings(2)).unwrap();
        let other = breaker.clone();
        let thread = thread::spawn(move || report(&other, now, Outcome::Success));
        report(&breaker, now, Outcome::Failure);
        report(&breaker, now, Outcome::Success);
        thread.join().unwrap();
        report(&breaker, now, Outcome::Failure);
        assert_eq!(breaker.state(now), State::Closed);
    });
}

#[test]
fn a_success_without_the_lock_is_counted_once_while_another_thread_counts_a_failure() {
    loom::model(|| {
        let now = crate::testing::now();
        let breaker = Breaker::try_new(settings(9)).unwrap();
        // The first call begins the slot; those after it take no lock.
        report(&breaker, now, Outcome::Success);
        let other = breaker.clone();
        let thread = thread::spawn(move || report(&other, now, Outcome::Success));
        report(&breaker, now, Outcome::Failure);
        thread.join().unwrap();
        let status = breaker.status(now);
        assert_eq!((status.calls, status.failures), (3, 1));
    });
}

#[test]
fn one_of_two_threads_probes() {
    loom::model(|| {
        let now = crate::testing::now();
        let later = now + OPEN_FOR;
        let breaker = Breaker::try_new(settings(1)).unwrap();
        report(&breaker, now, Outcome::Failure);
        let other = breaker.clone();
        let thread = thread::spawn(move || other.admit(later).ok());
        let mine = breaker.admit(later).ok();
        let theirs = thread.join().unwrap();
        assert!(mine.is_some() != theirs.is_some());
    });
}

#[test]
fn who_has_seen_it_closed_is_not_rejected_by_an_opening_before() {
    loom::model(|| {
        let now = crate::testing::now();
        let later = now + OPEN_FOR / 2;
        let breaker = Breaker::try_new(settings(1)).unwrap();
        report(&breaker, now, Outcome::Failure);
        breaker.reconfigure(settings(2)).unwrap();
        let other = breaker.clone();
        let thread = thread::spawn(move || {
            other.reset();
            // Not at rest again, so that calls ask whether it is open.
            report(&other, later, Outcome::Failure);
        });
        if breaker.state(later) == State::Closed {
            assert!(breaker.enter(later).is_ok());
        }
        thread.join().unwrap();
        assert!(breaker.enter(later).is_ok());
    });
}

#[test]
fn who_has_heard_of_an_opening_finds_the_mark_and_is_rejected() {
    loom::model(|| {
        let (now, heard) =
            (crate::testing::now(), Arc::new(loom::sync::atomic::AtomicBool::new(false)));
        let tell = Arc::clone(&heard);
        let observer: Observer = Arc::new(move |_| tell.store(true, Ordering::Release));
        let breaker = Breaker::try_observed(settings(1), observer).unwrap();
        let other = breaker.clone();
        let thread = thread::spawn(move || report(&other, now, Outcome::Failure));
        if heard.load(Ordering::Acquire) {
            assert!(breaker.is_marked() && breaker.enter(now + OPEN_FOR / 2).is_err());
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_mark_is_taken_only_by_who_then_sees_the_opening() {
    loom::model(|| {
        let now = crate::testing::now();
        let breaker = Breaker::try_new(settings(1)).unwrap();
        let other = breaker.clone();
        let thread = thread::spawn(move || report(&other, now, Outcome::Failure));
        breaker.unmark();
        let has_seen = breaker.state(now) == State::Open;
        thread.join().unwrap();
        assert!(has_seen || breaker.is_marked());
    });
}

fn settings(failure_threshold: u32) -> Settings {
    Settings::default().with_failure_threshold(failure_threshold).with_open_for(OPEN_FOR)
}

/// Makes a call that ends like this, if it is admitted.
fn report(breaker: &Breaker, now: Instant, outcome: Outcome) {
    if let Ok(permit) = breaker.admit(now) {
        permit.record(now, outcome);
    }
}
