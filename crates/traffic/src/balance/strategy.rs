//! How instances share the calls.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// How instances share the calls (R17).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// The better of two drawn by weight: the one with the lower product of expected latency and
    /// calls in flight. Leaves slow and loaded instances by itself, and needs no coordination
    /// between callers (Mitzenmacher, "The Power of Two Choices", 2001). The default.
    #[default]
    P2c,
    /// One after the other; weights do not count.
    RoundRobin,
    /// Any, each as likely; weights do not count.
    Random,
    /// In turn, each as often as its weight says.
    Weighted,
    /// The one that owns the call's key, or the next of its order that is not over the bound of
    /// its load; calls without a key go as with [`Strategy::P2c`].
    ConsistentHash,
}

/// The text is not a strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a balancing strategy; use p2c, round_robin, random, weighted or consistent_hash"
)]
pub struct UnknownStrategy {
    /// What was given.
    pub text: String,
}

impl Strategy {
    const ALL: [Self; 5] =
        [Self::P2c, Self::RoundRobin, Self::Random, Self::Weighted, Self::ConsistentHash];

    /// Whether an instance's weight counts; in the others all are alike.
    pub fn is_weighted(self) -> bool {
        !matches!(self, Self::RoundRobin | Self::Random)
    }

    /// Whether each comes in its turn; in the others all are drawn at random.
    pub(crate) fn takes_turns(self) -> bool {
        matches!(self, Self::RoundRobin | Self::Weighted)
    }

    /// The name in settings, logs and metrics, such as `round_robin`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::Random => "random",
            Self::Weighted => "weighted",
            Self::P2c => "p2c",
            Self::ConsistentHash => "consistent_hash",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        let named = Self::ALL.into_iter().find(|strategy| strategy.name() == text);
        named.ok_or_else(|| UnknownStrategy { text: text.to_owned() })
    }
}

impl<'de> Deserialize<'de> for Strategy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_names_it_prints_and_lists_them_for_others() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        let error = "fastest".parse::<Strategy>().unwrap_err().to_string();
        assert!(error.contains("`fastest`") && error.contains("p2c, round_robin, random"));
    }
}
