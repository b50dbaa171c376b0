//! Runs cargo and listens to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio_util::sync::CancellationToken;

use super::Profile;
use super::messages::{self, Message};
use super::progress::{self, Progress};
use super::scope::{Scope, Workspace};
use crate::process::{Launcher, Spec, end_group};

/// The program of each package that was built.
pub(crate) type Executables = BTreeMap<String, PathBuf>;

/// Lines of cargo's own errors that are kept.
const KEPT_LINES: usize = 2000;
/// How long cargo may take to end when asked to.
const END_WITHIN: Duration = Duration::from_secs(3);

/// The services could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Cargo itself did not start.
    #[error("`{program}` did not start; install Rust (https://rustup.rs) or set CARGO")]
    NoCargo {
        /// What was to be executed.
        program: String,
        /// Why it was not.
        source: io::Error,
    },
    /// Cargo or the compiler found errors.
    #[error("building `{}` failed; mend the errors above and run it again", packages.join("`, `"))]
    Failed {
        /// What was to be built.
        packages: Vec<String>,
        /// The errors as cargo and the compiler print them.
        errors: Vec<String>,
    },
    /// The package is there and has no program that could be meant.
    #[error(
        "package `{package}` has no program `{package}`; add src/main.rs to it, or name another \
         package in run.cargo"
    )]
    NoProgram {
        /// The package.
        package: String,
    },
    /// Somebody asked to stop.
    #[error("the build was interrupted")]
    Interrupted,
}

/// Builds the packages with one run of cargo in `folder`, and finds their programs.
///
/// # Errors
///
/// [`BuildError`]; cargo has ended in every case.
///
/// # Cancel safety
///
/// Not cancel safe: use `stop`, which also ends the compilers that cargo started.
pub(crate) async fn build(
    launcher: &Launcher,
    folder: &Path,
    home: &Path,
    packages: &BTreeSet<String>,
    profile: &Profile,
    stop: &CancellationToken,
    on_progress: impl Fn(Progress),
) -> Result<Executables, BuildError> {
    let cargo = Cargo {
        program: std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()),
        launcher,
        folder,
        home,
    };
    let scope = tokio::select! {
        workspace = cargo.workspace() => match workspace? {
            Some(workspace) => Scope::of(&workspace, packages),
            None => Scope::only(packages),
        },
        () = stop.cancelled() => return Err(BuildError::Interrupted),
    };
    let mut child = cargo.start(build_arguments(&scope, profile)).await?;
    let leader = child.id().unwrap_or_default();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let listen = async { tokio::join!(read_messages(out), read_errors(err, on_progress)) };
    let (messages, own_errors) = tokio::select! {
        read = listen => read,
        () = stop.cancelled() => {
            let ended = async { let _status = child.wait().await; };
            end_group(leader, END_WITHIN, ended, std::future::pending()).await;
            return Err(BuildError::Interrupted);
        }
    };
    let success = child.wait().await.is_ok_and(|status| status.success());
    if stop.is_cancelled() {
        return Err(BuildError::Interrupted);
    }
    let mut found = BTreeMap::new();
    let mut errors = Vec::new();
    for message in messages {
        match message {
            Message::Executable { package, name, path } => {
                found.insert((package, name), path);
            }
            Message::Error(text) => errors.extend(text.lines().map(str::to_owned)),
        }
    }
    if !success {
        errors.extend(own_errors);
        return Err(BuildError::Failed { packages: packages.iter().cloned().collect(), errors });
    }
    packages.iter().map(|package| Ok((package.clone(), program_of(package, &found)?))).collect()
}

/// The program of a package: the one with its name, or its only one.
fn program_of(
    package: &str,
    found: &BTreeMap<(String, String), PathBuf>,
) -> Result<PathBuf, BuildError> {
    let mut own = found.iter().filter(|((of, _), _)| of == package);
    let named = found.get(&(package.to_owned(), package.to_owned()));
    let only = own.next().filter(|_| own.next().is_none()).map(|(_, path)| path);
    let none = || BuildError::NoProgram { package: package.to_owned() };
    named.or(only).cloned().ok_or_else(none)
}

/// Cargo, run in a folder on behalf of a system.
struct Cargo<'a> {
    program: String,
    launcher: &'a Launcher,
    folder: &'a Path,
    home: &'a Path,
}

