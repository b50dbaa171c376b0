//! Starts processes that cannot outlive the supervisor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::identity::MARK;

/// What to execute, and in what surroundings.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Set over the supervisor's own environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Taken out of the supervisor's own environment.
    pub(crate) without: Vec<String>,
    pub(crate) folder: PathBuf,
    /// The `.regatta/` it belongs to.
    pub(crate) home: PathBuf,
}

/// Starts processes, all from one thread of its own. Cheap to clone.
///
/// Linux ends a child with `PR_SET_PDEATHSIG` when the *thread* that started it ends, not the
/// process; threads of a runtime come and go, so one thread that lives as long as the last handle
/// does all the starting.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    orders: mpsc::Sender<Order>,
}

#[derive(Debug)]
struct Order {
    spec: Spec,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Launcher {
    /// Starts the thread; call within a tokio runtime, which the children's pipes belong to.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        let (orders, mut inbox) = mpsc::channel::<Order>(16);
        let work = move || {
            let _inside = runtime.enter();
            while let Some(order) = inbox.blocking_recv() {
                // A caller who no longer waits drops the child, which ends it.
                let _gone = order.answer.send(spawn(&order.spec));
            }
        };
        std::thread::Builder::new().name("launcher".to_owned()).spawn(work)?;
        Ok(Self { orders })
    }

    /// Starts one process with piped output, no input, in a process group of its own.
    ///
    /// # Errors
    ///
    /// That of the system, such as a program that does not exist.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a process whose caller is gone is killed.
    pub(crate) async fn launch(&self, spec: Spec) -> io::Result<Child> {
        let closed = || io::Error::other("the launcher thread has ended");
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order { spec, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

fn spawn(spec: &Spec) -> io::Result<Child> {
    let mut command = Command::new(&spec.program);
    for name in &spec.without {
        command.env_remove(name);
    }
    command
        .args(&spec.arguments)
        .envs(&spec.environment)
        .env(MARK, &spec.home)
        .current_dir(&spec.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    #[cfg(target_os = "linux")]
    die_with_parent(&mut command);
    command.spawn()
}

/// Has the kernel kill the child when this thread ends, whatever ends it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "only a hook between fork and exec can ask for the signal")]
fn die_with_parent(command: &mut Command) {
    use nix::sys::{prctl, signal::Signal};
    let parent = nix::unistd::getpid();
    let hook = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have ended before the line above.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(nix::Error::ESRCH.into()) }
    };
    // SAFETY: after fork in a program with threads only async-signal-safe functions may run; the
    // hook makes two system calls, prctl and getppid, and neither allocates nor locks.
    unsafe { command.pre_exec(hook) };
}
