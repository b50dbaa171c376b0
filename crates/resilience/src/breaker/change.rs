//! What a breaker tells about itself: its state, why it changed, what it counts.

use std::str::FromStr;
use std::time::Duration;

/// What a breaker does with calls now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass; what they do is counted.
    Closed,
    /// Calls are rejected at once.
    Open,
    /// A bounded number of probes pass; the first answer decides.
    HalfOpen,
}

impl State {
    /// The name in logs and metrics, such as `half_open`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Who decides about a breaker's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Override {
    /// The breaker itself. The default.
    #[default]
    Automatic,
    /// An operator: no call passes, until told otherwise.
    ForcedOpen,
    /// An operator: every call passes and none counts, until told otherwise.
    ForcedClosed,
}

impl Override {
    /// The name in logs, metrics and admin requests, such as `forced_open`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }
}

/// The text names no [`Override`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no state to put a breaker in; use automatic, forced_open or forced_closed")]
pub struct UnknownOverride {
    /// What was given.
    pub text: String,
}

impl FromStr for Override {
    type Err = UnknownOverride;

    fn from_str(text: &str) -> Result<Self, UnknownOverride> {
        let all = [Self::Automatic, Self::ForcedOpen, Self::ForcedClosed];
        let found = all.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| UnknownOverride { text: text.to_owned() })
    }
}

/// Why a breaker changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Too many failures in a row.
    FailuresInARow,
    /// Too large a share of the calls in the window failed.
    FailureRatio,
    /// Too large a share of the calls in the window was slow.
    SlowCalls,
    /// The open time was over and a caller asked.
    OpenTimeOver,
    /// A probe succeeded, or a call that was made although the breaker was open.
    ProbeSucceeded,
    /// A probe failed, or was slow.
    ProbeFailed,
    /// An operator said so.
    Overridden,
    /// It began anew, as for an instance that was restarted.
    Reset,
}

impl Cause {
    /// The name in logs and metrics, such as `failure_ratio`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FailuresInARow => "failures_in_a_row",
            Self::FailureRatio => "failure_ratio",
            Self::SlowCalls => "slow_calls",
            Self::OpenTimeOver => "open_time_over",
            Self::ProbeSucceeded => "probe_succeeded",
            Self::ProbeFailed => "probe_failed",
            Self::Overridden => "overridden",
            Self::Reset => "reset",
        }
    }
}

/// One change of state or of who decides about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The state that ended.
    pub from: State,
    /// The state that began; the same as before only when an override changed nothing else.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// Who decides from now on.
    pub control: Override,
}

/// A breaker at one instant, for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// What it does with calls.
    pub state: State,
    /// Who decides.
    pub control: Override,
    /// Failures in a row while closed.
    pub failures_in_a_row: u32,
    /// Calls in the window that ended; zero while no share is asked for.
    pub calls: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those of them that were slow, whatever their answer.
    pub slow: u64,
    /// While open by itself: how long until it admits a probe.
    pub retry_after: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_read_by_the_name_it_prints() {
        for control in [Override::Automatic, Override::ForcedOpen, Override::ForcedClosed] {
            assert_eq!(control.name().parse(), Ok(control));
        }
        let error = "open".parse::<Override>().unwrap_err();
        assert!(error.to_string().starts_with("`open` is no state"), "{error}");
    }
}
