//! A file holds one concept, so it stays short; a program's `main.rs` is wiring.

use super::Source;

/// Lines of code, blank lines, comments and tests left out.
const MOST_LINES: usize = 400;
const MOST_LINES_OF_MAIN: usize = 80;

pub(super) fn check(source: &Source) -> Option<String> {
    let most = if source.name().ends_with("src/main.rs") { MOST_LINES_OF_MAIN } else { MOST_LINES };
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let lines = source.code().lines().filter(is_code).count();
    (lines > most).then(|| {
        let name = source.name();
        format!("{name}: {lines} lines of code, at most {most}; what is the second concept in it?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(path: &str, lines: usize) -> Option<String> {
        let text = format!("{}// comment\n\n#[cfg(test)]\nmod tests {{}}\n", "x\n".repeat(lines));
        check(&Source { path: path.into(), text })
    }

    #[test]
    fn counts_code_and_nothing_else() {
        assert_eq!(verdict("crates/a/src/b.rs", 400), None);
        assert!(verdict("crates/a/src/b.rs", 401).is_some());
        assert_eq!(verdict("crates/a/src/main.rs", 80), None);
        assert!(verdict("crates/a/src/main.rs", 81).is_some());
    }
}
