//! The tree of a YAML document, each node with its place.

use std::fmt;

/// A place in a text; both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl Mark {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where the value begins.
    pub mark: Mark,
    /// The value.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// A single text.
    Scalar(Scalar),
    /// Nodes in order.
    List(Vec<Node>),
    /// Keys and nodes in the order of the text; no key occurs twice.
    Map(Vec<(Key, Node)>),
}

/// A text as written; its type is decided by who reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text without quotes, escapes resolved.
    pub text: String,
    /// Whether it stood in quotes or in a block, and so is text and nothing else.
    pub quoted: bool,
}

/// The key of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key without quotes.
    pub text: String,
    /// Where it stands.
    pub mark: Mark,
}

impl Node {
    /// The node at the end of a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| match &node.value {
            Value::Map(entries) => {
                entries.iter().find(|(name, _)| name.text == *key).map(|(_, value)| value)
            }
            _ => None,
        })
    }

    /// The scalar, when the node is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// What was found, in words for a message: ``text `abc` ``, `a list`.
    pub fn found(&self) -> String {
        self.value.found()
    }
}

impl Value {
    /// What was found, in words for a message.
    pub fn found(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Scalar(scalar) => scalar.found(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }
}
