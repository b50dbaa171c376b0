//! The rule that keeps the last known set.

use std::time::{Duration, Instant};

use regatta_core::{Endpoint, Instance};
use regatta_discovery::{Freshness, LastKnown};

const GRACE: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_failure_keeps_the_set_and_says_since_when_it_is_stale() {
    let (mut known, now) = with_one_instance();
    let set = known.failure(now + SECOND).unwrap();
    assert_eq!(set.freshness, Freshness::Stale { since: now + SECOND });
    assert_eq!(set.stale_for(now + 4 * SECOND), Some(3 * SECOND));
    assert_eq!((set.instances.len(), set.generation), (1, 1));
    assert!(known.failure(now + 2 * SECOND).is_none(), "nothing new to say");
}

#[test]
fn before_the_first_answer_a_failure_leaves_the_set_unknown() {
    let mut known = LastKnown::new(GRACE);
    assert!(known.failure(now()).is_none());
    assert_eq!(known.set().freshness, Freshness::Unknown);
    assert_eq!(known.set().stale_for(now()), None);
    let set = known.answer(now(), Vec::new()).unwrap();
    assert_eq!(set.freshness, Freshness::Fresh);
}

#[test]
fn an_empty_answer_without_an_outage_is_believed() {
    let (mut known, now) = with_one_instance();
    let set = known.answer(now + SECOND, Vec::new()).unwrap();
    assert!(set.instances.is_empty());
    assert_eq!((set.freshness, set.generation), (Freshness::Fresh, 2));
}

#[test]
fn an_empty_answer_after_an_outage_is_not_believed_before_the_grace_is_over() {
    let (mut known, now) = with_one_instance();
    known.failure(now + SECOND);
    let back = now + 10 * SECOND;
    assert!(known.answer(back, Vec::new()).is_none());
    assert_eq!(known.set().instances.len(), 1);
    assert_eq!(known.recheck_after(back + SECOND), Some(GRACE - SECOND));
    assert!(known.answer(back + GRACE - SECOND, Vec::new()).is_none());
    let set = known.answer(back + GRACE, Vec::new()).unwrap();
    assert!(set.instances.is_empty());
    assert_eq!(set.freshness, Freshness::Fresh);
    assert_eq!(known.recheck_after(back + GRACE), None);
}

#[test]
fn an_empty_answer_after_a_reset_is_not_believed_either_and_makes_the_set_stale() {
    let (mut known, now) = with_one_instance();
    known.reset(now + SECOND);
    assert_eq!(known.set().freshness, Freshness::Fresh);
    let set = known.answer(now + 2 * SECOND, Vec::new()).unwrap();
    assert_eq!(set.freshness, Freshness::Stale { since: now + SECOND });
    assert_eq!(set.instances.len(), 1);
}

#[test]
fn whoever_comes_back_after_an_outage_is_believed_at_once_and_fresh() {
    let (mut known, now) = with_one_instance();
    known.failure(now + SECOND);
    let set = known.answer(now + 2 * SECOND, vec![instance(2)]).unwrap();
    assert_eq!(*set.instances, [instance(2)]);
    assert_eq!((set.freshness, set.generation), (Freshness::Fresh, 2));
    assert_eq!(known.recheck_after(now + 3 * SECOND), None);
    let set = known.answer(now + 3 * SECOND, Vec::new()).unwrap();
    assert_eq!((set.freshness, set.instances.len()), (Freshness::Fresh, 0));
}

#[test]
fn the_same_answer_after_an_outage_is_fresh_without_a_new_generation() {
    let (mut known, now) = with_one_instance();
    known.failure(now + SECOND);
    let set = known.answer(now + 2 * SECOND, vec![instance(1)]).unwrap();
    assert_eq!((set.freshness, set.generation), (Freshness::Fresh, 1));
    assert!(known.answer(now + 3 * SECOND, vec![instance(1)]).is_none());
}

#[test]
fn an_outage_that_never_healed_counts_from_its_beginning() {
    let (mut known, now) = with_one_instance();
    known.failure(now + SECOND);
    assert!(known.answer(now + 2 * SECOND, Vec::new()).is_none());
    assert!(known.failure(now + 3 * SECOND).is_none());
    assert_eq!(known.set().freshness, Freshness::Stale { since: now + SECOND });
}

#[test]
fn in_a_wiped_registry_the_first_to_register_does_not_stand_alone() {
    let mut known = LastKnown::new(GRACE);
    let now = now();
    known.answer(now, vec![instance(1), instance(2), instance(3)]);
    known.failure(now + SECOND);
    known.reset(now + 2 * SECOND);
    let back = now + 2 * SECOND;
    assert!(known.answer(back, vec![instance(2)]).is_none(), "all of them, and stale as before");
    assert_eq!(known.set().instances.len(), 3);
    // Named once and then no more: it has left.
    let set = known.answer(back + SECOND, vec![instance(3), instance(4)]).unwrap();
    assert_eq!(*set.instances, [instance(1), instance(3), instance(4)]);
    assert_eq!(set.freshness, Freshness::Stale { since: now + SECOND });
    let set = known.answer(back + GRACE, vec![instance(3), instance(4)]).unwrap();
    assert_eq!(*set.instances, [instance(3), instance(4)], "no ghost for longer than the grace");
    assert_eq!(set.freshness, Freshness::Fresh);
}

#[test]
fn a_source_that_names_all_at_once_is_believed_with_its_first_name() {
    let (now, two) = (now(), vec![instance(1), instance(2)]);
    let mut known = LastKnown::new(GRACE).naming_all_at_once();
    known.answer(now, two);
    known.failure(now + SECOND);
    assert!(known.answer(now + 2 * SECOND, Vec::new()).is_none());
    let set = known.answer(now + 3 * SECOND, vec![instance(2)]).unwrap();
    assert_eq!((set.instances.len(), set.freshness), (1, Freshness::Fresh));
}

#[test]
fn a_wiped_registry_that_has_named_all_is_believed_before_the_grace_is_over() {
    let (mut known, now) = with_one_instance();
    known.reset(now + SECOND);
    assert!(known.answer(now + SECOND, vec![instance(1)]).is_none());
    assert_eq!(known.recheck_after(now + SECOND), None);
    let set = known.answer(now + 2 * SECOND, Vec::new()).unwrap();
    assert_eq!((set.freshness, set.instances.len()), (Freshness::Fresh, 0));
}

fn with_one_instance() -> (LastKnown, Instant) {
    let mut known = LastKnown::new(GRACE);
    let set = known.answer(now(), vec![instance(1)]).unwrap();
    assert_eq!(set.generation, 1);
    (known, now())
}

fn instance(port: u16) -> Instance {
    Instance::new("users".parse().unwrap(), Endpoint::try_new("127.0.0.1", port).unwrap())
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
