//! How urgent a request says it is, in its header.
//!
//! # Source
//!
//! RFC 9218, section 4.1 (urgency 0 to 7, lower is more urgent); RFC 8941, section 3.2 (of a key
//! that is there twice the last counts).

/// The header, such as `priority: u=5, i`.
pub const PRIORITY: &str = "priority";

/// The urgency of a `Priority` field, 0 (most urgent) to 7; none where nothing or nonsense is said,
/// which counts as 3.
pub fn parse_urgency(field: &[u8]) -> Option<u8> {
    let urgency = |member: &[u8]| match member.trim_ascii() {
        [b'u', b'=', digit @ b'0'..=b'7'] => Some(digit - b'0'),
        [b'u', b'=', digit @ b'0'..=b'7', b';' | b' ' | b'\t', ..] => Some(digit - b'0'),
        _ => None,
    };
    field.split(|byte| *byte == b',').filter_map(urgency).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urgency_is_read_and_anything_else_is_as_if_absent() {
        for (text, expected) in [
            ("u=0", Some(0)),
            ("u=7, i", Some(7)),
            ("i, u=1", Some(1)),
            ("u=5;x=1", Some(5)),
            (" u=5 ;x=1", Some(5)),
            ("u=1, u=6", Some(6)),
            ("u=8", None),
            ("u=-1", None),
            ("u=55", None),
            ("u", None),
            ("i", None),
            ("", None),
            ("urgent", None),
        ] {
            assert_eq!(parse_urgency(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(parse_urgency(b"\xff,u=2"), Some(2));
    }
}
