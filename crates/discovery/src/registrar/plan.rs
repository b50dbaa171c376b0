//! When the registrar acts next, and how: a pure rule.

use std::time::Duration;

use super::RegistrarSettings;

/// What to do at the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Register without asking: it is not, or not known to be.
    Register,
    /// Ask whether the registration is there.
    Verify,
}

/// How a turn went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Registered, or found registered.
    Present,
    /// Asked, and it is not there.
    Absent,
    /// The call failed.
    Failed,
}

/// The registrar's memory between turns.
#[derive(Debug)]
pub(super) struct Plan {
    settings: RegistrarSettings,
    step: Step,
    failures: u32,
}

impl Plan {
    pub(super) fn new(settings: RegistrarSettings) -> Self {
        Self { settings, step: Step::Register, failures: 0 }
    }

    pub(super) fn step(&self) -> Step {
        self.step
    }

    /// Takes the outcome of this turn and says how long to wait for the next one.
    ///
    /// `random` is in `[0, 1)`. Backoff has full jitter (AWS, "Exponential backoff and jitter",
    /// 2015), and verification comes up to a tenth early, so that a fleet that was started at once
    /// does not ask at once.
    pub(super) fn record(&mut self, outcome: Outcome, random: f64) -> Duration {
        match outcome {
            Outcome::Present => {
                self.step = Step::Verify;
                self.failures = 0;
                self.settings.verify_every.mul_f64(1.0 - 0.1 * random)
            }
            Outcome::Absent => {
                self.step = Step::Register;
                self.failures = 0;
                Duration::ZERO
            }
            Outcome::Failed => {
                // After an outage the registry may be wiped, but a restart with its memory is the
                // common case: ask first, unless it was never registered.
                let doubled = 2_u32.saturating_pow(self.failures);
                let bound = self.settings.first_backoff.saturating_mul(doubled);
                self.failures = self.failures.saturating_add(1);
                bound.min(self.settings.max_backoff).mul_f64(random.max(0.01))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan() -> Plan {
        Plan::new(RegistrarSettings::default())
    }

    #[test]
    fn registers_first_and_verifies_from_then_on() {
        let mut plan = plan();
        assert_eq!(plan.step(), Step::Register);
        assert_eq!(plan.record(Outcome::Present, 0.0), Duration::from_secs(10));
        assert_eq!(plan.step(), Step::Verify);
    }

    #[test]
    fn registers_at_once_when_the_registry_was_wiped() {
        let mut plan = plan();
        plan.record(Outcome::Present, 0.0);
        assert_eq!(plan.record(Outcome::Absent, 0.9), Duration::ZERO);
        assert_eq!(plan.step(), Step::Register);
    }

    #[test]
    fn keeps_its_step_through_failures() {
        let mut plan = plan();
        plan.record(Outcome::Failed, 0.5);
        assert_eq!(plan.step(), Step::Register);
        plan.record(Outcome::Present, 0.5);
        plan.record(Outcome::Failed, 0.5);
        assert_eq!(plan.step(), Step::Verify);
    }

    #[test]
    fn waits_longer_with_each_failure_and_starts_anew_after_a_success() {
        let mut plan = plan();
        let waits: Vec<_> = (0..7).map(|_| plan.record(Outcome::Failed, 1.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        plan.record(Outcome::Present, 0.0);
        assert_eq!(plan.record(Outcome::Failed, 1.0), Duration::from_millis(500));
    }

    proptest! {
        #[test]
        fn no_wait_is_zero_after_a_failure_or_over_the_bounds(
            random in 0.0..1.0,
            before in 0_u32..100,
        ) {
            let mut plan = plan();
            (0..before).for_each(|_| {
                plan.record(Outcome::Failed, random);
            });
            let wait = plan.record(Outcome::Failed, random);
            prop_assert!(wait > Duration::ZERO && wait <= Duration::from_secs(10));
            let wait = plan.record(Outcome::Present, random);
            prop_assert!((Duration::from_secs(9)..=Duration::from_secs(10)).contains(&wait));
        }
    }
}
