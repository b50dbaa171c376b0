//! The numbers of orders and users.

/// The number is none of the thing it should be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{thing} id `{number}` is out of range; use 1 to 2147483647")]
pub struct InvalidId {
    /// `order` or `user`.
    pub thing: &'static str,
    /// What was given.
    pub number: i64,
}

/// The number of an order, 1 to 2147483647.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(i32);

/// The number of the user that an order is for, 1 to 2147483647.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(i32);

impl OrderId {
    /// Checks the range.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] under 1 and over the largest int32.
    pub fn try_new(number: i64) -> Result<Self, InvalidId> {
        positive("order", number).map(Self)
    }

    /// The number itself.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl UserId {
    /// Checks the range.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] under 1 and over the largest int32.
    pub fn try_new(number: i64) -> Result<Self, InvalidId> {
        positive("user", number).map(Self)
    }

    /// The number itself.
    pub fn number(self) -> i32 {
        self.0
    }
}

fn positive(thing: &'static str, number: i64) -> Result<i32, InvalidId> {
    match i32::try_from(number) {
        Ok(id) if id >= 1 => Ok(id),
        _ => Err(InvalidId { thing, number }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_positive_int32s() {
        for number in [1, i64::from(i32::MAX)] {
            assert!(OrderId::try_new(number).is_ok() && UserId::try_new(number).is_ok());
        }
        for number in [0, -1, i64::from(i32::MAX) + 1] {
            assert!(OrderId::try_new(number).is_err() && UserId::try_new(number).is_err());
        }
    }
}
