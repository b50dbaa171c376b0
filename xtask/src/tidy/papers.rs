//! Papers are true: paths they name exist, error codes and pages come in pairs.

use super::Source;
use crate::workspace;

pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for paper in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        match sources.iter().find(|source| source.name() == paper) {
            None => found.push(format!("{paper}: missing")),
            Some(source) => found.extend(dead_paths(source)),
        }
    }
    for code in codes(sources) {
        if !workspace::root().join(format!("docs/errors/{code}.md")).is_file() {
            found.push(format!("{code}: has no page docs/errors/{code}.md"));
        }
    }
    found
}

/// The paths between backticks or in links of a paper that do not exist.
fn dead_paths(source: &Source) -> Vec<String> {
    let quoted = source.text.split('`').skip(1).step_by(2);
    let linked = source.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let is_path = |text: &&str| {
        let is_ours = ["crates/", "docs/", "services/", "backends/", "xtask/", "tests/", "proto/"]
            .iter()
            .any(|folder| text.starts_with(folder));
        is_ours && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./#".contains(&byte))
    };
    let exists = |path: &str| {
        let path = path.split('#').next().unwrap_or(path);
        workspace::root().join(path).exists()
    };
    let dead = quoted.chain(linked).filter(is_path).filter(|path| !exists(path));
    dead.map(|path| format!("{}: names `{path}`, which does not exist", source.name())).collect()
}

/// Every operators' error code that the code prints.
fn codes(sources: &[Source]) -> std::collections::BTreeSet<String> {
    let code_at = |text: &str| {
        let digits = text.get(4..8)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| text[..8].to_owned())
    };
    let in_code =
        sources.iter().filter(|source| source.path.extension().is_some_and(|e| e == "rs"));
    let prefix = concat!("RGT", "-");
    in_code
        .flat_map(|source| {
            source.text.match_indices(prefix).filter_map(|(at, _)| code_at(&source.text[at..]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_gone_is_reported() {
        let text = "See `xtask/src/main.rs`, [here](docs/none.md) and `crates/gone/`.".to_owned();
        let found = dead_paths(&Source { path: "README.md".into(), text });
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn codes_are_found_in_code() {
        let text = format!("\"{}0107: port in use\"", concat!("RGT", "-"));
        let sources = [Source { path: "crates/a/src/b.rs".into(), text }];
        assert_eq!(codes(&sources).len(), 1);
    }
}
