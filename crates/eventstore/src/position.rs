//! Places: an event's version in its stream, its position among all, and what a writer expects.

use std::fmt;

/// An event's place in its stream: 1, 2, 3 and so on, without gaps. [`Version::NONE`] is before the
/// first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

/// An event's place among all events of the store: ascending in the order in which readers see
/// them; numbers may be left out. [`Position::START`] is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Version {
    /// The version of a stream without events.
    pub const NONE: Self = Self(0);

    /// The version of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// So many events further.
    #[must_use]
    pub const fn plus(self, events: u64) -> Self {
        Self(self.0 + events)
    }
}

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// The position of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a writer expects of the stream it appends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing: the events go to the end, whatever is there.
    Any,
    /// Exactly this version; [`Version::NONE`] for a stream that does not exist yet.
    Exactly(Version),
    /// At least one event.
    Exists,
}

impl Expected {
    /// Whether a stream of this version is as expected.
    #[must_use]
    pub fn holds(self, actual: Version) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(version) => version == actual,
            Self::Exists => actual > Version::NONE,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::Exactly(version) => version.fmt(f),
            Self::Exists => f.write_str("at least 1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_holds_or_not() {
        let (none, one) = (Version::NONE, Version::new(1));
        assert!(Expected::Any.holds(none) && Expected::Any.holds(one));
        assert!(Expected::Exactly(none).holds(none) && !Expected::Exactly(none).holds(one));
        assert!(!Expected::Exactly(Version::new(2)).holds(one));
        assert!(Expected::Exists.holds(one) && !Expected::Exists.holds(none));
    }
}
