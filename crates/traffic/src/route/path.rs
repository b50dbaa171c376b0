//! One spelling for each path, so that no rule is passed by.

use std::borrow::Cow;

/// The path means different things to different servers; refuse it with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmbiguousPath {
    /// It does not begin with `/`.
    #[error("the path does not begin with `/`; send an absolute path")]
    NotAbsolute,
    /// A `.` or `..` segment, which some servers resolve and others do not.
    #[error("the path has a `.` or `..` segment; send it resolved")]
    DotSegment,
    /// An empty segment (`//`), which some servers drop.
    #[error("the path has an empty segment (`//`); leave it out")]
    EmptySegment,
    /// An encoded `/` or `\`, or a plain `\`, which some servers take for a separator.
    #[error("the path has an encoded slash or a backslash; send segments without one")]
    HiddenSeparator,
    /// An encoded control character.
    #[error("the path has an encoded control character; leave it out")]
    ControlCharacter,
    /// A `%` without two hex digits, or a byte that no path has.
    #[error("the path is not percent-encoded; encode every byte that is not allowed in a path")]
    BadEncoding,
}

/// The path in the one spelling that patterns are matched against: what needs no percent-encoding
/// is decoded, what needs it is encoded with capitals (RFC 3986, sections 6.2.2.1 and 6.2.2.2).
///
/// Borrowed when it is that already, which costs one look at each byte. Give it the path without
/// the query. Match *and forward* what it answers: a rule that saw another spelling than the
/// service does protects nothing.
///
/// # Errors
///
/// [`AmbiguousPath`] when servers differ on what it means.
pub fn canonical(path: &str) -> Result<Cow<'_, str>, AmbiguousPath> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(AmbiguousPath::NotAbsolute);
    }
    let plain =
        if bytes.contains(&b'%') { Cow::Owned(recode(bytes)?) } else { Cow::Borrowed(path) };
    check(plain.as_bytes())?;
    Ok(plain)
}

/// One look at each byte.
fn check(bytes: &[u8]) -> Result<(), AmbiguousPath> {
    // What the segment is so far.
    const EMPTY: u8 = 0;
    const DOT: u8 = 1;
    const DOTS: u8 = 2;
    const OTHER: u8 = 3;
    let mut segment = EMPTY;
    for byte in &bytes[1..] {
        segment = match (byte, segment) {
            (b'/', EMPTY) => return Err(AmbiguousPath::EmptySegment),
            (b'/', DOT | DOTS) => return Err(AmbiguousPath::DotSegment),
            (b'/', _) => EMPTY,
            (b'.', EMPTY) => DOT,
            (b'.', DOT) => DOTS,
            (b'\\', _) => return Err(AmbiguousPath::HiddenSeparator),
            (0..=32 | 127.. | b'?' | b'#', _) => return Err(AmbiguousPath::BadEncoding),
            _ => OTHER,
        };
    }
    // The last one may be empty: a path may end in a slash.
    if matches!(segment, DOT | DOTS) { Err(AmbiguousPath::DotSegment) } else { Ok(()) }
}

fn recode(bytes: &[u8]) -> Result<String, AmbiguousPath> {
    let mut plain = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            plain.push(char::from(*byte));
            continue;
        }
        let [high, low, after @ ..] = after else { return Err(AmbiguousPath::BadEncoding) };
        rest = after;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(AmbiguousPath::BadEncoding);
        let decoded = (digit(*high)? * 16 + digit(*low)?) as u8;
        match decoded {
            b'/' | b'\\' => return Err(AmbiguousPath::HiddenSeparator),
            0..=31 | 127 => return Err(AmbiguousPath::ControlCharacter),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                plain.push(char::from(decoded));
            }
            _ => {
                plain.push('%');
                plain.push(char::from(high.to_ascii_uppercase()));
                plain.push(char::from(low.to_ascii_uppercase()));
            }
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_path_is_taken_as_it_is() {
        for path in ["/", "/users/1", "/a.b/..c/...", "/a;v=1/b@c:d", "/users/", "/%C3%BC"] {
            assert_eq!(canonical(path).unwrap(), path);
        }
        assert!(matches!(canonical("/users/1"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn two_spellings_become_one() {
        assert_eq!(canonical("/%61dmin/%7Euser").unwrap(), "/admin/~user");
        assert_eq!(canonical("/a%3fb").unwrap(), "/a%3Fb");
        assert_eq!(canonical("/%2561").unwrap(), "/%2561");
    }

    #[test]
    fn what_servers_differ_on_is_refused() {
        let refused = |path| canonical(path).unwrap_err();
        assert_eq!(refused("users"), AmbiguousPath::NotAbsolute);
        assert_eq!(refused(""), AmbiguousPath::NotAbsolute);
        for path in ["/a/../b", "/a/./b", "/..", "/a/.", "/%2e%2e/b", "/a/.%2E"] {
            assert_eq!(refused(path), AmbiguousPath::DotSegment, "{path}");
        }
        for path in ["//", "/a//b", "/a//"] {
            assert_eq!(refused(path), AmbiguousPath::EmptySegment, "{path}");
        }
        for path in ["/a%2Fb", "/a%5cb", "/a\\b"] {
            assert_eq!(refused(path), AmbiguousPath::HiddenSeparator, "{path}");
        }
        assert_eq!(refused("/a%00"), AmbiguousPath::ControlCharacter);
        for path in ["/%", "/%4", "/%zz", "/%+1", "/a b", "/ü", "/a?b"] {
            assert_eq!(refused(path), AmbiguousPath::BadEncoding, "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_one_spelling_is_its_own(path in "/[ -~]{0,20}(%[0-9a-fA-F]{2}){0,3}[a-z/.%]{0,9}") {
            if let Ok(once) = canonical(&path) {
                prop_assert_eq!(canonical(&once).unwrap(), once.as_ref());
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(path: String) {
            let _ = canonical(&path);
        }
    }
}
