//! How urgent a request is, by its own word (RFC 9218).

use regatta_resilience::concurrency::Priority;

/// The urgency of a `Priority` field, such as `u=5, i`; 3 where nothing or nonsense is said.
pub(crate) fn priority(field: Option<&[u8]>) -> Priority {
    let urgency =
        field.into_iter().flat_map(|field| field.split(|byte| *byte == b',')).find_map(|member| {
            match member.trim_ascii() {
                [b'u', b'=', digit @ b'0'..=b'7'] => Some(digit - b'0'),
                _ => None,
            }
        });
    urgency.and_then(|urgency| Priority::try_new(urgency).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urgency_is_read_and_anything_else_is_the_default() {
        let read = |text: &str| priority(Some(text.as_bytes())).urgency();
        assert_eq!((read("u=5"), read("i, u=0"), read("u=7;x=1, u=2")), (5, 0, 2));
        for text in ["", "u=8", "u=-1", "u", "urgent", "u=55"] {
            assert_eq!(read(text), 3, "{text}");
        }
        assert_eq!(priority(None).urgency(), 3);
    }
}
