//! Adds a service to a manifest, leaving every other line as it is.

use std::path::Path;

use regatta_manifest::Manifest;

use crate::failure::Failure;

/// The manifest's text with one more service.
pub(super) fn with_service(path: &Path, name: &str) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)?;
    let file = path.display().to_string();
    let manifest = Manifest::parse(&text, &file)?;
    if manifest.service(name).is_some() {
        let text = format!("{file} has a service `{name}` already; choose another name");
        return Err(Failure::usage(text));
    }
    let added = add(&text, name);
    // Whatever way the text is written, what comes out must say what was meant.
    let understood = added.as_deref().and_then(|added| Manifest::parse(added, &file).ok());
    match (added, understood) {
        (Some(added), Some(read)) if read.service(name).is_some() => Ok(added),
        _ => Err(Failure::new(format!(
            "`{name}` cannot be added to {file} without disturbing it; write the service with \
             --no-manifest and add it by hand: `{name}: {{ run: {{ cargo: {name} }} }}`"
        ))),
    }
}

/// Puts the service after the last line of the block `services:`.
fn add(text: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let begin = lines.iter().position(|line| line.trim_end() == "services:")?;
    let is_inside = |line: &&str| {
        let trimmed = line.trim_start();
        !trimmed.is_empty() && !trimmed.starts_with('#')
    };
    let rest = lines[begin + 1..].iter().enumerate();
    let block = rest.take_while(|(_, line)| line.is_empty() || line.starts_with([' ', '#']));
    let mut inside = block.filter(|(_, line)| is_inside(line));
    let first = inside.next()?;
    let last = inside.last().unwrap_or(first).0;
    let indent = first.1.len() - first.1.trim_start().len();
    let indent = " ".repeat(indent);
    let service = format!("\n{indent}{name}:\n{indent}{indent}run: {{ cargo: {name} }}");
    let (before, after) = lines.split_at(begin + 1 + last + 1);
    Some(before.join("\n") + "\n" + &service + "\n" + &after.join("\n") + "\n")
}

/// The first manifest of a system.
pub(super) fn first(name: &str) -> String {
    format!(
        "# The services that make the system; `regatta up` starts all of it.\nname: {name}\n\n\
         services:\n  {name}:\n    run: {{ cargo: {name} }}\n\n\
         gateway:\n  listen: 127.0.0.1:8080\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "# A shop.
name: shop

services:
  # The first.
  user:
    run: { cargo: user } # here

gateway:
  listen: 127.0.0.1:8080
";

    #[test]
    fn the_service_joins_the_others_and_no_line_changes() {
        let text = added(SHOP, "pay").unwrap();
        let expected = SHOP.replace(
            "    run: { cargo: user } # here\n",
            "    run: { cargo: user } # here\n\n  pay:\n    run: { cargo: pay }\n",
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_block_at_the_end_is_continued() {
        let text = "name: shop\nservices:\n    user:\n        run: { cargo: user }\n";
        let text = added(text, "pay").unwrap();
        assert!(text.ends_with("\n\n    pay:\n        run: { cargo: pay }\n\n"), "{text:?}");
    }

    #[test]
    fn a_name_that_is_taken_is_refused() {
        assert!(added(SHOP, "user").is_err());
    }

    #[test]
    fn a_text_in_another_style_is_left_alone() {
        assert!(
            added("name: shop\nservices: { user: { run: { cargo: user } } }\n", "pay").is_err()
        );
    }

    #[test]
    fn the_first_manifest_is_valid() {
        let manifest = Manifest::parse(&first("pay"), "regatta.yaml").unwrap();
        assert!(manifest.service("pay").is_some());
    }

    fn added(text: &str, name: &str) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regatta.yaml");
        std::fs::write(&path, text).unwrap();
        with_service(&path, name)
    }
}
