//! The methods a rule is for.

use std::fmt;

/// A set of HTTP methods; all of them by default. A rule for `GET` is one for `HEAD` too, which is
/// a `GET` without the body (RFC 9110, section 9.3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods(Box<[Box<str>]>);

/// The text is not a method.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a method; write it in capitals, such as GET or POST")]
pub struct InvalidMethod {
    /// What was given.
    pub text: String,
}

impl Methods {
    /// All methods.
    pub fn any() -> Self {
        Self::default()
    }

    /// These methods; none given means all.
    ///
    /// # Errors
    ///
    /// [`InvalidMethod`] names the first that is not a token in capitals.
    pub fn try_new<T: AsRef<str>>(
        methods: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidMethod> {
        let checked = methods.into_iter().map(|method| {
            let text = method.as_ref();
            let valid = !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
            if valid { Ok(text.into()) } else { Err(InvalidMethod { text: text.to_owned() }) }
        });
        Ok(Self(checked.collect::<Result<_, _>>()?))
    }

    /// Whether the rule is for this method.
    pub fn contains(&self, method: &str) -> bool {
        let named = |name: &str| self.0.iter().any(|method| **method == *name);
        self.0.is_empty() || named(method) || (method == "HEAD" && named("GET"))
    }

    /// The methods, as in the header `Allow`; none means all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|method| &**method)
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("any method") } else { f.write_str(&self.0.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_given_means_all() {
        assert!(Methods::any().contains("PROPFIND"));
    }

    #[test]
    fn a_rule_for_get_is_for_head_too() {
        let methods = Methods::try_new(["GET", "POST"]).unwrap();
        assert!(["GET", "POST", "HEAD"].iter().all(|method| methods.contains(method)));
        assert!(!methods.contains("PUT"));
        assert!(!Methods::try_new(["POST"]).unwrap().contains("HEAD"));
    }

    #[test]
    fn anything_but_capitals_is_refused() {
        for text in ["", "get", "GE T", "GET,POST"] {
            let error = Methods::try_new([text]).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
