//! Habits that a text scan can see, as checks with a line each.

mod heads;
mod lengths;
mod names;
mod papers;
mod uses;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// One file under the checks.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The path from the root with `/` between its parts.
    fn name(&self) -> &str {
        self.path.to_str().unwrap_or_default()
    }

    /// Whether the file is code for tests, benches or examples only.
    fn is_for_tests(&self) -> bool {
        let is_test_folder = |part: &str| {
            matches!(part, "tests" | "benches" | "examples" | "testkit" | "xtask" | "conformance")
        };
        self.name().split('/').any(is_test_folder)
            || ["tests.rs", "conformance.rs"].iter().any(|end| self.name().ends_with(end))
    }

    /// The code before the tests that stand beside it.
    fn code(&self) -> &str {
        let tests = ["\n#[cfg(test)]\nmod ", "\n#[cfg(all(test"];
        let first = tests.iter().filter_map(|mark| self.text.find(mark)).min();
        &self.text[..first.unwrap_or(self.text.len())]
    }
}

/// Fails with everything that is out of habit.
pub(crate) fn run() -> Result<()> {
    let mut found = names::check(&workspace::files()?);
    let sources = sources()?;
    for source in &sources {
        found.extend(words::check(source));
        if has_extension(&source.path, "rs") {
            found.extend(heads::check(source));
            found.extend(lengths::check(source));
            found.extend(uses::check(source));
        }
    }
    found.extend(papers::check(&sources));
    ensure!(found.is_empty(), "{} habits broken:\n{}", found.len(), found.join("\n"));
    println!("tidy: {} files, nothing out of habit", sources.len());
    Ok(())
}

fn sources() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in workspace::files()? {
        let is_text = ["rs", "md", "toml", "yaml", "yml", "proto", "sql"]
            .iter()
            .any(|extension| has_extension(&path, extension));
        if is_text {
            let text = std::fs::read_to_string(workspace::root().join(&path));
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_tidy() {
        super::run().unwrap();
    }
}
