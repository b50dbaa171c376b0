//! The reference system, running in a folder of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::{Program, programs};

/// A running system; `regatta down` on drop, and after that nothing of it is left.
#[derive(Debug)]
pub struct System {
    folder: tempfile::TempDir,
}

/// One part of a running system, as `regatta ps` tells.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name, unique in the system, such as `user-service-1`.
    pub name: String,
    /// The service it is an instance of.
    pub service: String,
    /// What it is doing, such as `ready`.
    pub state: String,
    /// Where it serves.
    pub url: String,
    /// Where it serves operators, if that is elsewhere.
    pub admin_url: Option<String>,
    /// Its process; none between two.
    pub pid: Option<i32>,
    /// How often it was started again.
    pub restarts: u64,
}

impl System {
    /// Starts the reference manifest on free ports and waits until all of it is ready.
    ///
    /// # Errors
    ///
    /// When `regatta up` fails, with all it printed.
    pub fn start() -> Result<Self> {
        Self::start_changed(|manifest| manifest)
    }

    /// [`System::start`] with a change to the manifest's text.
    ///
    /// # Errors
    ///
    /// When `regatta up` fails, with all it printed.
    pub fn start_changed(change: impl FnOnce(String) -> String) -> Result<Self> {
        Self::start_other(|_| Ok(change(reference_manifest()?)))
    }

    /// Starts the manifest that this closure gives; it is handed the folder of the system, and may
    /// write there what the manifest names.
    ///
    /// # Errors
    ///
    /// When `regatta up` fails, with all it printed.
    pub fn start_other(manifest: impl FnOnce(&Path) -> Result<String>) -> Result<Self> {
        let system = Self { folder: tempfile::tempdir().context("no temporary folder")? };
        let manifest = manifest(system.folder.path())?;
        std::fs::write(system.folder.path().join("regatta.yaml"), manifest)?;
        // Patient, because other tests may have the machine's cores.
        let output = system.run(&["up", "--isolated", "--detach", "--ready-within", "2m"])?;
        ensure!(output.status.success(), "`regatta up` failed:\n{}", printed(&output));
        system.wait_until_registered()?;
        Ok(system)
    }

    /// Waits until every instance is in the registry and passes its check: a service is ready a
    /// moment before callers find it.
    fn wait_until_registered(&self) -> Result<()> {
        let registry = self.url("control-plane")?;
        let registry = registry.trim_start_matches("http://");
        let of_platform = |part: &Part| ["control-plane", "gateway"].contains(&&*part.service);
        for part in self.parts()?.into_iter().filter(|part| !of_platform(part)) {
            let wanted = self.instances(&part.service)?.len();
            let what = format!("{wanted} instances of {} in the registry", part.service);
            let known = || passing(registry, &part.service).is_ok_and(|count| count >= wanted);
            regatta_testkit::wait_until_blocking(&what, Duration::from_secs(60), known);
        }
        Ok(())
    }

