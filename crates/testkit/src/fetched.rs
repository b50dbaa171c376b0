//! Programs that `cargo xtask test` puts into the workspace's `target`.

use std::path::{Path, PathBuf};

/// The packages are not installed.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not there; `cargo xtask test` makes it", path.display())]
#[non_exhaustive]
pub struct PythonError {
    /// Where the interpreter would be.
    pub path: PathBuf,
}

/// The interpreter of the virtual environment of this name in `target/venvs`.
///
/// # Errors
///
/// [`PythonError`] when it is not there, with the command that makes it.
pub fn python(name: &str) -> Result<PathBuf, PythonError> {
    let path = target().join("venvs").join(name).join("bin/python");
    if path.exists() { Ok(path) } else { Err(PythonError { path }) }
}

/// A program of Debian 11 in `target/bullseye`, there or not.
pub fn bullseye(program: &str) -> PathBuf {
    target().join("bullseye/usr/bin").join(program)
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}
