//! Every file says in its first line what it is.

use super::Source;

/// The longest first line, in words.
const MOST_WORDS: usize = 16;

pub(super) fn check(source: &Source) -> Option<String> {
    let mut lines = source.text.lines();
    // A binary of tests or a template may open with inner attributes.
    let first = lines.find(|line| !line.starts_with("#!["))?;
    let Some(head) = first.strip_prefix("//! ") else {
        return Some(format!(
            "{}: begins without a `//!` head that says what it is",
            source.name()
        ));
    };
    let words = head.split_whitespace().count();
    (words > MOST_WORDS)
        .then(|| format!("{}: head has {words} words; use at most {MOST_WORDS}", source.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Option<String> {
        check(&Source { path: "crates/a/src/b.rs".into(), text: text.to_owned() })
    }

    #[test]
    fn a_file_begins_with_a_short_head() {
        assert_eq!(verdict("//! One thing.\n"), None);
        assert_eq!(verdict("#![no_std]\n//! One thing.\n"), None);
        assert!(verdict("use std::fs;\n").is_some());
        assert!(verdict(&format!("//! {}\n", "word ".repeat(17))).is_some());
    }
}
