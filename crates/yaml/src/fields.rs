//! A map read key by key; what nobody asked for is reported.

use crate::{Key, Mark, Node, Problem, Value, nearest};

/// The keys of one map that are not read yet; collects problems as it goes.
///
/// Ask for each key once, then call [`Fields::finish`], which reports what is left.
#[derive(Debug)]
pub struct Fields<'a> {
    mark: Mark,
    path: String,
    left: Vec<&'a (Key, Node)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Takes a map, or nothing, which is an empty map; anything else is a problem.
    ///
    /// `path` is how messages name the map: `services.user-service`, or empty for the root.
    pub fn of(node: &'a Node, path: &str, problems: &mut Vec<Problem>) -> Self {
        let left = match &node.value {
            Value::Map(entries) => entries.iter().collect(),
            Value::Null => Vec::new(),
            other => {
                let name = if path.is_empty() { "the document" } else { path };
                let message = format!(
                    "{name}: expected a map, found {}; write `key: value` lines",
                    other.found()
                );
                problems.push(Problem::new(node.mark, message));
                Vec::new()
            }
        };
        Self { mark: node.mark, path: path.to_owned(), left, known: Vec::new() }
    }

    /// Where the map begins.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The full name of a key of this map, for messages.
    pub fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes a key out; none when it is absent or holds nothing.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.take_any(key).filter(|node| node.value != Value::Null)
    }

    /// Takes a key out, also when it holds nothing; none when it is absent.
    pub fn take_any(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        let at = self.left.iter().position(|(name, _)| name.text == key)?;
        Some(&self.left.remove(at).1)
    }

    /// Reports every key that was not taken, with the nearest one that could have been.
    pub fn finish(self, problems: &mut Vec<Problem>) {
        for (key, _) in &self.left {
            let name = self.name(&key.text);
            let message = match nearest(&key.text, self.known.iter().copied()) {
                Some(meant) => format!("unknown key `{name}`; did you mean `{meant}`?"),
                None => format!("unknown key `{name}`; known here: {}", self.known.join(", ")),
            };
            problems.push(Problem::new(key.mark, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn read(text: &str) -> Vec<String> {
        let tree = parse(text).unwrap();
        let mut problems = Vec::new();
        let mut fields = Fields::of(&tree, "gateway", &mut problems);
        fields.take("listen");
        fields.take("admin");
        fields.finish(&mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_the_nearest_known_key() {
        assert_eq!(
            read("listen: a\nadmn: b\n"),
            ["2:1: unknown key `gateway.admn`; did you mean `admin`?"]
        );
    }

    #[test]
    fn lists_the_known_keys_when_none_is_near() {
        assert_eq!(
            read("colour: b\n"),
            ["1:1: unknown key `gateway.colour`; known here: listen, admin"]
        );
    }

    #[test]
    fn nothing_is_an_empty_map_and_a_list_is_a_problem() {
        assert!(read("").is_empty());
        assert_eq!(
            read("[a]"),
            ["1:1: gateway: expected a map, found a list; write `key: value` lines"]
        );
    }
}
