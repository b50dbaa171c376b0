//! What went wrong with a call, and which of it counts against its instance.
//!
//! # Source
//!
//! The words are Envoy's where it has one (`retry_on`: `5xx`, `gateway-error`, `reset`,
//! `refused-stream`); that a list of them decides is Resilience4j's `recordExceptions`.

use std::fmt;
use std::str::FromStr;

use regatta_core::Code;

use crate::cluster::Outcome;
use crate::verdict::Silence;

/// What went wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No answer came.
    Silent(Silence),
    /// The HTTP status of the answer, 400 or more.
    Status(u16),
    /// The gRPC code of the answer.
    Grpc(Code),
    /// An answer that had begun well broke off before its end.
    CutOff,
}

impl Fault {
    /// Whether the instance did answer.
    fn is_answer(self) -> bool {
        matches!(self, Self::Status(_) | Self::Grpc(_))
    }

    /// Whether it is that time ran out.
    pub(crate) fn is_late(self) -> bool {
        matches!(self, Self::Silent(Silence::Late | Silence::Impatient))
    }
}

/// One word for what may count as a failure of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// `connect`: no connection was made in time, or it broke before the request.
    Connect,
    /// `refused`: nobody listens at the address. Not by default: it costs nothing, and ends with the
    /// restart that it announces.
    Refused,
    /// `refused_stream`: the instance says over a new connection that it does not take the call.
    RefusedStream,
    /// `timeout`: no answer in the time that the policy gives; a caller with less time never counts.
    Timeout,
    /// `reset`: the connection broke before the answer, or what came is none.
    Reset,
    /// `cut_off`: the answer broke off after it had begun.
    CutOff,
    /// `5xx`: any status from 500 on but 501, which says what the instance never does.
    ServerError,
    /// `gateway_error`: 502, 503 and 504.
    GatewayError,
    /// Such as `429`: this HTTP status, 400 to 599.
    Status(u16),
    /// Such as `grpc:UNAVAILABLE`: this gRPC code, by its name.
    Grpc(Code),
}

use Condition::{
    Connect, CutOff, GatewayError, Grpc, Refused, RefusedStream, Reset, ServerError, Timeout,
};

/// The conditions that are one word.
const WORDS: [(&str, Condition); 8] = [
    ("connect", Connect),
    ("refused", Refused),
    ("refused_stream", RefusedStream),
    ("timeout", Timeout),
    ("reset", Reset),
    ("cut_off", CutOff),
    ("5xx", ServerError),
    ("gateway_error", GatewayError),
];

const GRPC: &str = "grpc:";

impl Condition {
    /// All words, and how the others are written.
    pub const KNOWN: &str = "connect, refused, refused_stream, timeout, reset, cut_off, 5xx, \
                             gateway_error, a status from 400 to 599 such as 429, or a gRPC code \
                             such as grpc:UNAVAILABLE";

    fn holds(self, fault: Fault) -> bool {
        match (self, fault) {
            (Connect, Fault::Silent(Silence::Unreached))
            | (Refused, Fault::Silent(Silence::Refused))
            | (RefusedStream, Fault::Silent(Silence::Untaken))
            | (Timeout, Fault::Silent(Silence::Late))
            | (Reset, Fault::Silent(Silence::Broken))
            | (CutOff, Fault::CutOff)
            | (GatewayError, Fault::Status(502..=504)) => true,
            // What has no class is one of the server's errors (RFC 9110, section 15).
            (ServerError, Fault::Status(status)) => status >= 500 && status != 501,
            (Self::Status(own), Fault::Status(status)) => own == status,
            (Grpc(own), Fault::Grpc(code)) => own == code,
            _ => false,
        }
    }
}

/// The text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is nothing that can count as a failure; use {}", Condition::KNOWN)]
pub struct UnknownCondition {
    /// What was given.
    pub text: String,
}

impl FromStr for Condition {
    type Err = UnknownCondition;

    fn from_str(text: &str) -> Result<Self, UnknownCondition> {
        let unknown = || UnknownCondition { text: text.to_owned() };
        if let Some((_, word)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*word);
        }
        if let Some(name) = text.strip_prefix(GRPC) {
            let is_named = |code: &Code| code.name().eq_ignore_ascii_case(name);
            return (1..=16)
                .filter_map(Code::from_grpc)
                .find(is_named)
                .map(Grpc)
                .ok_or_else(unknown);
        }
        let is_status = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let status = text.parse().ok().filter(|status| is_status && (400..600).contains(status));
        status.map(Self::Status).ok_or_else(unknown)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Grpc(code) => write!(f, "{GRPC}{}", code.name().to_ascii_uppercase()),
            word => {
                let text = WORDS.iter().find(|(_, known)| known == word).map(|(text, _)| *text);
                f.write_str(text.unwrap_or_default())
            }
        }
    }
}

