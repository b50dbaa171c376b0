//! Which revision of the center a service runs, and which it refused.

/// Which revision of the center a service runs, and which it refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The revision it runs; 0 when it has nothing of the center.
    pub(crate) revision: u64,
    /// What it refused since, and why.
    pub(crate) refused: Option<(u64, String)>,
    /// The release whose changes it runs.
    pub(crate) release: Option<String>,
    /// The release of this service that is under way.
    pub(crate) rollout: Option<String>,
}

impl Standing {
    /// As operators read it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let refused = self.refused.as_ref();
        serde_json::json!({
            "revision": self.revision,
            "refused": refused.map(|(revision, reason)| serde_json::json!({
                "revision": revision,
                "reason": reason,
            })),
            "release": self.release,
        })
    }

    /// What is wrong, for health.
    pub(crate) fn problem(&self) -> Option<String> {
        let (revision, reason) = self.refused.as_ref()?;
        Some(format!("revision {revision} of the config center is refused: {reason}"))
    }
}
