//! What counts as a failure of a called instance, in words.

use std::fmt;
use std::str::FromStr;

use regatta_traffic::fault::{Condition, FailureOn, UnknownCondition};

/// One word for what counts as a failure of a called instance, such as `timeout` or `5xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureCondition(pub Condition);

impl FromStr for FailureCondition {
    type Err = UnknownCondition;

    fn from_str(text: &str) -> Result<Self, UnknownCondition> {
        text.parse().map(Self)
    }
}

impl fmt::Display for FailureCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

regatta_config::setting_from_text!(
    FailureCondition,
    "a word for a failure",
    "use connect, refused, refused_stream, timeout, reset, cut_off, 5xx, gateway_error, a status \
     from 400 to 599 such as 429, or a gRPC code such as grpc:UNAVAILABLE"
);

/// The words that stand for the default.
pub(super) fn default() -> Vec<FailureCondition> {
    FailureOn::default().conditions().iter().copied().map(FailureCondition).collect()
}

/// The rule of these words.
pub(super) fn rule(words: &[FailureCondition]) -> FailureOn {
    FailureOn::new(words.iter().map(|word| word.0))
}

#[cfg(test)]
mod tests {
    use regatta_config::Config;

    use super::*;
    use crate::settings::ClientSettings;

    fn read(text: &str) -> Result<Vec<FailureCondition>, String> {
        let yaml = format!("client: {{failure_on: {text}}}");
        let config = Config::builder().yaml("c.yaml", &yaml).build().unwrap();
        let settings = config.load::<ClientSettings>().map_err(|error| error.to_string());
        settings.map(|settings| settings.failure_on)
    }

    #[test]
    fn words_statuses_and_codes_make_the_rule() {
        let words = read("[timeout, 429, 'grpc:UNAVAILABLE']").unwrap();
        let texts: Vec<_> = words.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["timeout", "429", "grpc:UNAVAILABLE"]);
        assert_eq!(read("[]").unwrap(), []);
    }

    #[test]
    fn an_unknown_word_is_told_with_its_place_and_with_all_that_are_known() {
        let error = read("[timeout, 4xx]").unwrap_err();
        assert!(error.contains("client.failure_on[1]"), "{error}");
        for part in Condition::KNOWN.split(", ") {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
