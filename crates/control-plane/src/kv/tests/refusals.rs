//! What a full store and a corrupt one refuse.

use super::*;

#[test]
fn a_full_store_takes_no_puts_until_somebody_made_room() {
    let mut real = Real::new();
    let limits = Limits { quota_bytes: 1000, ..LIMITS };
    let mut entries = Vec::new();
    let now = real.now();
    let mut transition = Transition::new(&mut real.state, &mut entries, limits, now);
    let mut puts = 0;
    while transition.operation(put(0, 1, 0)).is_ok() {
        puts += 1;
    }
    assert!((2..10).contains(&puts), "{puts}");
    assert_eq!(transition.operation(put(1, 1, 0)), Err(Rejection::NoSpace));
    assert!(transition.operation(delete(0, 3)).is_ok());
    transition.compact(transition.revision()).unwrap();
    transition.set_alarm(Alarm::NoSpace, 0, false);
    real.state.drop_compacted(None);
    let mut transition = Transition::new(&mut real.state, &mut entries, limits, now);
    assert!(transition.operation(put(1, 1, 0)).is_ok());
}

#[test]
fn a_put_that_keeps_its_value_takes_as_much_of_the_quota_as_one_that_brings_it() {
    let mut real = Real::new();
    let limits = Limits { quota_bytes: 10_000, ..LIMITS };
    let mut entries = Vec::new();
    let now = real.now();
    let mut transition = Transition::new(&mut real.state, &mut entries, limits, now);
    let put = |value: Option<Bytes>| {
        let key = "a".into();
        Operation::Put(Put { key, value, lease: Some(0), previous: false })
    };
    transition.operation(put(Some(vec![1; 6000].into()))).unwrap();
    assert_eq!(transition.operation(put(None)), Err(Rejection::NoSpace));
}

#[test]
fn a_corrupt_store_refuses_changes_and_lets_leases_end() {
    let mut real = Real::new();
    real.write(|transition| transition.grant(1, 0, 5)).unwrap();
    real.write(|transition| {
        transition.set_alarm(Alarm::Corrupt, 0, true);
        Ok(())
    })
    .unwrap();
    assert_eq!(
        real.write(|transition| transition.operation(put(0, 1, 0))),
        Err(Rejection::Corrupt)
    );
    real.seconds = 9;
    real.write(|_| Ok(())).unwrap();
    assert_eq!(real.state.leases().len(), 0);
}