/// What counts as a failure of an instance: for its breaker, the service's, and its ejection.
///
/// Default: all that says that the instance, and not the request, is at fault. Empty: nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureOn(Vec<Condition>);

impl FailureOn {
    /// The conditions of which any makes a failure.
    pub fn new(conditions: impl IntoIterator<Item = Condition>) -> Self {
        Self(conditions.into_iter().collect())
    }

    /// The conditions.
    pub fn conditions(&self) -> &[Condition] {
        &self.0
    }

    /// What a call that ended so says about its instance.
    ///
    /// An answer that does not count is as good as any other; no answer that does not count says
    /// nothing.
    pub fn outcome(&self, fault: Option<Fault>) -> Outcome {
        match fault {
            None => Outcome::Success,
            Some(fault) if self.0.iter().any(|condition| condition.holds(fault)) => {
                Outcome::Failure
            }
            Some(fault) if fault.is_answer() => Outcome::Success,
            Some(_) => Outcome::Abandoned,
        }
    }
}

impl Default for FailureOn {
    fn default() -> Self {
        Self(vec![
            Connect,
            RefusedStream,
            Timeout,
            Reset,
            CutOff,
            ServerError,
            Grpc(Code::Unknown),
            Grpc(Code::DeadlineExceeded),
            Grpc(Code::Internal),
            Grpc(Code::Unavailable),
            Grpc(Code::DataLoss),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(words: &[&str], fault: Fault) -> Outcome {
        let conditions = words.iter().map(|word| word.parse().unwrap());
        FailureOn::new(conditions).outcome(Some(fault))
    }

    #[test]
    fn each_word_counts_what_it_says_and_nothing_else() {
        let faults = [
            ("connect", Fault::Silent(Silence::Unreached)),
            ("refused", Fault::Silent(Silence::Refused)),
            ("refused_stream", Fault::Silent(Silence::Untaken)),
            ("timeout", Fault::Silent(Silence::Late)),
            ("reset", Fault::Silent(Silence::Broken)),
            ("cut_off", Fault::CutOff),
            ("5xx", Fault::Status(500)),
            ("429", Fault::Status(429)),
            ("grpc:RESOURCE_EXHAUSTED", Fault::Grpc(Code::ResourceExhausted)),
        ];
        for (word, _) in faults {
            for (of, fault) in faults {
                let counts = outcome(&[word], fault) == Outcome::Failure;
                assert_eq!(counts, word == of, "{word} {fault:?}");
            }
        }
        for status in 400..=700 {
            let counts = |word| outcome(&[word], Fault::Status(status)) == Outcome::Failure;
            assert_eq!(counts("gateway_error"), (502..=504).contains(&status), "{status}");
            assert_eq!(counts("5xx"), status >= 500 && status != 501, "{status}");
        }
    }

    #[test]
    fn an_answer_that_does_not_count_is_a_good_one_and_silence_that_does_not_says_nothing() {
        assert_eq!(outcome(&[], Fault::Status(503)), Outcome::Success);
        assert_eq!(outcome(&["5xx"], Fault::Grpc(Code::Internal)), Outcome::Success);
        assert_eq!(outcome(&["5xx"], Fault::Silent(Silence::Late)), Outcome::Abandoned);
        assert_eq!(outcome(&["5xx"], Fault::CutOff), Outcome::Abandoned);
        assert_eq!(FailureOn::new([]).outcome(None), Outcome::Success);
    }

    #[test]
    fn what_is_the_callers_doing_can_never_count() {
        let all = WORDS.iter().map(|(_, word)| *word).chain((400..600).map(Condition::Status));
        let all = FailureOn::new(all.chain((1..=16).filter_map(Code::from_grpc).map(Grpc)));
        for silence in [Silence::Stale, Silence::Impatient, Silence::Withdrawn] {
            let outcome = all.outcome(Some(Fault::Silent(silence)));
            assert_eq!(outcome, Outcome::Abandoned, "{silence:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back_and_is_listed_where_a_word_is_unknown() {
        let others = [Condition::Status(429), Grpc(Code::DataLoss)];
        for condition in WORDS.iter().map(|(_, word)| *word).chain(others) {
            assert_eq!(condition.to_string().parse(), Ok(condition));
        }
        assert_eq!("grpc:unavailable".parse(), Ok(Grpc(Code::Unavailable)));
        for text in ["", "5XX", "4xx", "399", "600", "+429", "0429", "grpc:", "grpc:OK", "timeouts"]
        {
            let error = text.parse::<Condition>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is nothing")), "{error}");
            let listed = WORDS.iter().all(|(word, _)| error.contains(word));
            assert!(
                listed && error.contains("429") && error.contains("grpc:UNAVAILABLE"),
                "{error}"
            );
        }
    }
}
