//! Path patterns: `/users`, `/users/{id}`, `/users/*`, `/users/**`.

use std::fmt;
use std::str::FromStr;

/// A compiled path pattern.
///
/// Segments are literal, or one of any text (`*`, or `{name}` for the reader). `**` as the last
/// segment stands for any number of segments, none included: `/users/**` matches `/users`,
/// `/users/` and all below. Anything else matches as a whole: `/users` does not match `/users/`.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    segments: Box<[Segment]>,
    /// Ends in `**`.
    is_prefix: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Any,
}

/// The text is not a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// It does not begin with `/`.
    #[error("path pattern `{pattern}` does not begin with `/`; put one in front")]
    NotAbsolute {
        /// What was given.
        pattern: String,
    },
    /// `**` in the middle.
    #[error("path pattern `{pattern}` goes on after `**`; `**` may only be the last segment")]
    InnerPrefix {
        /// What was given.
        pattern: String,
    },
    /// A segment is neither a literal nor a whole placeholder.
    #[error(
        "segment `{segment}` of path pattern `{pattern}` is neither a text nor a placeholder; use \
         a text, `*`, `{{name}}` or, at the end, `**`"
    )]
    BadSegment {
        /// The segment.
        segment: String,
        /// What was given.
        pattern: String,
    },
    /// No path can match it.
    #[error("path pattern `{pattern}` matches no path")]
    NotCanonical {
        /// What was given.
        pattern: String,
        /// Why a path like it is refused.
        #[source]
        source: crate::route::AmbiguousPath,
    },
}

impl Pattern {
    /// Compiles the text.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] says what is wrong and what to write.
    pub fn try_new(text: &str) -> Result<Self, InvalidPattern> {
        let pattern = || text.to_owned();
        let rest = text.strip_prefix('/');
        let rest = rest.ok_or_else(|| InvalidPattern::NotAbsolute { pattern: pattern() })?;
        let (fixed, is_prefix) = match rest.strip_suffix("**") {
            Some("") => (None, true),
            Some(before) if before.ends_with('/') => (Some(&before[..before.len() - 1]), true),
            _ => (Some(rest), false),
        };
        let compile = |segment: &str| {
            let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let is_name = |name: &str| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            };
            match segment {
                "*" => Ok(Segment::Any),
                "**" => Err(InvalidPattern::InnerPrefix { pattern: pattern() }),
                _ if name.is_some_and(is_name) => Ok(Segment::Any),
                _ if segment.contains(['*', '{', '}']) => {
                    let segment = segment.to_owned();
                    Err(InvalidPattern::BadSegment { segment, pattern: pattern() })
                }
                _ => Ok(Segment::Literal(segment.into())),
            }
        };
        let segments = fixed.map(|fixed| fixed.split('/').map(compile).collect());
        let segments: Box<[Segment]> = segments.unwrap_or_else(|| Ok(Box::default()))?;
        let pattern = Self { text: text.into(), segments, is_prefix };
        pattern.canonical()
    }

    /// Its literals in the spelling that paths are matched in.
    fn canonical(mut self) -> Result<Self, InvalidPattern> {
        let last = self.segments.len().saturating_sub(1);
        for (number, segment) in self.segments.iter_mut().enumerate() {
            let Segment::Literal(text) = segment else { continue };
            // A pattern may end in `/`, as a path may.
            if text.is_empty() && number == last && !self.is_prefix {
                continue;
            }
            let path = format!("/{text}");
            let checked = if text.is_empty() {
                Err(crate::route::AmbiguousPath::EmptySegment)
            } else {
                crate::route::canonical(&path)
            };
            match checked {
                Ok(path) => *text = path[1..].into(),
                Err(source) => {
                    let pattern = self.text.into();
                    return Err(InvalidPattern::NotCanonical { pattern, source });
                }
            }
        }
        Ok(self)
    }

    /// Whether the path matches; give it [`crate::route::canonical`] ones.
    pub fn matches(&self, path: &str) -> bool {
        let Some(mut rest) = path.strip_prefix('/').map(Some) else { return false };
        for segment in &self.segments {
            let Some(path) = rest else { return false };
            let (head, tail) = match path.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (path, None),
            };
            let matches = match segment {
                Segment::Literal(text) => **text == *head,
                Segment::Any => !head.is_empty(),
            };
            if !matches {
                return false;
            }
            rest = tail;
        }
        self.is_prefix || rest.is_none()
    }

    /// What every path that matches has as its first segment; none when that may be any.
    pub(crate) fn first_segment(&self) -> Option<&str> {
        match self.segments.first()? {
            Segment::Literal(text) => Some(text),
            Segment::Any => None,
        }
    }

    /// The pattern as it was written; the low-cardinality name of the route in spans and metrics.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        Self::try_new(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::try_new(pattern).unwrap().matches(path)
    }

    #[test]
    fn a_literal_matches_itself_only() {
        assert!(matches("/users", "/users"));
        assert!(matches("/", "/"));
        assert!(matches("/users/", "/users/"));
        for path in ["/", "/users/", "/users/1", "/user", "/userss", "/Users"] {
            assert!(!matches("/users", path), "{path}");
        }
    }

    #[test]
    fn a_placeholder_matches_one_segment_that_is_not_empty() {
        for pattern in ["/users/{id}", "/users/*"] {
            assert!(matches(pattern, "/users/1"));
            for path in ["/users", "/users/", "/users/1/", "/users/1/x", "/orders/1"] {
                assert!(!matches(pattern, path), "{pattern} {path}");
            }
        }
        assert!(matches("/{a}/x/*", "/1/x/2"));
    }

    #[test]
    fn a_prefix_matches_itself_and_all_below_and_no_longer_word() {
        for path in ["/users", "/users/", "/users/1", "/users/1/x"] {
            assert!(matches("/users/**", path), "{path}");
        }
        assert!(!matches("/users/**", "/users-old"));
        assert!(!matches("/users/**", "/user"));
        assert!(matches("/**", "/") && matches("/**", "/a/b"));
        assert!(matches("/{service}/admin/**", "/user-service/admin/users"));
    }

    #[test]
    fn a_literal_in_another_spelling_is_the_same() {
        assert!(matches("/%61dmin", "/admin"));
    }

    #[test]
    fn a_mistake_is_refused_with_what_to_write() {
        let message = |pattern: &str| {
            let error = Pattern::try_new(pattern).unwrap_err();
            regatta_core::Chain(&error).to_string()
        };
        assert!(message("users").contains("`users` does not begin with `/`"));
        assert!(message("").contains("does not begin"));
        assert!(message("/a/**/b").contains("only be the last segment"));
        for pattern in ["/a*", "/a/{b", "/{}", "/a**", "/{a-b}", "/x{y}z"] {
            assert!(message(pattern).contains("neither a text nor a placeholder"), "{pattern}");
        }
        assert!(message("/a/../b").contains("`..` segment"));
        for pattern in ["//", "/a//b", "/a//**", "//**"] {
            assert!(message(pattern).contains("empty segment"), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_prefix_matches_whatever_follows_a_slash(rest in "[a-z/]{0,20}") {
            let matched = matches("/users/**", &format!("/users/{rest}"));
            prop_assert!(matched);
        }

        #[test]
        fn any_text_is_compiled_or_refused_without_a_panic(text: String, path: String) {
            if let Ok(pattern) = Pattern::try_new(&text) {
                pattern.matches(&path);
            }
        }
    }
}
