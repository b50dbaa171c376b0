//! The files of a new service, with its name filled in.

use std::path::Path;

use crate::failure::Failure;

/// Name and text of each file, as they lie in `templates/service`.
const FILES: [(&str, &str); 6] = [
    (".gitignore", include_str!("../../../../../templates/service/.gitignore")),
    ("Cargo.toml", include_str!("../../../../../templates/service/Cargo.toml")),
    ("src/api.rs", include_str!("../../../../../templates/service/src/api.rs")),
    ("src/lib.rs", include_str!("../../../../../templates/service/src/lib.rs")),
    ("src/main.rs", include_str!("../../../../../templates/service/src/main.rs")),
    ("tests/it/main.rs", include_str!("../../../../../templates/service/tests/it/main.rs")),
];

/// What is filled in.
#[derive(Debug)]
pub(super) struct Words<'a> {
    pub(super) name: &'a str,
    /// The right-hand side of `regatta = ` in Cargo.toml.
    pub(super) regatta: String,
    /// Whether a workspace keeps the edition, and the ignored files.
    pub(super) in_workspace: bool,
}

/// The crates that the template's package depends on, also for its tests.
pub(super) fn dependencies() -> impl Iterator<Item = &'static str> {
    let cargo = FILES.iter().find(|(name, _)| *name == "Cargo.toml").map_or("", |(_, text)| *text);
    let tables = cargo.split("\n[").filter(|table| table.contains("dependencies]"));
    tables.flat_map(|table| table.lines().skip(1)).filter_map(|line| Some(line.split_once(" =")?.0))
}

/// Writes all files; the folder appears whole or not at all.
pub(super) fn write(folder: &Path, words: &Words<'_>) -> Result<(), Failure> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    let beside = parent.join(format!(".{}.new", words.name));
    let written = files(words).into_iter().try_for_each(|(name, text)| {
        let path = beside.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&beside))?;
        std::fs::write(path, text)
    });
    let moved = written.and_then(|()| std::fs::rename(&beside, folder));
    if moved.is_err() {
        let _absent = std::fs::remove_dir_all(&beside);
    }
    Ok(moved?)
}

/// Name and final text of each file.
fn files(words: &Words<'_>) -> Vec<(&'static str, String)> {
    let wanted = |(name, _): &&(&str, &str)| !(words.in_workspace && *name == ".gitignore");
    FILES.iter().filter(wanted).map(|(name, text)| (*name, fill(text, words))).collect()
}

fn fill(text: &str, words: &Words<'_>) -> String {
    let package = "version = \"0.1.0\"\nedition = \"2024\"\npublish = false";
    text.replace("{{name}}", words.name)
        .replace("{{crate}}", &words.name.replace('-', "_"))
        .replace("{{regatta}}", &words.regatta)
        .replace("{{package}}", package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left() {
        let regatta = "{ workspace = true }".to_owned();
        for (name, text) in files(&Words { name: "payments-api", regatta, in_workspace: false }) {
            assert!(!text.contains("{{"), "{name}: {text}");
        }
    }

    /// templates/example is compiled, linted and tested with the workspace, so that what holds for it
    /// holds for every new service.
    #[test]
    fn the_example_that_the_workspace_tests_is_what_would_be_written() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/example");
        let regatta = "{ workspace = true }".to_owned();
        for (name, text) in files(&Words { name: "example-service", regatta, in_workspace: true }) {
            let there = std::fs::read_to_string(example.join(name)).unwrap_or_default();
            assert_eq!(
                there, text,
                "templates/example/{name} differs from templates/service/{name}; make it anew: \
                 regatta new example-service --path templates/example --no-manifest"
            );
        }
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        // A file where the folder is to go.
        std::fs::write(&target, "").unwrap();
        let words = Words { name: "x", regatta: String::new(), in_workspace: false };
        assert!(write(&target, &words).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
