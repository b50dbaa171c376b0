//! The settings as Markdown tables, for the guides.

use crate::Schema;
use crate::schema::Key;

/// Writes one Markdown table a group: key, type, default, environment variables, meaning.
///
/// A test that compares it with a guide keeps the guide true.
pub fn reference(schemas: &[Schema]) -> String {
    let mut text = String::new();
    for schema in schemas {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("### `{}`\n\n{}\n\n", schema.group, schema.docs.join(" ")));
        text.push_str("| key | type | default | environment | meaning |\n|---|---|---|---|---|\n");
        for key in &schema.keys {
            text.push_str(&row(key));
        }
    }
    text
}

fn row(key: &Key) -> String {
    let range = key.range.as_ref().map(|range| format!("; {range}")).unwrap_or_default();
    let default = match (&key.default, key.required) {
        (_, true) => "required".to_owned(),
        (Some(default), false) if !(key.secret || default == "\"\"") => format!("`{default}`"),
        _ => "none".to_owned(),
    };
    let variables: Vec<_> = key.variables().iter().map(|name| format!("`{name}`")).collect();
    let cells = [
        format!("`{}`", key.name),
        format!("{}{range}", key.kind),
        default,
        variables.join(", "),
        key.docs.join(" "),
    ];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}
