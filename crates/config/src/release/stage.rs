//! How far a release goes in one step.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far a release goes in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Stage {
    /// To so many instances; at least 1.
    Instances(u32),
    /// To a share of them, 1 to 100 percent, rounded up.
    Percent(u32),
}

/// The text is no stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no stage; write a number of instances such as 1, or a share such as 25%")]
pub struct InvalidStage {
    text: String,
}

impl Stage {
    /// The stages of a release when nobody says otherwise: one instance, a quarter, all.
    pub const USUAL: [Self; 3] = [Self::Instances(1), Self::Percent(25), Self::Percent(100)];

    /// How many of so many instances it reaches.
    pub fn count(self, of: usize) -> usize {
        match self {
            Self::Instances(count) => (count as usize).min(of),
            Self::Percent(percent) => (of * percent as usize).div_ceil(100),
        }
    }

    /// Whether it reaches all, also those that come later.
    pub fn is_all(self) -> bool {
        self == Self::Percent(100)
    }
}

impl FromStr for Stage {
    type Err = InvalidStage;

    fn from_str(text: &str) -> Result<Self, InvalidStage> {
        let invalid = || InvalidStage { text: text.to_owned() };
        let (number, is_percent) = match text.trim().strip_suffix('%') {
            Some(number) => (number, true),
            None => (text.trim(), false),
        };
        match (number.parse().map_err(|_| invalid())?, is_percent) {
            (percent @ 1..=100, true) => Ok(Self::Percent(percent)),
            (count @ 1.., false) => Ok(Self::Instances(count)),
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Stage {
    type Error = InvalidStage;

    fn try_from(text: String) -> Result<Self, InvalidStage> {
        text.parse()
    }
}

impl From<Stage> for String {
    fn from(stage: Stage) -> Self {
        stage.to_string()
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instances(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// The instances a stage reaches: those it has reached already, then others in the order of their
/// names, until there are as many as the stage wants.
pub fn pick(stage: Stage, live: &[String], reached: &[String]) -> Vec<String> {
    let mut names: Vec<&String> = live.iter().collect();
    names.sort();
    names.dedup();
    let wanted = stage.count(names.len());
    let (mut picked, others): (Vec<&String>, Vec<&String>) =
        names.into_iter().partition(|name| reached.contains(name));
    // Those that have it keep it.
    let more = wanted.saturating_sub(picked.len());
    picked.extend(others.into_iter().take(more));
    picked.sort();
    picked.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_stage_is_a_number_or_a_share() {
        for (text, stage) in [
            ("1", Stage::Instances(1)),
            (" 25% ", Stage::Percent(25)),
            ("100%", Stage::Percent(100)),
        ] {
            assert_eq!(text.parse(), Ok(stage));
            assert_eq!(stage.to_string(), text.trim());
        }
        for wrong in ["", "0", "0%", "101%", "-1", "half", "1.5%"] {
            let error = wrong.parse::<Stage>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")), "{error}");
        }
    }

    #[test]
    fn a_share_is_rounded_up() {
        assert_eq!(Stage::Percent(25).count(10), 3);
        assert_eq!(Stage::Percent(1).count(3), 1);
        assert_eq!(Stage::Percent(100).count(3), 3);
        assert_eq!(Stage::Instances(5).count(3), 3);
        assert!(Stage::Percent(100).is_all() && !Stage::Percent(99).is_all());
        assert!(!Stage::Instances(3).is_all(), "another one may come");
    }

    #[test]
    fn who_has_the_change_keeps_it() {
        let live = names(&["a", "b", "c", "d"]);
        assert_eq!(pick(Stage::Instances(1), &live, &[]), ["a"]);
        assert_eq!(pick(Stage::Percent(50), &live, &names(&["c"])), ["a", "c"]);
        assert_eq!(pick(Stage::Instances(1), &live, &names(&["b", "c"])), ["b", "c"]);
        assert_eq!(pick(Stage::Percent(50), &live, &names(&["gone"])), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn a_later_stage_only_adds(
            live in prop::collection::btree_set("[a-z]{1,2}", 1..20),
            first in 1_u32..=100,
            more in 0_u32..=100,
        ) {
            let live: Vec<String> = live.into_iter().collect();
            let before = pick(Stage::Percent(first), &live, &[]);
            let later = pick(Stage::Percent((first + more).min(100)), &live, &before);
            prop_assert!(before.iter().all(|name| later.contains(name)));
            prop_assert!(!before.is_empty() && later.len() <= live.len());
        }
    }
}
