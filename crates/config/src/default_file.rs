//! A commented configuration file with every setting and its default.

use crate::Schema;
use crate::schema::Key;

/// Writes every setting of the groups with its documentation; defaults are commented out, so the
/// file changes nothing until someone edits it. Required settings stand with `#` and no value.
///
/// Groups with the same or a nested key (`client`, `client.breaker`) are written as one.
pub fn default_file(schemas: &[Schema]) -> String {
    let mut root = Group::default();
    for schema in schemas {
        let group = schema.group.split('.').fold(&mut root, |group, name| group.child(name));
        if group.docs.is_empty() {
            group.docs.clone_from(&schema.docs);
        }
        for key in &schema.keys {
            if !group.keys.iter().any(|known| known.name == key.name) {
                group.keys.push(key.clone());
            }
        }
    }
    let mut text = String::new();
    root.write(0, &mut text);
    text
}

#[derive(Default)]
struct Group {
    docs: Vec<String>,
    keys: Vec<Key>,
    children: Vec<(String, Group)>,
}

impl Group {
    fn child(&mut self, name: &str) -> &mut Self {
        let at = self.children.iter().position(|(known, _)| known == name);
        let at = at.unwrap_or_else(|| {
            self.children.push((name.to_owned(), Self::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }

    fn write(&self, depth: usize, text: &mut String) {
        let indent = "  ".repeat(depth);
        for key in &self.keys {
            for line in &key.docs {
                text.push_str(format!("{indent}# {line}").trim_end());
                text.push('\n');
            }
            let name = key.name.rsplit('.').next().unwrap_or(&key.name);
            let value = if key.secret { None } else { key.default.as_deref() };
            let value = value.map(|value| format!(" {value}")).unwrap_or_default();
            text.push_str(&format!("{indent}# {}\n{indent}# {name}:{value}\n", facts(key)));
        }
        for (name, group) in &self.children {
            let heading = text.lines().next_back().is_some_and(|line| !line.contains('#'));
            if !text.is_empty() && !heading {
                text.push('\n');
            }
            for line in &group.docs {
                text.push_str(format!("{indent}# {line}").trim_end());
                text.push('\n');
            }
            text.push_str(&format!("{indent}{name}:\n"));
            group.write(depth + 1, text);
        }
    }
}

/// `Required. A whole number from 0 to 65535; 1 or more. Environment: SERVER__PORT, PORT.`
fn facts(key: &Key) -> String {
    let required = if key.required { "Required: " } else { "Type: " };
    let range = key.range.as_ref().map(|range| format!("; {range}")).unwrap_or_default();
    let variables = key.variables().join(", ");
    format!("{required}{}{range}. Environment: {variables}.", key.kind)
}
