//! What gRPC clients need where the gateway answers for a service.

/// Percent-encodes a message for `grpc-message` (gRPC over HTTP/2, "Responses").
pub(crate) fn encode_message(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (0x20..=0x7e).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            for shift in [4, 0] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> shift & 15)]));
            }
            out.insert(out.len() - 2, '%');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_printable_ascii_stays_as_it_is() {
        assert_eq!(encode_message("a `b` 100%\n\u{e4}"), "a `b` 100%25%0A%C3%A4");
    }
}
