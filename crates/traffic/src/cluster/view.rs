//! The state of a cluster as plain data, for admin endpoints.

use serde::Serialize;

/// The state of a cluster at one moment. Member names are part of the admin endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct View {
    /// The service.
    pub service: String,
    /// How its instances share the calls.
    pub balance: &'static str,
    /// Its versions that take calls, or have a weight.
    pub subsets: Vec<SubsetView>,
    /// Its instances, in the registry's order.
    pub instances: Vec<InstanceView>,
}

/// One version of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubsetView {
    /// The version; none for instances without.
    pub version: Option<String>,
    /// Its weight; none when versions do not matter.
    pub weight: Option<u32>,
    /// How many instances it has.
    pub instances: usize,
    /// How many of them can take a call.
    pub usable: usize,
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
    /// The state of its breaker, such as `half_open`.
    pub breaker: &'static str,
    /// Who decides about its breaker: `automatic`, or an operator by `forced_open` and
    /// `forced_closed`.
    pub control: &'static str,
    /// Calls in flight.
    pub in_flight: u32,
    /// The latency to expect, in milliseconds; none when nothing is known.
    pub latency_ms: Option<f64>,
}
