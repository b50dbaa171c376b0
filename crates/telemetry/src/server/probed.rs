//! Answers to probes, whose error statuses are news and no failures.

/// Put into the extensions of a response: who asked wants to know how something is, and a status from
/// 500 on is what it asked for. It is a line at debug level then, and not a warning each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed;
