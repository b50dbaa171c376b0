//! The error of a call whose time is over.

/// The call's deadline was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeadlineOver {
    /// Before it began: nothing was done.
    #[error("the deadline was over before the call began; give callers more time")]
    NotBegun,
    /// While it was under way, which cancelled it; it may have happened all the same.
    #[error("the deadline was over before the answer came; look at what the call waited for")]
    Cancelled,
}
