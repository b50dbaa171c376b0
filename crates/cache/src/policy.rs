//! How long entries are kept, and how long callers wait for each other.

use std::time::Duration;

/// What holds for every entry that says nothing else.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// How long an entry is kept. Default 3600 s (the source design); 1 ms to 30 days.
    pub ttl: Duration,
    /// How long it is remembered that there is nothing. Default 30 s: a user who was told "no such
    /// thing" and creates it elsewhere finds it soon; 1 ms to 30 days.
    pub negative_ttl: Duration,
    /// The longest time to live, whatever an entry asks for. Default 30 days; 1 ms to 30 days. A cache
    /// that does not hear of other processes' writes bounds by it how old its answers get.
    pub longest_ttl: Duration,
    /// By what part of it a time to live is shortened at random, so that entries made together do
    /// not end together. Default 0.1; 0 to 0.9.
    pub jitter: f64,
    /// How long other processes leave a loading to one. Default 2 s: longer than a good query,
    /// shorter than anybody waits for a process that has died; 10 ms to 60 s.
    pub lease: Duration,
    /// How long a caller waits for another one's loading before it loads by itself. Default 5 s;
    /// up to 60 s.
    pub wait: Duration,
    /// The largest JSON text that is kept, in bytes; a larger one is answered and not kept. Default
    /// 1 MiB; 1 to 64 MiB.
    pub largest: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3600),
            negative_ttl: Duration::from_secs(30),
            longest_ttl: MONTH,
            jitter: 0.1,
            lease: Duration::from_secs(2),
            wait: Duration::from_secs(5),
            largest: 1 << 20,
        }
    }
}

/// A setting of a cache is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} `{value}` is out of range; use {range}")]
pub struct InvalidPolicy {
    /// Its name.
    pub setting: &'static str,
    /// What it was set to.
    pub value: String,
    /// What it may be.
    pub range: &'static str,
}

impl Policy {
    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] names the first out of range.
    pub fn validate(&self) -> Result<(), InvalidPolicy> {
        let wrong = |setting, value: String, range| Err(InvalidPolicy { setting, value, range });
        for (setting, ttl) in [
            ("ttl", self.ttl),
            ("negative_ttl", self.negative_ttl),
            ("longest_ttl", self.longest_ttl),
        ] {
            if !is_ttl(ttl) {
                return wrong(setting, format!("{ttl:?}"), "1 ms to 30 days");
            }
        }
        if !(0.0..=0.9).contains(&self.jitter) {
            return wrong("jitter", self.jitter.to_string(), "0 to 0.9");
        }
        let minute = Duration::from_secs(60);
        if !(Duration::from_millis(10)..=minute).contains(&self.lease) {
            return wrong("lease", format!("{:?}", self.lease), "10 ms to 60 s");
        }
        if self.wait > minute {
            return wrong("wait", format!("{:?}", self.wait), "up to 60 s");
        }
        if !(1..=64 << 20).contains(&self.largest) {
            return wrong("largest", self.largest.to_string(), "1 byte to 64 MiB");
        }
        Ok(())
    }

    /// The time to live of one entry: the longest at most, shortened by `random` (0 to 1) of the
    /// jitter.
    #[must_use]
    pub fn jittered(&self, ttl: Duration, random: f64) -> Duration {
        ttl.min(self.longest_ttl)
            .mul_f64(1.0 - self.jitter * random.clamp(0.0, 1.0))
            .max(Duration::from_millis(1))
    }
}

const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// Whether a time to live is in range.
pub(crate) fn is_ttl(ttl: Duration) -> bool {
    (Duration::from_millis(1)..=MONTH).contains(&ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(Policy::default().validate(), Ok(()));
    }

    #[test]
    fn names_the_first_setting_out_of_range() {
        type Change = fn(&mut Policy);
        let changes: [(&str, Change); 12] = [
            ("longest_ttl", |it| it.longest_ttl = Duration::ZERO),
            ("ttl", |it| it.ttl = Duration::ZERO),
            ("ttl", |it| it.ttl = Duration::from_secs(31 * 86_400)),
            ("negative_ttl", |it| it.negative_ttl = Duration::from_micros(999)),
            ("jitter", |it| it.jitter = -0.1),
            ("jitter", |it| it.jitter = 0.91),
            ("jitter", |it| it.jitter = f64::NAN),
            ("lease", |it| it.lease = Duration::from_millis(9)),
            ("lease", |it| it.lease = Duration::from_secs(61)),
            ("wait", |it| it.wait = Duration::from_secs(61)),
            ("largest", |it| it.largest = 0),
            ("largest", |it| it.largest = (64 << 20) + 1),
        ];
        for (setting, change) in changes {
            let mut wrong = Policy::default();
            change(&mut wrong);
            assert_eq!(wrong.validate().unwrap_err().setting, setting);
        }
    }

    #[test]
    fn jitter_shortens_and_never_lengthens() {
        let (policy, hour) = (Policy::default(), Duration::from_secs(3600));
        assert_eq!(policy.jittered(hour, 0.0), hour);
        assert_eq!(policy.jittered(hour, 0.5), Duration::from_secs(3420));
        assert_eq!(policy.jittered(hour, 1.0), Duration::from_secs(3240));
        assert_eq!(policy.jittered(hour, 7.0), Duration::from_secs(3240));
        let brief = Policy { longest_ttl: Duration::from_secs(1), ..Policy::default() };
        assert_eq!(brief.jittered(hour, 0.0), Duration::from_secs(1));
        let short = Duration::from_millis(1);
        assert_eq!(policy.jittered(short, 1.0), short, "an entry of no time is none");
    }
}
