//! Which cargo profile the services are built with.

use std::path::Path;

/// A cargo profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile(String);

impl Profile {
    /// A profile by its name in `Cargo.toml`, such as `release`.
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The profile a program was built with, told by the folder cargo put it in; a program that was
    /// moved elsewhere counts as `release`.
    pub fn of_program(program: &Path) -> Self {
        let folder = program.parent();
        let name = folder.and_then(Path::file_name).and_then(|name| name.to_str());
        // Cargo marks its target folder, or the one of a target triple in it, with these.
        let by_cargo = folder.is_some_and(|folder| folder.join(".fingerprint").is_dir());
        match name {
            Some("debug") if by_cargo => Self::named("dev"),
            Some(name) if by_cargo => Self::named(name),
            _ => Self::named("release"),
        }
    }

    /// The name in `Cargo.toml`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_by_the_folder_the_program_lies_in() {
        let target = tempfile::tempdir().unwrap();
        for (folder, profile) in [("debug", "dev"), ("release", "release"), ("ship", "ship")] {
            let folder = target.path().join(folder);
            std::fs::create_dir_all(folder.join(".fingerprint")).unwrap();
            assert_eq!(Profile::of_program(&folder.join("regatta")).as_str(), profile);
        }
    }

    #[test]
    fn a_program_installed_elsewhere_builds_for_release() {
        assert_eq!(Profile::of_program(Path::new("/usr/bin/regatta")).as_str(), "release");
    }
}