impl Cargo<'_> {
    /// The workspace of the folder; `None` when cargo cannot read it, which a build explains.
    async fn workspace(&self) -> Result<Option<Workspace>, BuildError> {
        let arguments = ["metadata", "--no-deps", "--format-version=1", "--quiet"];
        let child = self.start(arguments.map(str::to_owned).to_vec()).await?;
        let output = child.wait_with_output().await.ok();
        Ok(output.and_then(|output| serde_json::from_slice(&output.stdout).ok()))
    }

    async fn start(&self, arguments: Vec<String>) -> Result<Child, BuildError> {
        let started = self.launcher.launch(self.spec(arguments)).await;
        started.map_err(|source| BuildError::NoCargo { program: self.program.clone(), source })
    }

    fn spec(&self, arguments: Vec<String>) -> Spec {
        // The bar is drawn even though nobody looks: it is the only place where cargo tells the total.
        let bar = [("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "120")];
        // `cargo run -- up` hands these down; to a nested cargo they would be a change of environment.
        let inherited = std::env::vars().map(|(name, _)| name).filter(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        });
        Spec {
            program: self.program.clone().into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: bar.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            without: inherited.collect(),
            folder: self.folder.to_owned(),
            home: self.home.to_owned(),
        }
    }
}

fn build_arguments(scope: &Scope, profile: &Profile) -> Vec<String> {
    let fixed = ["build", "--message-format=json", "--profile", profile.as_str()];
    fixed.into_iter().map(str::to_owned).chain(scope.arguments()).collect()
}

async fn read_messages(output: Option<ChildStdout>) -> Vec<Message> {
    let Some(output) = output else { return Vec::new() };
    let mut lines = BufReader::new(output).lines();
    let mut messages = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        messages.extend(messages::parse(&line));
    }
    messages
}

/// Cargo's own errors, such as a package that does not exist; everything from the first `error` on.
async fn read_errors(output: Option<ChildStderr>, on_progress: impl Fn(Progress)) -> Vec<String> {
    let Some(mut output) = output else { return Vec::new() };
    let mut errors: Vec<String> = Vec::new();
    let mut rest = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut chunk).await {
        rest.extend_from_slice(&chunk[..count]);
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let line = String::from_utf8_lossy(&rest[..end]).trim_end().to_owned();
            rest.drain(..=end);
            if let Some(progress) = progress::parse(&line) {
                on_progress(progress);
            } else if is_error(&line, !errors.is_empty()) && errors.len() < KEPT_LINES {
                errors.push(line);
            }
        }
    }
    errors
}

/// Whether a line belongs to cargo's errors: it begins one, or follows one and is no status line.
fn is_error(line: &str, after_error: bool) -> bool {
    let status =
        ["Compiling ", "Finished ", "Building ", "Downloaded ", "Downloading ", "Checking "];
    let is_status = status.iter().any(|word| line.trim_start().starts_with(word));
    line.starts_with("error") || (after_error && !is_status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_one_program_needs_no_equal_name() {
        let found = found(&[
            ("user", "users"),
            ("order", "order"),
            ("order", "tool"),
            ("a", "b"),
            ("a", "c"),
        ]);
        assert_eq!(program_of("user", &found).unwrap(), PathBuf::from("/t/users"));
        assert_eq!(program_of("order", &found).unwrap(), PathBuf::from("/t/order"));
        let error = program_of("a", &found).unwrap_err().to_string();
        assert!(error.contains("`a` has no program `a`"), "{error}");
    }

    #[test]
    fn errors_of_cargo_are_kept_whole_without_its_status_lines() {
        assert!(is_error("error: package ID specification `x` did not match any packages", false));
        assert!(is_error("  help: a package with a similar name exists: `y`", true));
        assert!(is_error("", true));
        assert!(!is_error("   Compiling tokio v1.0.0", true));
        assert!(!is_error("warning: unused", false));
    }

    fn found(programs: &[(&str, &str)]) -> BTreeMap<(String, String), PathBuf> {
        let entry = |(package, name): &(&str, &str)| {
            (((*package).to_owned(), (*name).to_owned()), PathBuf::from(format!("/t/{name}")))
        };
        programs.iter().map(entry).collect()
    }
}
