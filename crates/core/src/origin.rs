//! Whose fault an error is.

/// Whose fault an error is; decides its status and whether a breaker counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The caller asked for something that cannot be.
    Caller,
    /// A bug or a limit of this process.
    Us,
    /// A service or engine that this process depends on.
    Upstream,
}

impl Origin {
    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Us => "us",
            Self::Upstream => "upstream",
        }
    }
}
