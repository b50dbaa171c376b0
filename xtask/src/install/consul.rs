//! A real Consul, which Debian last had in release 11.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Need, as_root, is_there};
use crate::workspace;

const CONSUL: Need = Need { program: "consul", folders: &["/usr/sbin"], package: "consul" };
/// The release that has version 1.8.7, the one whose protocol the control plane speaks.
const SUITE: &str = "bullseye";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Installs Consul unless it is there.
///
/// The package comes from the archives that this machine uses already, of which each is asked for
/// the older release. Nothing of that stays: apt's own lists and sources are not touched.
pub(super) fn install() -> Result<()> {
    if is_there(&CONSUL) {
        return Ok(());
    }
    download_and_install().with_context(|| {
        format!(
            "cannot install Consul from Debian's `{SUITE}`; put a `consul` of version 1.8 or later \
             on the PATH"
        )
    })
}

fn download_and_install() -> Result<()> {
    let folder = workspace::root().join("target/consul");
    fs::create_dir_all(folder.join("lists/partial"))?;
    fs::create_dir_all(folder.join("cache/archives/partial"))?;
    let archives = archives()?;
    ensure!(!archives.is_empty(), "apt has no sources; is this a Debian?");
    let line = |archive: &String| format!("deb [signed-by={KEYS}] {archive} {SUITE} main\n");
    let sources = folder.join("sources.list");
    fs::write(&sources, archives.iter().map(line).collect::<String>())?;
    let options = options(&folder);
    apt(&folder, &options, &["update", "-q"])?;
    apt(&folder, &options, &["download", "-q", CONSUL.package])?;
    let package = downloaded(&folder)?;
    let package = package.to_str().context("the workspace's path is text")?;
    // What it depends on comes from the machine's own release.
    as_root("apt-get", &["install", "-y", "-q", "--no-install-recommends", package])
}

/// Where the machine's packages come from, without the archives of security updates, which have
/// suites of other names.
fn archives() -> Result<BTreeSet<String>> {
    let format = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"];
    let output = Command::new("apt-get").args(format).output().context("cannot run `apt-get`")?;
    let text = String::from_utf8(output.stdout).context("an archive's address is text")?;
    let is_main = |line: &&str| line.trim_end_matches('/').ends_with("/debian");
    Ok(text.lines().filter(is_main).map(str::to_owned).collect())
}

/// Keeps what apt reads and writes in this folder.
fn options(folder: &Path) -> Vec<String> {
    let folder = folder.display();
    [
        format!("Dir::Etc::SourceList={folder}/sources.list"),
        "Dir::Etc::SourceParts=-".to_owned(),
        format!("Dir::State::Lists={folder}/lists"),
        format!("Dir::Cache={folder}/cache"),
        "APT::Get::List-Cleanup=0".to_owned(),
        // Root would hand the download to a user who may not read a developer's folder.
        "APT::Sandbox::User=root".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect()
}

fn apt(folder: &Path, options: &[String], verb: &[&str]) -> Result<()> {
    println!("$ apt-get {} # of {SUITE}", verb.join(" "));
    let mut command = Command::new("apt-get");
    let status = command.args(options).args(verb).current_dir(folder).status();
    let status = status.context("cannot run `apt-get`")?;
    ensure!(status.success(), "`apt-get {}` failed: {status}", verb.join(" "));
    Ok(())
}

fn downloaded(folder: &Path) -> Result<PathBuf> {
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let mut entries = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    entries.find(is_package).context("apt-get downloaded no package")
}
