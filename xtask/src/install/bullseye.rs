//! Programs that Debian last had, or last had whole, in release 11.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::run::run;
use crate::workspace;

/// Consul 1.8.7, whose protocol the control plane speaks and which later releases lack, and
/// Prometheus 2.24, which unlike later packages can find its targets in Consul.
const PACKAGES: [&str; 2] = ["consul", "prometheus"];
const SUITE: &str = "bullseye";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Unpacks the packages under `target/bullseye` unless they are there.
///
/// They come from the archives that this machine uses already, each asked for the older release.
/// Nothing is installed: apt's own lists and sources are not touched, and no service is started.
pub(super) fn install() -> Result<()> {
    let folder = workspace::root().join("target/bullseye");
    let is_there = |program: &&str| folder.join("usr/bin").join(program).is_file();
    let missing: Vec<_> = PACKAGES.into_iter().filter(|program| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    download(&folder, &missing).with_context(|| {
        format!(
            "cannot get {} of Debian's `{SUITE}`; put them into `target/bullseye/usr/bin` by hand",
            missing.join(" and ")
        )
    })
}

fn download(folder: &Path, packages: &[&str]) -> Result<()> {
    let packed = folder.join("packed");
    for part in ["packed", "lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let archives = archives()?;
    ensure!(!archives.is_empty(), "apt has no sources; is this a Debian?");
    let line = |archive: &String| format!("deb [signed-by={KEYS}] {archive} {SUITE} main\n");
    fs::write(folder.join("sources.list"), archives.iter().map(line).collect::<String>())?;
    let options = options(folder);
    apt(&packed, &options, &["update", "-q"])?;
    apt(&packed, &options, &[&["download", "-q"], packages].concat())?;
    for package in packages {
        let found = downloaded(&packed, package)?;
        let text = |path: &Path| path.to_str().map(str::to_owned);
        let (from, to) = (text(&found), text(folder));
        let (from, to) = from.zip(to).context("the workspace's path is text")?;
        run("dpkg-deb", &["--extract", &from, &to])?;
    }
    Ok(())
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
        // What the machine has installed is of another release.
        "Dir::State::Status=/dev/null".to_owned(),
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

fn downloaded(folder: &Path, package: &str) -> Result<PathBuf> {
    let begin = format!("{package}_");
    let is_it = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(&begin) && name.ends_with(".deb"))
    };
    let mut entries = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    entries.find(is_it).with_context(|| format!("apt-get downloaded no `{package}`"))
}
