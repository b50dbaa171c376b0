//! Where the workspace lies and which files it has.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("xtask lies one folder below the root")
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| root().join("target"))
}

/// Every file that git tracks or would track, by its path from the root.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("cannot run git; install it with `apt-get install git`")?;
    ensure!(output.status.success(), "`git ls-files` failed; run it inside a clone");
    let listed = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    // A file that is deleted and not yet committed is still listed.
    Ok(listed.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect())
}
