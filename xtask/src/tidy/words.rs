//! Words that do not belong in the project.

use super::Source;

/// Written in halves, so that this file passes its own check.
const BANNED: [(&str, &str); 5] =
    [("/wor", "k/"), ("/roo", "t/"), ("/hom", "e/"), ("sub", "agent"), ("index.crates", ".io")];

pub(super) fn check(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (first, second) in BANNED {
        let word = format!("{first}{second}");
        for (index, line) in source.text.lines().enumerate() {
            if line.contains(&word) {
                let line = index + 1;
                found.push(format!("{}:{line}: `{word}` names a machine", source.name()));
            }
        }
    }
    if !source.is_for_tests() && source.path.extension().is_some_and(|found| found == "rs") {
        for (index, line) in source.code().lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment && [".unwrap()", "todo!(", "dbg!("].iter().any(|w| line.contains(w)) {
                found.push(format!("{}:{}: unwrap, todo or dbg", source.name(), index + 1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(path: &str, text: &str) -> usize {
        check(&Source { path: path.into(), text: text.to_owned() }).len()
    }

    #[test]
    fn a_machines_path_is_reported_with_its_line() {
        let text = format!("one\nsee {}{}main\n", "/wor", "k/");
        let found = check(&Source { path: "docs/a.md".into(), text });
        assert!(found[0].starts_with("docs/a.md:2:"), "{found:?}");
    }

    #[test]
    fn unwrap_is_for_tests() {
        assert_eq!(verdicts("crates/a/src/b.rs", "a.unwrap();\n"), 1);
        assert_eq!(verdicts("crates/a/src/b.rs", "/// a.unwrap();\n"), 0);
        assert_eq!(verdicts("crates/a/tests/it/main.rs", "a.unwrap();\n"), 0);
        let beside = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { a.unwrap(); } }\n";
        assert_eq!(verdicts("crates/a/src/b.rs", beside), 0);
    }
}
