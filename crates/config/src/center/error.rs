//! Why the config center did not do it.

/// Why the config center did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CenterError {
    /// It does not answer, or not in time.
    #[error("the config center at {address} does not answer; is it running?")]
    Unavailable {
        /// Where it was looked for.
        address: String,
        /// What the connection says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The past that was asked for is not kept any more.
    #[error("revision {asked} is compacted; read the present state and go on from there")]
    Compacted {
        /// What was asked for.
        asked: u64,
        /// The oldest revision that can be followed, when the center says so.
        oldest: Option<u64>,
    },
    /// The revision is not there yet.
    #[error("revision {asked} is not there yet; ask for one that has happened")]
    Future {
        /// What was asked for.
        asked: u64,
    },
    /// A key is not as the commit expected it; nothing was written.
    #[error("`{key}` has changed meanwhile; read it again and decide anew")]
    Conflict {
        /// The first key that was not as expected, or the first that was looked at when the center
        /// does not say which.
        key: String,
    },
    /// The lease is over.
    #[error("the lease has ended; grant another one")]
    NoLease,
    /// Who asks may not.
    #[error(
        "the config center does not allow it ({message}); check user and password, or ask for the right to this key"
    )]
    Denied {
        /// What it says.
        message: String,
    },
    /// It does not take this.
    #[error("the config center refuses it ({message}); send less at once, or correct the request")]
    Refused {
        /// What it says.
        message: String,
    },
}

impl CenterError {
    /// Whether the same may work later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// It does not answer.
    pub fn unavailable(
        address: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { address: address.into(), source: source.into() }
    }
}
