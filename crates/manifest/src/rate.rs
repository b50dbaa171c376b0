//! So many in such a time: `60/min`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use regatta_yaml::{format_duration, parse_duration};

/// So many in such a time, written `60/min`, `10/s`, `1000/h` or `100/10s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many; at least 1.
    pub count: NonZeroU32,
    /// In which time; more than 0.
    pub per: Duration,
}

impl Rate {
    /// One a second.
    pub(crate) const PER_SECOND: Self =
        Self { count: NonZeroU32::MIN, per: Duration::from_secs(1) };
}

/// The text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a rate; write a count and a time, such as 60/min, 10/s or 100/10s")]
pub struct InvalidRate {
    /// What was given.
    pub text: String,
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let invalid = || InvalidRate { text: text.to_owned() };
        let (count, per) = text.split_once('/').ok_or_else(invalid)?;
        let digits = count.bytes().all(|b| b.is_ascii_digit());
        let count = count.parse().ok().filter(|_| digits).ok_or_else(invalid)?;
        let per = match per {
            "s" | "sec" | "second" => Duration::from_secs(1),
            "m" | "min" | "minute" => Duration::from_secs(60),
            "h" | "hour" => Duration::from_secs(3600),
            "d" | "day" => Duration::from_secs(86_400),
            other => parse_duration(other).map_err(|_| invalid())?,
        };
        if per.is_zero() { Err(invalid()) } else { Ok(Self { count, per }) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per.as_secs() {
            1 if self.per.subsec_nanos() == 0 => "s".to_owned(),
            60 if self.per.subsec_nanos() == 0 => "min".to_owned(),
            3600 if self.per.subsec_nanos() == 0 => "h".to_owned(),
            _ => format_duration(self.per),
        };
        write!(f, "{}/{per}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_count_and_a_time_is_a_rate() {
        for (text, count, seconds) in
            [("60/min", 60, 60), ("10/s", 10, 1), ("1000/hour", 1000, 3600), ("100/10s", 100, 10)]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.count.get(), rate.per.as_secs()), (count, seconds), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_examples() {
        for text in ["", "60", "60/", "/min", "0/min", "60/0s", "-1/s", "+1/s", "1.5/s", "60 / min"]
        {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains("such as 60/min"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(count in 1..=u32::MAX, millis in 1..=86_400_000_u64) {
            let count = NonZeroU32::new(count).unwrap();
            let rate = Rate { count, per: Duration::from_millis(millis) };
            prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        }
    }
}
