//! Folders and files are named for what they provide.

use std::path::PathBuf;

const BANNED: [&str; 9] =
    ["util", "utils", "common", "helper", "helpers", "types", "models", "manager", "misc"];

pub(super) fn check(paths: &[PathBuf]) -> Vec<String> {
    let verdict = |path: &PathBuf| {
        let banned = path.iter().filter_map(|part| part.to_str()).find(|part| {
            let stem = part.split('.').next().unwrap_or(part);
            BANNED.contains(&stem)
        })?;
        Some(format!("{}: `{banned}` says what it is made of, not what it is", path.display()))
    };
    paths.iter().filter_map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawer_for_everything_is_refused() {
        assert_eq!(check(&["crates/discovery/src/watch.rs".into()]), Vec::<String>::new());
        assert_eq!(check(&["crates/utils/src/lib.rs".into()]).len(), 1);
        assert_eq!(check(&["crates/a/src/helpers.rs".into()]).len(), 1);
    }
}
