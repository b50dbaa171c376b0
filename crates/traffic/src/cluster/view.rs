//! The state of a cluster as plain data, for admin endpoints.

use std::sync::Arc;
use std::time::Instant;

use regatta_resilience::breaker::Status;
use serde::Serialize;

use super::Member;
use super::control::Control;
use super::shared::Shared;
use super::snapshot::Snapshot;

/// The state of a cluster at one moment. Member names are part of the admin endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct View {
    /// The service.
    pub service: String,
    /// How its instances share the calls, such as `p2c`.
    pub balance: &'static str,
    /// The state of the service's own breaker, such as `closed`.
    pub breaker: &'static str,
    /// Who decides about it: `automatic`, or an operator by `forced_open` and `forced_closed`.
    pub control: &'static str,
    /// What that breaker counts.
    pub counted: BreakerView,
    /// Whether so few instances can be used that those are used again that were ejected, or whose
    /// breakers opened by themselves.
    pub panic: bool,
    /// The versions that there are, or that have a weight.
    pub subsets: Vec<SubsetView>,
    /// Its instances, in the registry's order.
    pub instances: Vec<InstanceView>,
}

/// What a breaker counts, and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BreakerView {
    /// Calls in its window that ended; 0 while it goes by no share.
    pub calls: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those of them that were slow; 0 while slow calls do not count.
    pub slow: u64,
    /// Failures in a row while it is closed.
    pub failures_in_a_row: u32,
    /// How long until it admits a probe, in milliseconds; none when it is not open by itself.
    pub probe_in_ms: Option<u64>,
}

/// One version of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubsetView {
    /// The version.
    pub version: String,
    /// Its weight; none when versions have no weights.
    pub weight: Option<u32>,
    /// How many of its instances take part.
    pub instances: u32,
    /// How many of them take calls.
    pub usable: u32,
}

/// One instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InstanceView {
    /// Its id in the registry.
    pub id: String,
    /// Where it listens.
    pub endpoint: String,
    /// Its version.
    pub version: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// Its weight.
    pub weight: u32,
    /// Whether it takes calls now.
    pub usable: bool,
    /// The state of its breaker, such as `half_open`.
    pub breaker: &'static str,
    /// Who decides about its breaker: `automatic`, or an operator by `forced_open` and
    /// `forced_closed`.
    pub control: &'static str,
    /// What its breaker counts.
    pub counted: BreakerView,
    /// How long it stays ejected, in milliseconds; none when it is not.
    pub ejected_for_ms: Option<u64>,
    /// Ejections of late.
    pub ejections: u32,
    /// Failures in a row by now.
    pub failures_in_a_row: u32,
    /// Calls in flight.
    pub in_flight: u32,
    /// The latency to expect, in milliseconds; none when nothing is known.
    pub latency_ms: Option<f64>,
    /// The percentage of its share that slow start lets it have.
    pub slow_start_percent: u32,
}

pub(super) fn view<T>(shared: &Shared<T>, now: Instant) -> View {
    shared.locked(|control| {
        shared.do_due(control, now);
        let snapshot = shared.snapshot.load();
        let weights = &snapshot.policies.subsets;
        let subsets = snapshot.versions.iter().map(|(version, subset)| SubsetView {
            version: version.clone(),
            weight: (!weights.is_empty()).then(|| weights.get(version).copied().unwrap_or(0)),
            instances: subset.all.len(),
            usable: subset.all.usable(),
        });
        let breaker = shared.breaker.status(now);
        View {
            service: shared.service.to_string(),
            balance: snapshot.policies.balance.name(),
            breaker: breaker.state.name(),
            control: breaker.control.name(),
            counted: counted(&breaker),
            panic: control.panic.is_on,
            subsets: subsets.collect(),
            instances: (0..snapshot.members.len())
                .map(|place| instance(shared, &snapshot, control, place, now))
                .collect(),
        }
    })
}

fn counted(breaker: &Status) -> BreakerView {
    let Status { calls, failures, slow, failures_in_a_row, retry_after, .. } = *breaker;
    let probe_in_ms = retry_after.map(|after| after.as_millis() as u64);
    BreakerView { calls, failures, slow, failures_in_a_row, probe_in_ms }
}

fn instance<T>(
    shared: &Shared<T>,
    snapshot: &Snapshot<T>,
    control: &Control,
    place: usize,
    now: Instant,
) -> InstanceView {
    let member: &Arc<Member<T>> = &snapshot.members[place];
    let (instance, life, nanos) = (&member.instance, &member.life, shared.nanos(now));
    let record = control.records.get(&life.number).copied().unwrap_or_default();
    let left = record.ejected_until(now).map(|until| until.saturating_duration_since(now));
    let micros = life.load.micros((nanos / 1_000_000) as u32);
    let breaker = life.breaker.status(now);
    InstanceView {
        id: instance.id.to_string(),
        endpoint: instance.endpoint.to_string(),
        version: instance.version.clone(),
        zone: instance.zone.clone(),
        weight: instance.weight,
        usable: !snapshot.blocked.contains(place),
        breaker: breaker.state.name(),
        control: breaker.control.name(),
        counted: counted(&breaker),
        ejected_for_ms: left.map(|left| left.as_millis() as u64),
        ejections: record.times(),
        failures_in_a_row: life.tally.in_a_row(),
        in_flight: life.load.in_flight(),
        latency_ms: micros.map(|micros| f64::from(micros) / 1e3),
        slow_start_percent: (snapshot.warmth(life.joined, nanos) * 100.0) as u32,
    }
}
