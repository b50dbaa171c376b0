//! When a release is judged to do harm.

use serde::{Deserialize, Serialize};

/// When a release is judged to do harm, and how long it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thresholds {
    /// Longest time for the instances of a stage to take the changes over, in milliseconds. Default
    /// 30 s: twice what an instance may need to hear of them after an outage.
    pub accept_within_ms: u64,
    /// How long each stage is watched once they have, in milliseconds. Default 30 s.
    pub window_ms: u64,
    /// How long an instance may be not ready, or gone, in milliseconds. Default 5 s: longer than a
    /// probe that failed once.
    pub unready_for_ms: u64,
    /// How many of 100 requests more may fail, in the window, than at the instances beside. Default
    /// 5.
    pub max_error_percent: u32,
    /// Requests in the window under which no share of errors counts. Default 20.
    pub min_requests: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            accept_within_ms: 30_000,
            window_ms: 30_000,
            unready_for_ms: 5_000,
            max_error_percent: 5,
            min_requests: 20,
        }
    }
}
