//! Clients written in Python, each set in a virtual environment of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::as_root;
use crate::run::run;
use crate::workspace;

/// Packages that tests use together: what their folder is called, what is in it.
struct Venv {
    name: &'static str,
    packages: &'static [&'static str],
}

/// The two clients of Consul have modules of the same name, so they cannot share a folder.
const VENVS: &[Venv] = &[
    Venv { name: "python-consul", packages: &["python-consul==1.1.0"] },
    // Later versions of what it needs do not work with it.
    Venv {
        name: "etcd3",
        packages: &["etcd3==0.12.0", "protobuf==3.20.3", "tenacity<7", "grpcio"],
    },
    Venv { name: "etcd3gw", packages: &["etcd3gw==2.7.0"] },
    Venv { name: "py-consul", packages: &["py-consul==1.8.0"] },
    Venv { name: "cloudevents", packages: &["cloudevents==2.2.0"] },
];

/// Makes `target/venvs/NAME` for each set that is not there as it should be.
pub(super) fn install() -> Result<()> {
    let folder = workspace::root().join("target/venvs");
    for venv in VENVS {
        make(venv, &folder.join(venv.name)).with_context(|| {
            format!("cannot make the virtual environment `target/venvs/{}`", venv.name)
        })?;
    }
    Ok(())
}

fn make(venv: &Venv, folder: &Path) -> Result<()> {
    // Written last, so that a folder half made is made anew.
    let stamp = folder.join("packages");
    let wanted = venv.packages.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    if !has_venv() {
        as_root("apt-get", &["install", "-y", "-q", "--no-install-recommends", "python3-venv"])?;
    }
    let path = folder.to_str().context("the workspace's path is text")?;
    run("python3", &["-m", "venv", path])?;
    let pip = folder.join("bin/pip");
    let pip = pip.to_str().context("the workspace's path is text")?;
    let install = ["install", "--quiet", "--disable-pip-version-check"];
    run(pip, &[&install[..], venv.packages].concat())?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Debian's Python comes without the module, and only says so when it is used.
fn has_venv() -> bool {
    let check = Command::new("python3").args(["-c", "import ensurepip, venv"]).output();
    check.is_ok_and(|check| check.status.success())
}
