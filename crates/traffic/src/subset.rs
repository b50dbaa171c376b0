//! Weights of a service's versions (R15).

use std::collections::BTreeMap;

/// Weights of versions, such as `v1: 90, v2: 10`; empty means that versions do not matter.
///
/// A version without an instance gets no call, and neither does an instance of a version without a
/// weight; the others share their part.
pub type Weights = BTreeMap<String, u32>;
