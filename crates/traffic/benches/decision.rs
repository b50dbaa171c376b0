//! What one choice costs: an instance among many, a route among many.
//!
//! Load: a call at a time, every instance usable. Flat means that the figure for 10,000 instances
//! is that for 10.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use regatta_core::{Endpoint, Instance, ServiceName};
use regatta_traffic::balance::{Balancer, Strategy};
use regatta_traffic::route::{Table, canonical};

fn picks(c: &mut Criterion) {
    for strategy in [Strategy::RoundRobin, Strategy::Random, Strategy::Weighted] {
        let mut group = c.benchmark_group(format!("pick {strategy}"));
        for count in [10_usize, 100, 1_000, 10_000] {
            let balancer = Balancer::new(strategy, instances(count), 0);
            let mut random = 1_u64;
            group.bench_function(BenchmarkId::from_parameter(count), |b| {
                b.iter(|| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    balancer.pick(random, |_| true)
                });
            });
        }
        group.finish();
    }
    let balancer = Balancer::new(Strategy::RoundRobin, instances(10_000), 0);
    c.bench_function("pick round_robin, every second one unusable", |b| {
        b.iter(|| balancer.pick(7, |number| number % 2 == 0));
    });
}

fn routes(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for count in [5_usize, 50] {
        let builder = (0..count).fold(Table::builder(), |builder, number| {
            let pattern = format!("/service-{number}/users/{{id}}/**");
            builder.try_rule(["GET", "POST"], &pattern, number).expect("the pattern is valid")
        });
        let table = builder.build();
        let path = format!("/service-{}/users/42/orders", count - 1);
        group.bench_function(BenchmarkId::new("last of", count), |b| {
            b.iter(|| black_box(table.find("POST", &path)));
        });
    }
    group.bench_function("canonical, plain", |b| {
        b.iter(|| canonical(black_box("/service-4/users/42/orders")).is_ok());
    });
    group.finish();
}

fn instances(count: usize) -> Arc<[Instance]> {
    let name = ServiceName::try_new("user-service").expect("the name is valid");
    let instance = |number: usize| {
        let port = 1 + (number % 60_000) as u16;
        let endpoint = Endpoint::try_new("127.0.0.1", port).expect("the port is not 0");
        Instance::new(name.clone(), endpoint).with_weight(1 + (number % 7) as u32)
    };
    (0..count).map(instance).collect()
}

criterion_group!(benches, picks, routes);
criterion_main!(benches);
