//! A small system in a folder of its own, and the program run on it.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program under test.
pub(crate) const REGATTA: &str = env!("CARGO_BIN_EXE_regatta");

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A system whose one service needs no build: a second gateway, which answers `/health/ready`.
pub(crate) struct Shop {
    folder: tempfile::TempDir,
}

/// What a run of the program gave.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// What it printed as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|_| panic!("no JSON: {}{}", self.out, self.err))
    }
}

impl Shop {
    /// A shop with its manifest; nothing runs.
    pub(crate) fn new() -> Self {
        let shop = Self::empty();
        let inner = "name: inner\nservices:\n  none:\n    run: { command: [sh] }\n";
        std::fs::write(shop.path().join("inner.yaml"), inner).unwrap();
        shop.write_manifest(&format!(
            "name: shop
services:
  front:
    run:
      command:
        - sh
        - -c
        - 'echo front begins; exec \"{REGATTA}\" gateway --manifest inner.yaml --listen 127.0.0.1:$PORT --admin 127.0.0.1:0'
gateway:
  auth: {{ issuer: dev }}
"
        ));
        shop
    }

    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write_manifest(&self, text: &str) {
        std::fs::write(self.path().join("regatta.yaml"), text).unwrap();
    }

    /// Runs the program in the folder to its end.
    pub(crate) fn regatta(&self, arguments: &[&str]) -> Run {
        run(Command::new(REGATTA).args(arguments).current_dir(self.path()))
    }

    /// The same with these variables.
    pub(crate) fn regatta_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
        let mut command = Command::new(REGATTA);
        run(command.args(arguments).envs(variables.iter().copied()).current_dir(self.path()))
    }

    /// Starts the system on free ports, in the background.
    pub(crate) fn up(&self) -> Value {
        let run = self.regatta(&["up", "--isolated", "--detach", "--format", "json"]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        run.json()
    }

    /// The state that `ps` shows.
    pub(crate) fn ps(&self) -> Value {
        self.regatta(&["ps", "--format", "json"]).json()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if self.path().join(".regatta").exists() {
            self.regatta(&["down"]);
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } =
        command.env_remove("REGATTA_DATA_DIR").env_remove("REGATTA_MANIFEST").output().unwrap();
    Run {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// The part of a name in what `up` or `ps` printed.
pub(crate) fn part<'a>(state: &'a Value, name: &str) -> &'a Value {
    let mut parts = state["parts"].as_array().unwrap().iter();
    parts.find(|part| part["name"] == name).unwrap_or_else(|| panic!("no {name} in {state}"))
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "real processes run by the real clock")]
    let now = Instant::now;
    let patience = now() + PATIENCE;
    while !condition() {
        assert!(now() < patience, "in time: {what}");
        std::thread::yield_now();
    }
}

/// Whether a process of this pid runs.
pub(crate) fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Sends a signal.
pub(crate) fn kill(pid: u64, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}
