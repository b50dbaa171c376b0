//! How requests are sent to a service.

use std::time::Duration;

use regatta_yaml::{Fields, Node, Problem, parse_duration};

use super::failure_on::failure_on;
use super::scalars;
use crate::{Breaker, Concurrency, Hedge, Outlier, SuccessRate, Switch, Traffic};

const STRATEGIES: [(&str, &str); 5] = [
    ("p2c", "p2c"),
    ("round_robin", "round_robin"),
    ("random", "random"),
    ("weighted", "weighted"),
    ("consistent_hash", "consistent_hash"),
];

const PERCENT: (i128, i128) = (1, 100);
const COUNT: (i128, i128) = (1, 1_000_000);

/// Reads the block of this name.
pub(super) fn traffic(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Traffic {
    let mut fields = Fields::of(node, name, problems);
    let mut traffic = Traffic::default();
    if let Some(node) = fields.take("balance") {
        let read = scalars::choice(node, &fields.name("balance"), &STRATEGIES, problems);
        traffic.balance = read.map(str::to_owned);
    }
    if let Some(node) = fields.take("hash_on") {
        traffic.hash_on = hash_on(node, &fields.name("hash_on"), problems);
    }
    if let Some(node) = fields.take("hash_load_percent") {
        let name = fields.name("hash_load_percent");
        traffic.hash_load_percent = match node.scalar().map(|scalar| scalar.text.as_str()) {
            Some("none") => Some(0),
            _ => scalars::number(node, &name, (101, 10_000), problems),
        };
    }
    if let Some(node) = fields.take("zone") {
        traffic.zone = scalars::text(node, &fields.name("zone"), problems);
    }
    if let Some(node) = fields.take("slow_start") {
        traffic.slow_start = span(node, &fields.name("slow_start"), problems);
    }
    traffic.slow_start_percent = number(&mut fields, "slow_start_percent", PERCENT, problems);
    if let Some(node) = fields.take("retries") {
        traffic.retries = scalars::number(node, &fields.name("retries"), (0, 3), problems);
    }
    if let Some(node) = fields.take("try_timeout") {
        traffic.try_timeout = scalars::duration(node, &fields.name("try_timeout"), problems);
    }
    for (key, place) in [
        ("first_backoff", &mut traffic.first_backoff),
        ("most_backoff", &mut traffic.most_backoff),
        ("most_retry_after", &mut traffic.most_retry_after),
    ] {
        let name = fields.name(key);
        *place = fields.take(key).and_then(|node| span(node, &name, problems));
    }
    if let Some(node) = fields.take("retry_budget") {
        let mut fields = Fields::of(node, &fields.name("retry_budget"), problems);
        traffic.retry_budget_percent = number(&mut fields, "percent", (0, 100), problems);
        traffic.retry_budget_floor = number(&mut fields, "floor", (0, 1_000_000), problems);
        fields.finish(problems);
    }
    if let Some(node) = fields.take("hedge") {
        traffic.hedge = Some(switch(node, &fields.name("hedge"), problems, hedge));
    }
    if let Some(node) = fields.take("failure_on") {
        traffic.failure_on = Some(failure_on(node, &fields.name("failure_on"), problems));
    }
    for (key, place) in
        [("breaker", &mut traffic.breaker), ("service_breaker", &mut traffic.service_breaker)]
    {
        let name = fields.name(key);
        *place = fields.take(key).map(|node| switch(node, &name, problems, breaker));
    }
    if let Some(node) = fields.take("outlier") {
        traffic.outlier = Some(switch(node, &fields.name("outlier"), problems, outlier));
    }
    if let Some(node) = fields.take("concurrency") {
        let name = fields.name("concurrency");
        traffic.concurrency = Some(switch(node, &name, problems, concurrency));
    }
    fields.finish(problems);
    traffic
}

fn concurrency(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Concurrency {
    let mut fields = Fields::of(node, name, problems);
    let adaptive_name = fields.name("adaptive");
    let concurrency = Concurrency {
        limit: number(&mut fields, "limit", COUNT, problems),
        adaptive: fields
            .take("adaptive")
            .and_then(|node| scalars::boolean(node, &adaptive_name, problems)),
        least: number(&mut fields, "least", COUNT, problems),
        most: number(&mut fields, "most", COUNT, problems),
        tolerance_percent: number(&mut fields, "tolerance_percent", (100, 1000), problems),
        queue: number(&mut fields, "queue", (0, 1_000_000), problems),
        queue_timeout: duration(&mut fields, "queue_timeout", problems),
        reserved_percent: number(&mut fields, "reserved_percent", (0, 100), problems),
    };
    fields.finish(problems);
    let of_adaptive = [
        ("least", concurrency.least),
        ("most", concurrency.most),
        ("tolerance_percent", concurrency.tolerance_percent),
    ];
    if concurrency.adaptive != Some(true) {
        for (key, _) in of_adaptive.into_iter().filter(|(_, value)| value.is_some()) {
            let message = format!("{name}: {key} needs an adaptive limit; write `adaptive: true`");
            problems.push(Problem::new(node.mark, message));
        }
    }
    concurrency
}

fn hedge(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Hedge {
    let mut fields = Fields::of(node, name, problems);
    let hedge = Hedge {
        percentile: number(&mut fields, "percentile", (50, 99), problems),
        minimum_calls: number(&mut fields, "minimum_calls", (20, 1_000_000), problems),
        least: duration(&mut fields, "least", problems),
        most: duration(&mut fields, "most", problems),
    };
    fields.finish(problems);
    hedge
}

fn breaker(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Breaker {
    let mut fields = Fields::of(node, name, problems);
    let breaker = Breaker {
        failures: number(&mut fields, "failures", COUNT, problems),
        failure_percent: number(&mut fields, "failure_percent", PERCENT, problems),
        window: duration(&mut fields, "window", problems),
        minimum_calls: number(&mut fields, "minimum_calls", COUNT, problems),
        slow_call: duration(&mut fields, "slow_call", problems),
        slow_percent: number(&mut fields, "slow_percent", PERCENT, problems),
        open_for: duration(&mut fields, "open_for", problems),
        probes: number(&mut fields, "probes", (1, 1000), problems),
    };
    fields.finish(problems);
    if breaker.slow_percent.is_some() && breaker.slow_call.is_none() {
        let message = format!("{name}: slow_percent needs slow_call; write when a call is slow");
        problems.push(Problem::new(node.mark, message));
    }
    breaker
}

fn outlier(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Outlier {
    let mut fields = Fields::of(node, name, problems);
    let rate_name = fields.name("success_rate");
    let outlier = Outlier {
        failures: number(&mut fields, "failures", COUNT, problems),
        interval: duration(&mut fields, "interval", problems),
        success_rate: fields
            .take("success_rate")
            .map(|node| switch(node, &rate_name, problems, success_rate)),
        eject_for: duration(&mut fields, "eject_for", problems),
        most: duration(&mut fields, "most", problems),
        max_ejected_percent: number(&mut fields, "max_ejected_percent", (0, 100), problems),
        panic_percent: number(&mut fields, "panic_percent", (0, 100), problems),
    };
    fields.finish(problems);
    outlier
}

fn success_rate(node: &Node, name: &str, problems: &mut Vec<Problem>) -> SuccessRate {
    let mut fields = Fields::of(node, name, problems);
    let rate = SuccessRate {
        instances: number(&mut fields, "instances", (2, 1_000_000), problems),
        calls: number(&mut fields, "calls", COUNT, problems),
        deviation_thousandths: number(&mut fields, "deviation_thousandths", COUNT, problems),
    };
    fields.finish(problems);
    rate
}

/// `none`, or a block.
fn switch<T>(
    node: &Node,
    name: &str,
    problems: &mut Vec<Problem>,
    read: impl FnOnce(&Node, &str, &mut Vec<Problem>) -> T,
) -> Switch<T> {
    match node.scalar().map(|scalar| scalar.text.as_str()) {
        Some("none") => Switch::Off,
        _ => Switch::On(read(node, name, problems)),
    }
}

fn number<T: TryFrom<i128>>(
    fields: &mut Fields<'_>,
    key: &'static str,
    range: (i128, i128),
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let name = fields.name(key);
    fields.take(key).and_then(|node| scalars::number(node, &name, range, problems))
}

fn duration(
    fields: &mut Fields<'_>,
    key: &'static str,
    problems: &mut Vec<Problem>,
) -> Option<Duration> {
    let name = fields.name(key);
    fields.take(key).and_then(|node| scalars::duration(node, &name, problems))
}

/// A duration that may be 0, or `none` for 0.
fn span(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<Duration> {
    scalars::scalar(node, name, problems, "a duration such as 30s, or none", |scalar| match scalar
        .text
        .as_str()
    {
        "none" => Ok(Duration::ZERO),
        text => parse_duration(text).map_err(|error| error.to_string()),
    })
}

fn hash_on(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
    const EXPECTED: &str = "client, header:NAME or cookie:NAME";
    scalars::scalar(node, name, problems, EXPECTED, |scalar| {
        let text = scalar.text.as_str();
        let names = |field: &str| {
            let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            !field.is_empty() && field.bytes().all(is_token)
        };
        match text.split_once(':') {
            None if text == "client" => Ok(text.to_owned()),
            Some(("header" | "cookie", field)) if names(field) => Ok(text.to_owned()),
            _ => Err(scalar.not(EXPECTED, "write one of them")),
        }
    })
}
