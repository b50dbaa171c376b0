//! What processes tell each other: whose copies are out of date.

use regatta_cache::{Invalidate, Key, Pattern};
use serde::{Deserialize, Serialize};

use crate::names::Names;

/// An invalidation, as JSON on the channel.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// The process that says it, which has done it at home.
    pub(crate) from: String,
    /// The names of values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
}

impl Message {
    pub(crate) fn names(from: &str, names: Vec<String>) -> String {
        Self { from: from.to_owned(), names, pattern: None }.encode()
    }

    pub(crate) fn pattern(from: &str, pattern: &Pattern) -> String {
        let pattern = Some(pattern.as_str().to_owned());
        Self { from: from.to_owned(), names: Vec::new(), pattern }.encode()
    }

    /// What to drop; none when it is not a message of ours, and everything may be out of date.
    pub(crate) fn read(text: &[u8], names: &Names) -> Option<(String, Vec<Invalidate>)> {
        let message: Self = serde_json::from_slice(text).ok()?;
        let mut what = Vec::new();
        let key = |name: &String| Key::try_new(names.key(name)?).ok();
        let keys: Option<Vec<_>> = message.names.iter().map(key).collect();
        what.push(Invalidate::Keys(keys?));
        if let Some(pattern) = message.pattern {
            what.push(Invalidate::Pattern(Pattern::try_new(pattern).ok()?));
        }
        Some((message.from, what))
    }

    fn encode(&self) -> String {
        serde_json::to_string(self).expect("texts and lists of texts are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let names = Names::new("p");
        let said = Message::names("me", vec!["p:user:1".to_owned()]);
        let (from, what) = Message::read(said.as_bytes(), &names).unwrap();
        assert_eq!(from, "me");
        assert_eq!(what, [Invalidate::Keys(vec![Key::try_new("user:1").unwrap()])]);
        let pattern = Pattern::try_new("user:*").unwrap();
        let said = Message::pattern("me", &pattern);
        let (_, what) = Message::read(said.as_bytes(), &names).unwrap();
        assert_eq!(what[1], Invalidate::Pattern(pattern));
    }

    #[test]
    fn what_is_no_message_is_not_taken_for_one() {
        let names = Names::new("p");
        for text in ["", "{}", "[]", r#"{"from":"x","names":["other:user:1"]}"#] {
            assert_eq!(Message::read(text.as_bytes(), &names), None, "{text}");
        }
    }
}
