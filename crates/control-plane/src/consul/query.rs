//! The query string of a request, as Consul reads it.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::failure::Failure;
use crate::duration;

/// The query's parameters, decoded, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// From which index on a blocking query wants to hear, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocking {
    pub(crate) index: u64,
    pub(crate) wait: Duration,
}

impl Blocking {
    const DEFAULT_WAIT: Duration = Duration::from_secs(300);
    const MAX_WAIT: Duration = Duration::from_secs(600);
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// Reads a query string; a sequence that is no valid escape stays as it is.
    pub(crate) fn parse(text: &str) -> Self {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (unescape(name), unescape(value))
        };
        Self { pairs: text.split('&').filter(|part| !part.is_empty()).map(pair).collect() }
    }

    /// The first value of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of this name.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |pair| pair.0 == name).map(|pair| pair.1.as_str())
    }

    /// A flag that Consul reads strictly: bare, or a word for yes or no.
    pub(crate) fn strict_flag(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name).map(str::to_lowercase).as_deref() {
            None | Some("0" | "f" | "false") => Ok(false),
            Some("" | "1" | "t" | "true") => Ok(true),
            Some(_) => Err(Failure::bad_request(format!("Invalid value for ?{name}"))),
        }
    }

    /// Whether a flag is set: bare, or with any value but a word for no.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let no = ["0", "f", "false"];
        self.get(name).is_some_and(|value| !no.contains(&value.to_lowercase().as_str()))
    }

    /// Whether a parameter is there, whatever it says.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The parameters in the order of their names, as Consul's errors show them.
    pub(crate) fn sorted(&self) -> String {
        let mut pairs: Vec<_> =
            self.pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.sort();
        pairs.join("&")
    }

    /// A whole number, if the parameter is there.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        let parsed = self.get(name).map(|text| {
            let wrong = |_| Failure::bad_request(format!("Invalid {name}: {text:?} is no number"));
            text.parse::<u64>().map_err(wrong)
        });
        parsed.transpose()
    }

    /// What to block for; none for a query that wants its answer at once.
    pub(crate) fn blocking(&self) -> Result<Option<Blocking>, Failure> {
        let wait = self.wait()?;
        let index = match self.get("index").filter(|index| !index.is_empty()) {
            Some(text) => text.parse::<u64>().map_err(|_| Failure::bad_request("Invalid index"))?,
            None => 0,
        };
        Ok((index > 0).then_some(Blocking { index, wait }))
    }

    /// How long a query that blocks is held, at most.
    pub(crate) fn wait(&self) -> Result<Duration, Failure> {
        let wait = match self.get("wait").filter(|wait| !wait.is_empty()) {
            Some(text) => duration::parse(text).ok_or(Failure::bad_request("Invalid wait time"))?,
            None => Blocking::DEFAULT_WAIT,
        };
        // Consul treats a wait of nothing as none given.
        let wait = if wait.is_zero() { Blocking::DEFAULT_WAIT } else { wait };
        Ok(wait.min(Blocking::MAX_WAIT))
    }

    /// Whether it may be held until something changes.
    pub(crate) fn may_block(&self) -> bool {
        ["index", "hash"].iter().any(|name| self.get(name).is_some_and(|text| !text.is_empty()))
    }

    /// Refuses a namespace, which there is none of.
    pub(crate) fn check_namespace(&self) -> Result<(), Failure> {
        if self.get("ns").is_some_and(|name| !name.is_empty()) {
            // Consul's words.
            let text = "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul \
                        Enterprise feature";
            return Err(Failure::bad_request(text));
        }
        Ok(())
    }

    /// Refuses what this control plane cannot mean: another datacenter, two consistencies at
    /// once.
    pub(crate) fn check(&self, datacenter: &str) -> Result<(), Failure> {
        if self.flag("stale") && self.flag("consistent") {
            let text = "Cannot specify ?stale with ?consistent, conflicting semantics.";
            return Err(Failure::bad_request(text));
        }
        self.check_namespace()?;
        if self.get("dc").is_some_and(|dc| !dc.is_empty() && dc != datacenter) {
            return Err(Failure::no_path(datacenter));
        }
        Ok(())
    }
}

/// Decodes `%41` and `+`.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = escaped.filter(|hex| !hex.starts_with('+'));
        match (byte, escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flag_may_be_bare_or_have_a_word_for_yes() {
        for text in ["passing", "passing=1", "passing=True", "a=b&passing="] {
            assert!(Query::parse(text).flag("passing"), "{text}");
        }
        for text in ["", "passing=false", "passing=0", "passin=1", "passing=False"] {
            assert!(!Query::parse(text).flag("passing"), "{text}");
        }
    }

    #[test]
    fn a_strict_flag_is_a_word_for_yes_or_no() {
        let flag = |text: &str| Query::parse(text).strict_flag("passing");
        for (text, wanted) in [("passing", true), ("passing=1", true), ("passing=True", true)] {
            assert_eq!(flag(text).unwrap(), wanted, "{text}");
        }
        for text in ["", "passing=false", "passing=F", "passing=0"] {
            assert!(!flag(text).unwrap(), "{text}");
        }
        assert!(flag("passing=perhaps").is_err());
    }

    #[test]
    fn decodes_names_and_values() {
        let query = Query::parse("node-meta=a%3Ab&tag=one+two&tag=%zz&x=%+1");
        assert_eq!(query.get("node-meta"), Some("a:b"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["one two", "%zz"]);
        assert_eq!(query.get("x"), Some("% 1"));
    }

    #[test]
    fn blocks_only_with_an_index() {
        let blocking = |text: &str| Query::parse(text).blocking();
        assert_eq!(blocking("wait=10s").unwrap(), None);
        assert_eq!(blocking("index=0&wait=10s").unwrap(), None);
        let wait = Duration::from_secs(10);
        assert_eq!(blocking("index=7&wait=10s").unwrap(), Some(Blocking { index: 7, wait }));
        let wait = Duration::from_secs(300);
        assert_eq!(blocking("index=7").unwrap(), Some(Blocking { index: 7, wait }));
        assert_eq!(blocking("index=7&wait=9h").unwrap().unwrap().wait, Blocking::MAX_WAIT);
        assert!(blocking("index=x").is_err());
        assert!(blocking("index=-1").is_err());
        assert!(blocking("index=1&wait=10").is_err());
    }

    #[test]
    fn refuses_what_it_cannot_mean() {
        let check = |text: &str| Query::parse(text).check("dc1");
        assert!(check("dc=dc1&stale").is_ok());
        assert!(check("dc=dc2").is_err());
        assert!(check("stale&consistent").is_err());
        assert!(check("ns=team").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let query = Query::parse(&text);
            let _ = (query.blocking(), query.check("dc1"));
        }
    }
}
