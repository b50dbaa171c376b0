//! The number of a user.

use std::fmt;

/// The number of a user, 1 to 2147483647: the int32 of the gRPC interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(i32);

/// The number is none of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user id `{0}` is out of range; use 1 to 2147483647")]
pub struct InvalidId(pub i64);

impl UserId {
    /// Checks the range.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] under 1 and over the largest int32.
    pub fn try_new(number: i64) -> Result<Self, InvalidId> {
        match i32::try_from(number) {
            Ok(id) if id >= 1 => Ok(Self(id)),
            _ => Err(InvalidId(number)),
        }
    }

    /// The number itself.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_positive_int32() {
        for number in [1, 2, i64::from(i32::MAX)] {
            assert_eq!(UserId::try_new(number).map(|id| i64::from(id.number())), Ok(number));
        }
        for number in [0, -1, i64::from(i32::MAX) + 1, i64::MAX, i64::MIN] {
            assert_eq!(UserId::try_new(number), Err(InvalidId(number)));
        }
    }
}
