//! Runs one choice so many times, for an instruction count.
//!
//! As the example `instructions` of the resilience rules, whose head says how it is used.

use std::hint::black_box;
use std::time::{Duration, Instant};

use regatta_core::{Endpoint, Instance, ServiceName};
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{Cluster, Hints, Outcome, Policies, Tried};
use regatta_traffic::route::Table;

/// What there is to choose from.
enum Choice {
    Instance(Strategy, usize),
    Route(usize),
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (name, rounds) = (arguments.next(), arguments.next());
    let rounds: Option<u32> = rounds.and_then(|rounds| rounds.parse().ok());
    let found = choices().find(|choice| Some(choice.name()) == name);
    let (Some(choice), Some(rounds)) = (found, rounds) else {
        // Names, one a line.
        choices().for_each(|choice| println!("{}", choice.name()));
        return;
    };
    let mut run = match choice {
        Choice::Instance(strategy, count) => pick_and_report(strategy, count),
        Choice::Route(count) => find_last_of(count),
    };
    (0..rounds).for_each(|_| run());
}

fn choices() -> impl Iterator<Item = Choice> {
    let counts = [10, 1_000, 10_000];
    let picks = [Strategy::P2c, Strategy::RoundRobin].into_iter();
    let picks = picks.flat_map(move |strategy| counts.map(|it| Choice::Instance(strategy, it)));
    picks.chain([5, 50].map(Choice::Route))
}

impl Choice {
    fn name(&self) -> String {
        match self {
            Self::Instance(strategy, count) => {
                format!("pick {strategy} and report, {count} instances")
            }
            Self::Route(count) => format!("route, last of {count}"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "one instant, from which time is told")]
fn pick_and_report(strategy: Strategy, count: usize) -> Box<dyn FnMut()> {
    let start = Instant::now();
    let name = || ServiceName::try_new("user-service").expect("the name is valid");
    let mut policies = Policies::default();
    policies.balance = strategy;
    let cluster = Cluster::try_new(name(), policies, start, 1).expect("the policies are valid");
    let instance = |number: usize| {
        let host = format!("10.0.{}.{}", number / 250, number % 250);
        let endpoint = Endpoint::try_new(&host, 8080).expect("an address and a port");
        Instance::new(name(), endpoint).with_weight(1 + (number % 7) as u32)
    };
    cluster.replace(start, (0..count).map(instance), |_| ());
    let mut calls = 0_u64;
    Box::new(move || {
        calls += 1;
        let now = start + Duration::from_micros(calls);
        let random = calls.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let picked = cluster.pick(now, random, &Tried::default(), &Hints::default());
        let picked = black_box(picked.expect("all instances can be used"));
        picked.finish(now, Outcome::Success, Duration::from_millis(1));
    })
}

fn find_last_of(count: usize) -> Box<dyn FnMut()> {
    let builder = (0..count).fold(Table::builder(), |builder, number| {
        let pattern = format!("/service-{number}/users/{{id}}/**");
        builder.try_rule(["GET", "POST"], &pattern, number).expect("the pattern is valid")
    });
    let table = builder.build();
    let path = format!("/service-{}/users/42/orders", count - 1);
    Box::new(move || _ = black_box(table.find("POST", black_box(&path))))
}
