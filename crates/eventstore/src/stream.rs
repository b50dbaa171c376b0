//! The name of a stream: its category and the id of one aggregate.

use std::fmt;
use std::str::FromStr;

/// The stream of one aggregate, written `category-id`, such as `order-42`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    text: String,
    dash: usize,
}

/// The text does not name a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not name a stream; write `category-id`: a category of a-z, 0-9 and `_` that begins \
     with a letter, an id without spaces and control characters, at most 64 and 200 bytes"
)]
pub struct InvalidStream(pub String);

impl StreamId {
    /// The stream of the aggregate with this id. The category has no `-`; the id may.
    ///
    /// # Errors
    ///
    /// [`InvalidStream`] with what was given.
    pub fn try_new(category: &str, id: impl fmt::Display) -> Result<Self, InvalidStream> {
        Self::checked(format!("{category}-{id}"), category.len())
    }

    /// The text, whose category ends at this dash.
    fn checked(text: String, dash: usize) -> Result<Self, InvalidStream> {
        let (category, id) = (&text[..dash], &text[dash + 1..]);
        let is_category = category.len() <= 64
            && category.starts_with(|first: char| first.is_ascii_lowercase())
            && category
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        let is_id = (1..=200).contains(&id.len())
            && !id.chars().any(|character| character.is_whitespace() || character.is_control());
        if is_category && is_id { Ok(Self { text, dash }) } else { Err(InvalidStream(text)) }
    }

    /// What kind of aggregate it is of.
    pub fn category(&self) -> &str {
        &self.text[..self.dash]
    }

    /// The aggregate's id.
    pub fn id(&self) -> &str {
        &self.text[self.dash + 1..]
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for StreamId {
    type Err = InvalidStream;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.find('-') {
            Some(dash) => Self::checked(text.to_owned(), dash),
            None => Err(InvalidStream(text.to_owned())),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_may_hold_a_dash_and_a_category_may_not() {
        let stream: StreamId = "order-2f1c-77".parse().unwrap();
        assert_eq!((stream.category(), stream.id()), ("order", "2f1c-77"));
        assert!(StreamId::try_new("order-line", 7).is_err());
    }

    #[test]
    fn what_does_not_name_a_stream_is_refused_with_its_text() {
        let long = "a".repeat(65);
        for (category, id) in [
            ("", "1"),
            ("Order", "1"),
            ("1st", "1"),
            (&*long, "1"),
            ("order", ""),
            ("order", "a b"),
        ] {
            let refused = StreamId::try_new(category, id);
            assert_eq!(refused, Err(InvalidStream(format!("{category}-{id}"))));
        }
        assert!(StreamId::try_new("order", "x".repeat(201)).is_err());
        assert!("order".parse::<StreamId>().is_err());
    }

    proptest! {
        #[test]
        fn a_stream_is_read_as_it_is_written(category in "[a-z][a-z0-9_]{0,63}", id in "[!-~é]{1,50}") {
            let stream = StreamId::try_new(&category, &id).unwrap();
            prop_assert_eq!(stream.as_str().parse::<StreamId>().unwrap(), stream);
        }
    }
}
