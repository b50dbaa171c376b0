//! Which types of events a subscriber wants.

use std::str::FromStr;

/// Patterns for event types; without any, every type passes.
///
/// A pattern is a type (`order.placed`) or a type's beginning with `*` at the end (`order.*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeFilter {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    Prefix(String),
}

/// A pattern is empty, or has a `*` before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a pattern of event types; write a type, or its beginning and `*` at the end")]
pub struct InvalidPattern(pub String);

impl TypeFilter {
    /// Passes what one of the patterns fits.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] with the first that is none.
    pub fn try_new<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidPattern> {
        let patterns = patterns.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// The patterns, as they were written; none when every type passes.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.patterns.iter().map(|pattern| match pattern {
            Pattern::Exact(wanted) => wanted.clone(),
            Pattern::Prefix(beginning) => format!("{beginning}*"),
        })
    }

    /// Whether events of this type pass.
    pub fn passes(&self, event_type: &str) -> bool {
        self.patterns.is_empty()
            || self.patterns.iter().any(|pattern| match pattern {
                Pattern::Exact(wanted) => wanted == event_type,
                Pattern::Prefix(beginning) => event_type.starts_with(beginning.as_str()),
            })
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let beginning = text.strip_suffix('*');
        if text.is_empty() || beginning.unwrap_or(text).contains('*') {
            return Err(InvalidPattern(text.to_owned()));
        }
        Ok(match beginning {
            Some(beginning) => Self::Prefix(beginning.to_owned()),
            None => Self::Exact(text.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_passes_by_name_or_by_its_beginning() {
        let filter = TypeFilter::try_new(["order.*", "user.created"]).unwrap();
        for (event_type, passes) in [
            ("order.placed", true),
            ("order.", true),
            ("orders.placed", false),
            ("user.created", true),
            ("user.created.twice", false),
        ] {
            assert_eq!(filter.passes(event_type), passes, "{event_type}");
        }
        assert_eq!(filter.patterns().collect::<Vec<_>>(), ["order.*", "user.created"]);
        assert!(TypeFilter::default().passes("anything"));
        assert!(TypeFilter::try_new(["*"]).unwrap().passes("anything"));
    }

    #[test]
    fn a_star_stands_at_the_end() {
        for wrong in ["", "*.placed", "order.**", "a*b"] {
            assert_eq!(TypeFilter::try_new([wrong]), Err(InvalidPattern(wrong.to_owned())));
        }
    }
}
