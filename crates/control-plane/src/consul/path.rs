//! The part of a path that a client chose: percent-encoded, with slashes.

use http::Uri;

use super::failure::Failure;

/// What follows `call` and a slash in the path, decoded. Empty when nothing does.
pub(crate) fn after(uri: &Uri, call: &str) -> Result<String, Failure> {
    let rest = uri.path().strip_prefix(call).unwrap_or_default();
    decode(rest.strip_prefix('/').unwrap_or(rest))
}

/// Decodes `%41`. A `+` is itself in a path.
fn decode(text: &str) -> Result<String, Failure> {
    let malformed = || Failure::bad_request(format!("invalid URL escape in {text:?}"));
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some(byte) = rest.split_off_first() {
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let digits = rest.split_off(..2).ok_or_else(malformed)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digit(digits[0]).zip(digit(digits[1])).map(|(high, low)| 16 * high + low);
        out.push(value.and_then(|value| u8::try_from(value).ok()).ok_or_else(malformed)?);
    }
    let text = String::from_utf8(out);
    text.map_err(|_| Failure::bad_request("the path is not UTF-8; percent-encode its UTF-8 bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(path: &str) -> Result<String, Failure> {
        after(&path.parse().unwrap(), "/v1/kv")
    }

    #[test]
    fn what_follows_the_call_is_decoded() {
        for (path, wanted) in [
            ("/v1/kv/a", "a"),
            ("/v1/kv/a/b?x=y", "a/b"),
            ("/v1/kv/a%2Fb%20c", "a/b c"),
            ("/v1/kv/a+b", "a+b"),
            ("/v1/kv//a//", "/a//"),
            ("/v1/kv/%C3%BC", "ü"),
            ("/v1/kv/", ""),
            ("/v1/kv", ""),
        ] {
            assert_eq!(key(path).unwrap(), wanted, "{path}");
        }
        for path in ["/v1/kv/%", "/v1/kv/%4", "/v1/kv/%zz", "/v1/kv/%+1", "/v1/kv/%ff"] {
            assert!(key(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_that_is_encoded_comes_back(text: String) {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decode(&encoded).unwrap(), text);
        }
    }
}
