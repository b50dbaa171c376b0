//! Python with the packages of a client, as `cargo xtask test` installs them.

use std::path::{Path, PathBuf};

/// The packages are not installed.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not there; `cargo xtask test` makes it", path.display())]
#[non_exhaustive]
pub struct PythonError {
    /// Where the interpreter would be.
    pub path: PathBuf,
}

/// The interpreter of the virtual environment of this name in the workspace's `target/venvs`.
///
/// # Errors
///
/// [`PythonError`] when it is not there, with the command that makes it.
pub fn python(name: &str) -> Result<PathBuf, PythonError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("target/venvs").join(name).join("bin/python");
    if path.exists() { Ok(path) } else { Err(PythonError { path }) }
}
