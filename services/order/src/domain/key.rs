//! The key by which a repeated request is known.

/// An idempotency key: 1 to 255 visible ASCII characters, as the header `Idempotency-Key` has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// The text is no idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the idempotency key is not valid; write 1 to 255 visible ASCII characters, such as a UUID"
)]
pub struct InvalidKey;

impl IdempotencyKey {
    /// Checks the text. Quotes around it are taken off: the header is a quoted string in the IETF
    /// draft (draft-ietf-httpapi-idempotency-key-header) and a bare one in most clients.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] when it is empty, too long, or has a space or a character outside ASCII.
    pub fn try_new(text: &str) -> Result<Self, InvalidKey> {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let is_valid =
            (1..=255).contains(&bare.len()) && bare.bytes().all(|b| b.is_ascii_graphic());
        if is_valid { Ok(Self(bare.to_owned())) } else { Err(InvalidKey) }
    }

    /// The key itself, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_around_it_do_not_matter() {
        assert_eq!(IdempotencyKey::try_new("\"a-1\""), IdempotencyKey::try_new("a-1"));
    }

    #[test]
    fn is_bounded_and_visible() {
        assert!(IdempotencyKey::try_new(&"k".repeat(255)).is_ok());
        for text in ["", "\"\"", "a b", "ä", "a\n", &"k".repeat(256)] {
            assert_eq!(IdempotencyKey::try_new(text), Err(InvalidKey), "{text}");
        }
    }
}
