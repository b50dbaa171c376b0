//! How urgent a request is, by its own word (RFC 9218).

use regatta_core::parse_urgency;
use regatta_resilience::concurrency::Priority;

/// The priority of a `Priority` field, such as `u=5, i`; 3 where nothing or nonsense is said.
pub(crate) fn priority(field: Option<&[u8]>) -> Priority {
    let urgency = field.and_then(parse_urgency);
    urgency.and_then(|urgency| Priority::try_new(urgency).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(priority(Some(b"u=5")).urgency(), 5);
        assert_eq!((priority(Some(b"soon")).urgency(), priority(None).urgency()), (3, 3));
    }
}
