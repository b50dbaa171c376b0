//! What is called what in Redis.

use regatta_cache::{Key, Pattern, Tag};

/// The names of one cache. Values stand under their prefix and key; what else is needed begins with
/// `~` after the prefix, as no key does.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    /// Names under this prefix; an empty one leaves keys as they are.
    pub(crate) fn new(prefix: &str) -> Self {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}:") };
        Self { prefix }
    }

    pub(crate) fn value(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn version(&self, key: &Key) -> String {
        format!("{}~version:{key}", self.prefix)
    }

    pub(crate) fn lease(&self, key: &Key) -> String {
        format!("{}~lease:{key}", self.prefix)
    }

    pub(crate) fn tag(&self, tag: &Tag) -> String {
        format!("{}~tag:{tag}", self.prefix)
    }

    pub(crate) fn epoch(&self) -> String {
        format!("{}~epoch", self.prefix)
    }

    pub(crate) fn channel(&self) -> String {
        format!("{}~invalidate", self.prefix)
    }

    /// The key whose value has this name; none when it is none of ours.
    pub(crate) fn key<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(&self.prefix).filter(|key| !key.starts_with('~'))
    }

    /// The pattern as Redis reads patterns: only `*` keeps its meaning.
    pub(crate) fn glob(&self, pattern: &Pattern) -> String {
        let mut glob = String::new();
        let mut push = |text: &str, escaped: &[char]| {
            for character in text.chars() {
                if escaped.contains(&character) {
                    glob.push('\\');
                }
                glob.push(character);
            }
        };
        push(&self.prefix, &['\\', '?', '[', ']', '*']);
        push(pattern.as_str(), &['\\', '?', '[', ']']);
        glob
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_its_name_and_nothing_else_is() {
        let (key, names) = (Key::try_new("user:1").unwrap(), Names::new("user-service"));
        assert_eq!(names.value(&key), "user-service:user:1");
        assert_eq!(names.key("user-service:user:1"), Some("user:1"));
        for other in [names.version(&key), names.lease(&key), names.epoch(), "user:1".to_owned()] {
            assert_eq!(names.key(&other), None, "{other}");
        }
        assert_eq!(Names::new("").value(&key), "user:1");
    }

    #[test]
    fn only_a_star_of_the_pattern_keeps_its_meaning() {
        let pattern = Pattern::try_new("a?[b]\\*").unwrap();
        assert_eq!(Names::new("x*y").glob(&pattern), "x\\*y:a\\?\\[b\\]\\\\*");
    }
}
