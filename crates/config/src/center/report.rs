//! What an instance says of the configuration it runs.

use serde::{Deserialize, Serialize};

/// What an instance says of itself, under a lease: it is gone soon after the instance is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The service.
    pub service: String,
    /// The instance.
    pub instance: String,
    /// The center's revision that its configuration is of; 0 when it has none of it.
    pub revision: u64,
    /// What it refused since.
    pub refused: Option<RefusedRevision>,
    /// The release that its configuration has the changes of.
    pub release: Option<String>,
    /// The release under way that it knows of, whether it has the changes or not. From then on its
    /// counts are written as they grow; before, they are those of an earlier time.
    pub rollout: Option<String>,
    /// Whether it is ready for requests.
    pub ready: bool,
    /// Requests it has answered since its start, to HTTP and gRPC.
    pub requests: u64,
    /// Of these, answered by a fault of its own: 5xx, or the gRPC codes that stand for one.
    pub errors: u64,
    /// When this was written, in milliseconds since 1970.
    pub at_ms: u64,
}

/// A revision that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedRevision {
    /// The revision.
    pub revision: u64,
    /// Why.
    pub reason: String,
}

impl Report {
    /// Reads one; none for a text that is no report.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As it is written.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_back_and_an_older_one_too() {
        let refused = RefusedRevision { revision: 9, reason: "no".to_owned() };
        let report =
            Report { revision: 7, refused: Some(refused), ready: true, ..Report::default() };
        assert_eq!(Report::parse(&report.to_text()), Some(report));
        let older = Report::parse(r#"{"service": "a", "later": 1}"#).unwrap();
        assert_eq!((older.service.as_str(), older.ready), ("a", false));
        assert_eq!(Report::parse("welcome"), None);
    }
}
