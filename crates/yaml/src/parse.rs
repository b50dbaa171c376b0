//! One YAML 1.2 document to a tree; refuses what YAML leaves to guessing.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle};

use crate::{Key, Mark, Node, Problem, Scalar, Value};

/// Most nodes of one document, aliases counted each time they are used: a bound on what a small
/// text can grow to, far above any file a person writes.
const MAX_NODES: usize = 100_000;

/// Parses one document; an empty text is an empty document ([`Value::Null`]).
///
/// # Errors
///
/// Every duplicate key, merge key and tag; or the one place where the text stops being YAML.
pub fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    let mut builder = Builder::default();
    let options = granit_parser::options! { emit_comments: false };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let message = format!("not YAML: {}; {}", error.info(), REMEDY);
                builder.problems.push(Problem::new(mark(error.marker()), message));
                return Err(builder.problems);
            }
        };
        if builder.accept(event, mark(&span.start)).is_break() {
            break;
        }
    }
    if builder.problems.is_empty() {
        Ok(builder.root.unwrap_or(Node { mark: Mark::START, value: Value::Null }))
    } else {
        Err(builder.problems)
    }
}

const REMEDY: &str = "check indentation, colons and quotes at and above this line";

fn mark(marker: &Marker) -> Mark {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Mark { line: number(marker.line()).max(1), column: number(marker.col()).saturating_add(1) }
}

/// A collection that has begun and not ended.
struct Open {
    mark: Mark,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
    problems: Vec<Problem>,
}

type Flow = std::ops::ControlFlow<()>;

impl Builder {
    fn accept(&mut self, event: Event<'_>, mark: Mark) -> Flow {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.problem(mark, "a second document begins; keep one document a file");
                    return Flow::Break(());
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let mut quoted = !matches!(style, ScalarStyle::Plain);
                match tag.as_deref().map(|tag| (tag.core_suffix(), tag.original())) {
                    None => {}
                    Some((Some("str"), _)) => quoted = true,
                    Some((_, tag)) => self.tag(mark, &tag),
                }
                let text = text.into_owned();
                let value = if !quoted && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    // A key keeps its text, so `~: 1` is the key `~`.
                    if self.expects_key() {
                        Value::Scalar(Scalar { text, quoted })
                    } else {
                        Value::Null
                    }
                } else {
                    Value::Scalar(Scalar { text, quoted })
                };
                return self.add(Node { mark, value }, anchor);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag_of(mark, tag.as_deref());
                return self.begin(mark, anchor, Items::List(Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag_of(mark, tag.as_deref());
                return self.begin(mark, anchor, Items::Map(Vec::new(), None));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let value = match open.items {
                        Items::List(items) => Value::List(items),
                        Items::Map(entries, _) => Value::Map(entries),
                    };
                    return self.add(Node { mark: open.mark, value }, open.anchor);
                }
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    // Checked before the copy is made: the copy is what can be huge.
                    self.nodes = self.nodes.saturating_add(size(node));
                    if self.nodes > MAX_NODES {
                        return self.too_large(mark);
                    }
                    let copy = Node { mark, value: node.value.clone() };
                    return self.add(copy, 0);
                }
                None => {
                    self.problem(mark, "an alias stands inside the value it names; write it out")
                }
            },
            _ => {}
        }
        Flow::Continue(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { items: Items::Map(_, None), .. }))
    }

    fn begin(&mut self, mark: Mark, anchor: usize, items: Items) -> Flow {
        if self.expects_key() {
            self.problem(mark, "a list or map stands where a key belongs; use a text as key");
            return Flow::Break(());
        }
        self.open.push(Open { mark, anchor, items });
        Flow::Continue(())
    }

    fn add(&mut self, node: Node, anchor: usize) -> Flow {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return self.too_large(node.mark);
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
            self.nodes = self.nodes.saturating_add(size(&node));
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map(entries, key)) => match key.take() {
                Some(name) => entries.push((name, node)),
                None => return self.key(node),
            },
        }
        Flow::Continue(())
    }

    /// Takes a node as the next key of the innermost map.
    fn key(&mut self, node: Node) -> Flow {
        let Value::Scalar(Scalar { text, quoted }) = node.value else {
            self.problem(node.mark, "a list or map stands where a key belongs; use a text as key");
            return Flow::Break(());
        };
        if text == "<<" && !quoted {
            self.problem(node.mark, "merge keys (`<<`) are not YAML 1.2; write the keys out");
        }
        let Some(Open { items: Items::Map(entries, key), .. }) = self.open.last_mut() else {
            return Flow::Continue(());
        };
        let first = entries.iter().find(|(name, _)| name.text == text).map(|(name, _)| name.mark);
        *key = Some(Key { text, mark: node.mark });
        if let (Some(first), Some(key)) = (first, &*key) {
            let message = format!(
                "key `{}` occurs twice, first in line {}; keep one of them",
                key.text, first.line
            );
            self.problems.push(Problem::new(key.mark, message));
        }
        Flow::Continue(())
    }

    fn problem(&mut self, mark: Mark, message: &str) {
        self.problems.push(Problem::new(mark, message));
    }

    fn too_large(&mut self, mark: Mark) -> Flow {
        self.problem(mark, "the document has over 100000 values; split it or use fewer aliases");
        Flow::Break(())
    }

    fn tag_of(&mut self, mark: Mark, tag: Option<&granit_parser::Tag>) {
        if let Some(tag) = tag {
            self.tag(mark, &tag.original());
        }
    }

    fn tag(&mut self, mark: Mark, tag: &str) {
        self.problems.push(Problem::new(
            mark,
            format!("tag `{tag}` is not supported; remove it (only `!!str` has a meaning here)"),
        ));
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Null | Value::Scalar(_) => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, value)| size(value)).sum(),
    }
}

#[cfg(test)]
mod tests;
