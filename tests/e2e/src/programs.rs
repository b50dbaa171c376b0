//! Where the programs under test lie.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A program of the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The `regatta` command.
    Regatta,
    /// A service of the reference system, by its name.
    Service(&'static str),
}

impl Program {
    /// The built program, beside the test that asks.
    ///
    /// # Errors
    ///
    /// When it is not built, with the command that builds it.
    pub fn path(self) -> Result<PathBuf> {
        let name = match self {
            Self::Regatta => "regatta",
            Self::Service(name) => name,
        };
        // A test lies in `target/<profile>/deps`, a program one folder above.
        let test = std::env::current_exe().context("cannot find this test's own program")?;
        let folder = test.parent().context("the test lies in no folder")?;
        let folder = match folder.ends_with("deps") {
            true => folder.parent().context("the test lies in no folder")?,
            false => folder,
        };
        let path = folder.join(name);
        ensure!(path.is_file(), "`{name}` is not built; run `cargo xtask build`");
        Ok(path)
    }
}

/// The interpreter of services in Python.
///
/// # Errors
///
/// When it is not installed, with the command that installs it.
pub fn python() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("python3"));
    let found = found.find(|program| program.is_file());
    found.context("`python3` is not installed; run `apt-get install python3`")
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
