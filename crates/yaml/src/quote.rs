//! A text as a YAML scalar that reads back as that text.

/// Writes a text plain where that is safe and in double quotes where it is not.
pub fn quote(text: &str) -> String {
    let plain_char = |c: char| c.is_ascii_alphanumeric() || "_./+-@%=?&".contains(c);
    let inner = |c: char| plain_char(c) || c == ':' || c == ' ';
    let starts = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/');
    let special = matches!(
        text.to_ascii_lowercase().as_str(),
        "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    let colon = text.contains(": ") || text.ends_with(':') || text.ends_with(' ');
    if starts && !special && !colon && text.chars().all(inner) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Everything that a terminal or a YAML reader might take for something else.
            c if c.is_control() || ('\u{2028}'..='\u{2029}').contains(&c) || c == '\u{feff}' => {
                quoted.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Value, parse};

    #[test]
    fn plain_words_stay_plain_and_lookalikes_get_quotes() {
        assert_eq!(quote("localhost"), "localhost");
        assert_eq!(quote("postgres://db:5432/app"), "postgres://db:5432/app");
        for text in ["", "no", "12", "a: b", "a #b", "- x", "*a", "null", "tail "] {
            assert!(quote(text).starts_with('"'), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_text_reads_back(text in any::<String>()) {
            reads_back(&text)?;
        }

        #[test]
        fn every_text_of_yaml_characters_reads_back(
            text in "[abz:,\\-?&*!|>'\"%@`#{}\\[\\]~<=/+_\\n\\t 01.]{0,12}",
        ) {
            reads_back(&text)?;
        }
    }

    /// In a block, in a list and as a key.
    fn reads_back(text: &str) -> Result<(), TestCaseError> {
        let quoted = quote(text);
        let tree = parse(&format!("block: {quoted}\nflow: [{quoted}, {{{quoted}: {quoted}}}]\n"));
        let tree = tree.map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        let block = tree.at(&["block"]).and_then(|node| node.scalar());
        prop_assert_eq!(block.map(|scalar| scalar.text.as_str()), Some(text));
        let flow = tree.at(&["flow"]).map(|node| node.value.clone());
        let Some(Value::List(items)) = flow else { panic!("{flow:?}") };
        prop_assert_eq!(items[0].scalar().map(|scalar| scalar.text.as_str()), Some(text));
        let inner = items[1].at(&[text]).and_then(|node| node.scalar());
        prop_assert_eq!(inner.map(|scalar| scalar.text.as_str()), Some(text));
        Ok(())
    }
}
