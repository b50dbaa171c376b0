//! What holds whatever happens, in whatever order.

use std::collections::HashMap;

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::{Just, Strategy as _};
use regatta_core::InstanceId;
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{
    Hints, InstanceView, Outcome, Override, Picked, Policies, Tried, View,
};

use crate::support::{Fleet, MILLI, instance};

/// One thing that may happen.
#[derive(Clone, Debug)]
enum Step {
    Pick,
    Finish(prop::sample::Index, Outcome),
    /// Fails so many calls in a row at whoever is picked.
    FailMany(u8),
    Wait(u64),
    Replace(Vec<(u16, u64)>),
    Force(u16, Override),
    Configure(Strategy, u32),
}

proptest! {
    #[test]
    fn an_open_breaker_gets_no_call_but_probes_and_ejections_keep_their_share(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut fleet = Fleet::new(Policies::default(), (0..6).map(instance).collect());
        let mut held: Vec<Picked<u16>> = Vec::new();
        for step in steps {
            match step {
                Step::Pick => {
                    let before = fleet.cluster.view(fleet.now);
                    if let Ok(picked) = fleet.pick() {
                        let id = picked.instance().id.to_string();
                        let was = before.instances.iter().find(|instance| instance.id == id);
                        let was = was.unwrap();
                        prop_assert!(
                            was.breaker != "open" || is_overruled(&before, was), "{was:?}",
                        );
                        prop_assert!(was.usable, "{was:?}");
                        prop_assert!(was.ejected_for_ms.is_none() || before.panic, "{was:?}");
                        held.push(picked);
                    } else if before.breaker == "closed" {
                        let nobody = before.instances.iter().all(|instance| !instance.usable);
                        prop_assert!(nobody, "{before:?}");
                    }
                }
                Step::Finish(which, outcome) if !held.is_empty() => {
                    let picked = held.swap_remove(which.index(held.len()));
                    picked.finish(fleet.now, outcome, MILLI);
                }
                Step::Finish(..) => (),
                Step::FailMany(times) => {
                    for _ in 0..times {
                        drop(fleet.call(Outcome::Failure));
                    }
                }
                Step::Wait(millis) => fleet.wait(millis as u32 * MILLI),
                Step::Replace(set) => {
                    let set: HashMap<u16, u64> = set.into_iter().collect();
                    let of = |(number, life): (u16, u64)| instance(number).with_incarnation(life);
                    fleet.replace(set.into_iter().map(of).collect());
                }
                Step::Force(number, control) => {
                    let id = InstanceId::new(&format!("i{number}"));
                    drop(fleet.cluster.override_breaker(fleet.now, Some(&id), control));
                }
                Step::Configure(balance, percent) => {
                    let mut policies = Policies::default();
                    policies.balance = balance;
                    policies.outlier.as_mut().unwrap().max_ejected_percent = percent;
                    fleet.configure(policies);
                }
            }
            adds_up(&fleet, &held)?;
        }
    }

    #[test]
    fn half_open_has_never_more_than_its_probes_in_flight(
        probes in 1_u32..5, ends in prop::collection::vec(any::<bool>(), 1..60),
    ) {
        let mut policies = crate::support::with_breakers();
        policies.breaker.as_mut().unwrap().probes = probes;
        let mut fleet = Fleet::new(policies, vec![instance(0)]);
        fleet.fail(0, 5);
        fleet.wait(60_000 * MILLI);
        let mut held = Vec::new();
        for abandons in ends {
            match fleet.pick() {
                Ok(picked) => held.push(picked),
                Err(_) => prop_assert_eq!(held.len(), probes as usize),
            }
            prop_assert!(held.len() <= probes as usize);
            if abandons {
                held.pop();
            }
        }
    }
}

/// Whether so few are left that a breaker that opened by itself keeps no call away.
fn is_overruled(view: &View, instance: &InstanceView) -> bool {
    view.panic && view.instances.len() > 1 && instance.control == "automatic"
}

/// What the view shows is what the parts say.
fn adds_up(
    fleet: &Fleet,
    held: &[Picked<u16>],
) -> Result<(), proptest::test_runner::TestCaseError> {
    let (view, policies) = (fleet.cluster.view(fleet.now), fleet.cluster.policies());
    let total = view.instances.len();
    let ejected = view.instances.iter().filter(|it| it.ejected_for_ms.is_some()).count();
    let most = policies.outlier.as_ref().unwrap().max_ejected_percent as usize * total / 100;
    prop_assert!(ejected <= most.max(1), "{ejected} of {total} ejected");
    for (instance, member) in view.instances.iter().zip(fleet.cluster.members()) {
        let calls = held.iter().filter(|picked| picked.member().number() == member.number());
        prop_assert_eq!(instance.in_flight as usize, calls.count());
        let is_open = instance.breaker == "open" && !is_overruled(&view, instance);
        if is_open || instance.ejected_for_ms.is_some() && !view.panic {
            prop_assert!(!instance.usable, "{instance:?}");
        }
        if is_overruled(&view, instance) {
            prop_assert!(instance.usable, "{instance:?}");
        }
        if instance.breaker == "closed" && (instance.ejected_for_ms.is_none() || view.panic) {
            prop_assert!(instance.usable, "{instance:?}");
        }
    }
    // Of several, no fewer than half are kept away but by an operator.
    let is_by_rule = |it: &&InstanceView| !it.usable && it.control != "forced_open";
    let by_rule = view.instances.iter().filter(is_by_rule).count();
    prop_assert!(total < 2 || by_rule * 2 <= total, "{view:?}");
    let usable = view.instances.iter().any(|instance| instance.usable);
    let another = fleet.cluster.has_another(fleet.now, &Tried::default(), &Hints::default());
    prop_assert_eq!(another, usable);
    Ok(())
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    let outcome =
        prop::sample::select(vec![Outcome::Success, Outcome::Failure, Outcome::Abandoned]);
    let control = prop::sample::select(vec![
        Override::Automatic,
        Override::ForcedOpen,
        Override::ForcedClosed,
    ]);
    let balance =
        prop::sample::select(vec![Strategy::P2c, Strategy::RoundRobin, Strategy::ConsistentHash]);
    prop_oneof![
        6 => Just(Step::Pick),
        6 => (any::<prop::sample::Index>(), outcome).prop_map(|(which, how)| Step::Finish(which, how)),
        3 => (1_u8..30).prop_map(Step::FailMany),
        3 => prop::sample::select(vec![1_u64, 500, 5_000, 10_000, 30_000, 60_000, 61_000]).prop_map(Step::Wait),
        1 => prop::collection::vec((0_u16..8, 0_u64..3), 0..8).prop_map(Step::Replace),
        1 => (0_u16..8, control).prop_map(|(number, control)| Step::Force(number, control)),
        1 => (balance, 0_u32..=100).prop_map(|(balance, percent)| Step::Configure(balance, percent)),
    ]
}