    /// Runs `regatta` in the system's folder.
    ///
    /// # Errors
    ///
    /// When it cannot be started; that it failed is in its output.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(Program::Regatta.path()?);
        command.args(arguments).current_dir(self.folder.path());
        command.output().context("cannot run `regatta`")
    }

    /// Runs `regatta`, which must succeed, and returns its standard output without white space
    /// around it.
    ///
    /// # Errors
    ///
    /// When it fails, with all it printed.
    pub fn stdout(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        let all = printed(&output);
        ensure!(output.status.success(), "`regatta {}` failed:\n{all}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The folder that the manifest lies in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All parts, as of now.
    ///
    /// # Errors
    ///
    /// When the system does not run.
    pub fn parts(&self) -> Result<Vec<Part>> {
        let state = std::fs::read(self.folder.path().join(".regatta/state.json"));
        let state: Value = serde_json::from_slice(&state.context("the system does not run")?)?;
        let parts = state["parts"].as_array().context("the state has no parts")?;
        let text = |part: &Value, key: &str| part[key].as_str().unwrap_or_default().to_owned();
        let part = |part: &Value| Part {
            name: text(part, "name"),
            service: text(part, "service"),
            state: text(part, "state"),
            url: text(part, "url"),
            admin_url: part["admin_url"].as_str().map(str::to_owned),
            pid: part["process"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()),
            restarts: part["restarts"].as_u64().unwrap_or_default(),
        };
        Ok(parts.iter().map(part).collect())
    }

    /// The first part of a service, or `gateway` or `control-plane`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn part(&self, service: &str) -> Result<Part> {
        let found = self.parts()?.into_iter().find(|part| part.service == service);
        found.with_context(|| format!("the system has no part of `{service}`"))
    }

    /// All parts of a service.
    ///
    /// # Errors
    ///
    /// When the system does not run.
    pub fn instances(&self, service: &str) -> Result<Vec<Part>> {
        Ok(self.parts()?.into_iter().filter(|part| part.service == service).collect())
    }

    /// Where the part serves, such as `http://127.0.0.1:41234`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn url(&self, service: &str) -> Result<String> {
        Ok(self.part(service)?.url)
    }

    /// A development token for this user.
    ///
    /// # Errors
    ///
    /// When `regatta token` fails.
    pub fn token(&self, user: &str, roles: &[&str]) -> Result<String> {
        let roles = roles.iter().flat_map(|role| ["--role", role]);
        self.stdout(&["token", "--user", user].into_iter().chain(roles).collect::<Vec<_>>())
    }

    /// Sends a signal to the part's process and returns the process's id.
    ///
    /// # Errors
    ///
    /// When it has no process.
    pub fn signal(&self, service: &str, signal: Signal) -> Result<i32> {
        self.part(service)?.signal(signal)
    }

    /// Waits until the first part of a service runs in another process than this one and is ready.
    ///
    /// # Errors
    ///
    /// When that took longer than two minutes.
    pub async fn wait_for_restart(&self, service: &str, old: i32) -> Result<()> {
        let name = self.part(service)?.name;
        self.wait_for_part(&name, old).await
    }

    /// Sends a signal to a part and waits until it runs in another process and is ready.
    ///
    /// # Errors
    ///
    /// When it has no process, or does not come back within two minutes.
    pub async fn replace(&self, part: &Part, signal: Signal) -> Result<()> {
        let old = part.signal(signal)?;
        self.wait_for_part(&part.name, old).await
    }

    async fn wait_for_part(&self, name: &str, old: i32) -> Result<()> {
        for _ in 0..2400 {
            let parts = self.parts()?;
            let part = parts.iter().find(|part| part.name == name).context("there is no part")?;
            if part.state == "ready" && part.pid.is_some_and(|pid| pid != old) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("`{name}` did not come back within two minutes: {:?}", self.parts()?)
    }

    /// The ids of all processes of the system, the supervisor's too.
    ///
    /// # Errors
    ///
    /// When the system does not run.
    pub fn processes(&self) -> Result<Vec<i32>> {
        Ok(self.parts()?.into_iter().filter_map(|part| part.pid).collect())
    }
}

impl Part {
    /// Sends a signal to its process and returns the process's id.
    ///
    /// # Errors
    ///
    /// When it has no process.
    pub fn signal(&self, signal: Signal) -> Result<i32> {
        let pid = self.pid.with_context(|| format!("`{}` has no process", self.name))?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("cannot signal {}", self.name))?;
        Ok(pid)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let stopped = self.run(&["down"]);
        if !stopped.is_ok_and(|output| output.status.success()) {
            for pid in self.processes().unwrap_or_default() {
                // It may be gone already, which is what is wanted.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

/// The manifest at the root of the workspace, with built programs in place of `cargo`.
///
/// # Errors
///
/// When a program is not built, or the manifest runs it in another way.
pub fn reference_manifest() -> Result<String> {
    let mut text = std::fs::read_to_string(programs::root().join("regatta.yaml"))?;
    for service in ["user-service", "order-service", "payment-service"] {
        let program = Program::Service(service).path()?;
        // They have the chassis, though `up` cannot see that of a command.
        let built =
            format!("{{ command: [{:?}] }}\n    register: false", program.display().to_string());
        let before = text.len();
        text = text.replace(&format!("{{ cargo: {service} }}"), &built);
        ensure!(text.len() != before, "the manifest does not run `{service}` by cargo");
    }
    Ok(text)
}

/// How many instances of a service the registry at this address gives out.
fn passing(registry: &str, service: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(registry)?;
    let path = format!("/v1/health/service/{service}?passing=1");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {registry}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let instances: Vec<Value> = serde_json::from_str(body)?;
    Ok(instances.len())
}

fn printed(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
