//! Percent-encoding of attribute values in headers.

/// Encodes what a header may not hold: all but `!` to `~`, and `"` and `%`.
///
/// # Source
///
/// CloudEvents 1.0.2, HTTP protocol binding, section 3.1.3.2.
pub(super) fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' => push_hex(&mut encoded, byte),
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => push_hex(&mut encoded, byte),
        }
    }
    encoded
}

/// Decodes a header's value; a `%` that begins no pair of digits stands for itself.
///
/// None when the bytes are not UTF-8.
pub(super) fn decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn push_hex(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 0xf)]));
}

fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        b'a'..=b'f' => hex - b'a' + 10,
        _ => hex.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_binding() {
        // HTTP protocol binding, section 3.1.3.2.
        assert_eq!(encode("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(decode("Euro%20%e2%82%ac%20%F0%9F%98%80").as_deref(), Some("Euro € 😀"));
        assert_eq!(decode("100%").as_deref(), Some("100%"));
        assert_eq!(decode("%FF"), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_a_header_and_decodes_to_itself(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
            prop_assert_eq!(decode(&encoded), Some(text));
        }
    }
}
