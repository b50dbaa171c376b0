//! The manifest, the packages it names, the tools that build them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use regatta_manifest::{LoadError, Manifest, Run};
use regatta_supervisor::Plan;
use serde::Deserialize;

use super::Finding;
use crate::verbs::gateway;

/// Every problem of the manifest, each with its line.
pub(super) fn manifest(path: &Path) -> (Option<Manifest>, Vec<Finding>) {
    let remedy = "mend the line; docs/guide/manifest.md describes every key";
    match Manifest::load(path) {
        Err(LoadError::Invalid(problems)) => {
            let finding = |problem: &_| Finding::wrong("manifest", format!("{problem}"), remedy);
            (None, problems.as_slice().iter().map(finding).collect())
        }
        Err(error) => (None, vec![Finding::wrong("manifest", error.to_string(), remedy)]),
        Ok(manifest) => match Plan::try_new(&manifest, path, false) {
            Err(error) => {
                let finding = Finding::wrong("manifest", error.to_string(), remedy);
                (Some(manifest), vec![finding])
            }
            Ok(plan) => {
                let wrong = gateway::problems(&manifest, path).unwrap_or_default();
                if !wrong.is_empty() {
                    let finding = |problem| Finding::wrong("manifest", problem, remedy);
                    return (Some(manifest), wrong.into_iter().map(finding).collect());
                }
                let (services, parts) = (manifest.services.len(), plan.parts.len());
                let text = format!("{}: {services} services, {parts} processes", path.display());
                (Some(manifest), vec![Finding::fine("manifest", text)])
            }
        },
    }
}

/// Cargo, the compiler, and a C compiler for the crates that need one; nothing of it for a system
/// that builds nothing.
pub(super) fn toolchain(manifest: Option<&Manifest>, folder: &Path) -> Vec<Finding> {
    if manifest.is_some_and(|manifest| !needs_cargo(manifest)) {
        return vec![Finding::fine("toolchain", "none needed: nothing is built")];
    }
    let rust = "install Rust: https://rustup.rs";
    let gcc = "install a C compiler: apt install gcc libc6-dev, or dnf install gcc";
    [("cargo", rust), ("rustc", rust), ("cc", gcc)]
        .into_iter()
        .map(|(program, remedy)| match version(program, folder) {
            Some(version) => Finding::fine("toolchain", version),
            None => Finding::wrong("toolchain", format!("`{program}` does not run"), remedy),
        })
        .collect()
}

fn version(program: &str, folder: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").current_dir(folder).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned();
    output.status.success().then_some(text)
}

/// That every `run.cargo` is a package of the workspace, and every `run.command` a program.
pub(super) fn packages(manifest: &Manifest, path: &Path) -> Vec<Finding> {
    let folder = path.parent().unwrap_or(path);
    let known = workspace_packages(folder);
    let mut findings = Vec::new();
    for service in &manifest.services {
        let place = format!("{}:{}: {}", path.display(), service.line, service.name);
        match &service.run {
            Run::Cargo { package } => match &known {
                Ok(known) if known.contains(package) => {}
                Ok(_) => findings.push(Finding::wrong(
                    "packages",
                    format!("{place}: the workspace has no package `{package}`"),
                    "correct run.cargo, or write the service: regatta new NAME",
                )),
                Err(_) => {}
            },
            Run::Command { argv } if !is_program(folder, &argv[0]) => {
                findings.push(Finding::wrong(
                    "packages",
                    format!("{place}: there is no program `{}`", argv[0]),
                    "install it, or correct run.command",
                ))
            }
            Run::Command { .. } | Run::Image { .. } => {}
        }
    }
    match known {
        Err(error) if needs_cargo(manifest) => {
            let remedy = "mend Cargo.toml; `cargo metadata` shows the whole error";
            findings.push(Finding::wrong("packages", error, remedy));
        }
        _ if findings.is_empty() => {
            findings.push(Finding::fine("packages", "every service has its program"));
        }
        _ => {}
    }
    findings
}

fn needs_cargo(manifest: &Manifest) -> bool {
    manifest.services.iter().any(|service| matches!(service.run, Run::Cargo { .. }))
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

fn workspace_packages(folder: &Path) -> Result<BTreeSet<String>, String> {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new("cargo").args(arguments).current_dir(folder).output();
    let output = output.map_err(|error| format!("cargo does not run: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(text.lines().next().unwrap_or("cargo metadata failed").to_owned());
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    Ok(metadata.packages.into_iter().map(|package| package.name).collect())
}

/// Whether a program is found as the supervisor will look for it: a path from the manifest's
/// folder, or a name on the `PATH`.
fn is_program(folder: &Path, program: &str) -> bool {
    if program.contains('/') {
        return folder.join(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::doctor::Verdict;

    #[test]
    fn every_problem_of_a_manifest_is_a_finding_with_its_line() {
        let text =
            "name: shop\nservices:\n  a:\n    run: { cargo: a }\n    neds: [b]\n    replicas: 0\n";
        let (manifest, findings) = manifest_of(text);
        assert_eq!(manifest, None);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].message.contains("regatta.yaml:5:"), "{findings:?}");
        assert!(findings[1].message.contains("regatta.yaml:6:"), "{findings:?}");
    }

    #[test]
    fn a_program_that_does_not_exist_is_found() {
        let text = "name: shop\nservices:\n  a:\n    run: { command: [no-such-program] }\n";
        let (manifest, _) = manifest_of(text);
        let findings = packages(&manifest.unwrap(), Path::new("/shop/regatta.yaml"));
        assert_eq!(findings[0].verdict, Verdict::Wrong);
        assert!(findings[0].message.contains("`no-such-program`"), "{findings:?}");
    }

    #[test]
    fn a_program_on_the_path_is_fine() {
        let text = "name: shop\nservices:\n  a:\n    run: { command: [sh, -c, 'true'] }\n";
        let (manifest, _) = manifest_of(text);
        let findings = packages(&manifest.unwrap(), Path::new("/shop/regatta.yaml"));
        assert_eq!(findings[0].verdict, Verdict::Fine, "{findings:?}");
    }

    fn manifest_of(text: &str) -> (Option<Manifest>, Vec<Finding>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regatta.yaml");
        std::fs::write(&path, text).unwrap();
        manifest(&path)
    }
}
