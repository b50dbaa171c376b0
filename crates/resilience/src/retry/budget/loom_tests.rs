//! Every interleaving of two threads.

use loom::thread;

use super::*;

#[test]
fn no_success_is_lost_or_counted_twice() {
    loom::model(|| {
        let now = crate::testing::now();
        let budget = Budget::try_new(100, 0).unwrap();
        // The second deposit and all later ones of the second take no lock.
        budget.deposit(now);
        let other = budget.clone();
        let thread = thread::spawn(move || other.deposit(now));
        let mine = u64::from(budget.withdraw(now));
        thread.join().unwrap();
        assert_eq!(mine + budget.left(now), 2);
        assert_eq!(mine, 1);
    });
}

#[test]
fn a_success_that_meets_the_turn_of_the_second_is_counted_once() {
    loom::model(|| {
        let now = crate::testing::now();
        let later = now + Duration::from_secs(1);
        let budget = Budget::try_new(100, 0).unwrap();
        budget.deposit(now);
        let other = budget.clone();
        let thread = thread::spawn(move || other.deposit(now));
        budget.deposit(later);
        thread.join().unwrap();
        assert_eq!(budget.left(later), 3);
    });
}

#[test]
fn of_two_who_want_the_last_retry_one_gets_it() {
    loom::model(|| {
        let now = crate::testing::now();
        let budget = Budget::try_new(100, 0).unwrap();
        budget.deposit(now);
        let other = budget.clone();
        let thread = thread::spawn(move || u64::from(other.withdraw(now)));
        let mine = u64::from(budget.withdraw(now));
        assert_eq!(mine + thread.join().unwrap(), 1);
        assert_eq!(budget.left(now), 0);
    });
}

#[test]
fn a_retry_that_meets_the_turn_of_the_window_is_not_paid_for_by_what_has_left_it() {
    loom::model(|| {
        let now = crate::testing::now();
        let later = now + Budget::WINDOW;
        let budget = Budget::try_new(100, 0).unwrap();
        budget.deposit(now);
        let other = budget.clone();
        let thread = thread::spawn(move || other.left(later));
        // Whoever comes later finds nothing, whoever turned the window.
        assert!(!budget.withdraw(later));
        assert_eq!(thread.join().unwrap(), 0);
    });
}

#[test]
fn a_retry_that_is_put_back_is_there_once() {
    loom::model(|| {
        let now = crate::testing::now();
        let budget = Budget::try_new(100, 0).unwrap();
        budget.deposit(now);
        let taken = budget.take(now).unwrap();
        let other = budget.clone();
        let thread = thread::spawn(move || u64::from(other.withdraw(now)));
        drop(taken);
        let others = thread.join().unwrap();
        assert_eq!(others + budget.left(now), 1);
    });
}
