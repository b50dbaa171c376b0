//! What a user is called.

use std::fmt;

/// A name: 1 to 100 characters, without surrounding white space or control characters. Its `Debug`
/// does not show it; it is personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(String);

/// The text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// Nothing is left without the surrounding white space.
    #[error("the name is empty; write 1 to 100 characters")]
    Empty,
    /// Longer than the column of the store.
    #[error("the name has {characters} characters; write at most 100")]
    TooLong {
        /// How many it has.
        characters: usize,
    },
    /// A line break, a zero byte or the like.
    #[error("the name has control characters; write it in one line")]
    Control,
}

impl Name {
    /// Longest name, in characters (`varchar(100)` of the source design).
    pub const MAX_CHARACTERS: usize = 100;

    /// Trims the text and checks it.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] says what is wrong.
    pub fn try_new(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        let characters = text.chars().count();
        match characters {
            0 => Err(InvalidName::Empty),
            _ if characters > Self::MAX_CHARACTERS => Err(InvalidName::TooLong { characters }),
            _ if text.chars().any(char::is_control) => Err(InvalidName::Control),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_characters_and_not_bytes() {
        assert!(Name::try_new(&"ü".repeat(100)).is_ok());
        let longer = Name::try_new(&"ü".repeat(101));
        assert_eq!(longer, Err(InvalidName::TooLong { characters: 101 }));
    }

    #[test]
    fn is_trimmed_and_not_empty() {
        assert_eq!(Name::try_new("  Ada \n").unwrap().as_str(), "Ada");
        assert_eq!(Name::try_new(" \t "), Err(InvalidName::Empty));
    }

    #[test]
    fn has_no_control_characters() {
        assert_eq!(Name::try_new("A\0da"), Err(InvalidName::Control));
        assert_eq!(Name::try_new("A\nda"), Err(InvalidName::Control));
    }

    #[test]
    fn debug_does_not_show_it() {
        assert!(!format!("{:?}", Name::try_new("Ada").unwrap()).contains("Ada"));
    }

    proptest! {
        #[test]
        fn a_name_is_one_again(text in ".*") {
            if let Ok(name) = Name::try_new(&text) {
                prop_assert_eq!(Name::try_new(name.as_str()), Ok(name.clone()));
                prop_assert!((1..=100).contains(&name.as_str().chars().count()));
            }
        }
    }
}
