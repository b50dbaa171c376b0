//! `cargo xtask fuzz`: runs the targets in `fuzz/` with libFuzzer, for a while.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

/// What `cargo xtask fuzz` may be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which target of `fuzz/fuzz_targets`, without `.rs`; all of them, one after the other, if not
    /// given.
    target: Option<String>,
    /// How long each runs, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// What libFuzzer needs to see where a run has been; nothing of it needs another compiler than the
/// workspace's.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
     -Ccodegen-units=1 -Cdebug-assertions=yes -Coverflow-checks=yes";

/// Builds the targets, runs what was asked for, and fails when one found something.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let known = targets(&workspace::root().join("fuzz/fuzz_targets"))?;
    let chosen = match &arguments.target {
        Some(name) if !known.contains(name) => {
            bail!("`{name}` is no target; there are {}", known.join(", "))
        }
        Some(name) => vec![name.clone()],
        None => known,
    };
    let folder = workspace::root().join("target/fuzz");
    let programs = build(&folder, &chosen)?;
    let mut failed = Vec::new();
    for name in &chosen {
        if !fuzz(&folder, &programs.join(name), name, arguments.seconds)? {
            failed.push(name.as_str());
        }
    }
    ensure!(
        failed.is_empty(),
        "found something in {}; the inputs are in `target/fuzz/found`, and a target that is given \
         one as its argument repeats it",
        failed.join(", ")
    );
    Ok(())
}

/// The names of the targets, in order.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let files =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        let path = file.context("cannot read an entry")?.path();
        if path.extension() == Some(OsStr::new("rs")) {
            names.extend(path.file_stem().and_then(OsStr::to_str).map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

/// Builds them; the folder that they are in then.
fn build(folder: &Path, names: &[String]) -> Result<PathBuf> {
    let triple = host()?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace::root().join("fuzz")).args(["build", "--release"]);
    // With it the flags are not those of build scripts, too.
    cargo.args(["--target", &triple]);
    cargo.args(names.iter().flat_map(|name| ["--bin", name]));
    cargo.env("CARGO_TARGET_DIR", folder).env("RUSTFLAGS", FLAGS);
    let status = cargo.status().context("cannot run `cargo`; is it on the PATH?")?;
    ensure!(status.success(), "the targets do not build; libFuzzer is C++ and needs `g++`");
    Ok(folder.join(triple).join("release"))
}

/// The triple of this machine, as rustc names it.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run `rustc`")?;
    let text = String::from_utf8(output.stdout).context("rustc speaks UTF-8")?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names its host")?.to_owned())
}

/// Runs one, on from the inputs that earlier runs found worth keeping; whether all went well.
fn fuzz(folder: &Path, program: &Path, name: &str, seconds: u32) -> Result<bool> {
    let (corpus, found) = (folder.join("corpus").join(name), folder.join("found"));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    println!("{name}: {seconds} s");
    let mut fuzzer = Command::new(program);
    fuzzer.arg(&corpus);
    fuzzer.arg(format!("-artifact_prefix={}/{name}-", found.display()));
    fuzzer.arg(format!("-max_total_time={seconds}"));
    fuzzer.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"]);
    let status = fuzzer.status().with_context(|| format!("cannot run {}", program.display()))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_built_by_its_name() {
        let fuzz = workspace::root().join("fuzz");
        let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        let found = targets(&fuzz.join("fuzz_targets")).unwrap();
        assert!(!found.is_empty());
        for name in found {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        }
    }
}
