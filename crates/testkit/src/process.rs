//! A child process that ends with its owner.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::spawner;

/// How much of a child's output is kept: the last 1 MiB, enough for any failure's story.
const KEPT_BYTES: usize = 1024 * 1024;

/// A running child, its output captured; killed with its whole process group on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    /// Starts the command in a process group of its own; stdout and stderr are captured together.
    ///
    /// # Errors
    ///
    /// The operating system's, when the program is missing or cannot be run.
    pub fn spawn(command: Command) -> io::Result<Self> {
        Self::spawn_dying_with(command, Signal::SIGKILL)
    }

    /// [`Process::spawn`] with another signal for the case that the test process dies.
    pub(crate) fn spawn_dying_with(mut command: Command, at_death: Signal) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        let mut child = spawner::spawn(command, at_death)?;
        let output = Arc::<Mutex<Vec<u8>>>::default();
        if let Some(stdout) = child.stdout.take() {
            capture(stdout, output.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            capture(stderr, output.clone());
        }
        Ok(Self { child, output })
    }

    /// The process id, also that of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, stdout and stderr as they came; the last 1 MiB.
    pub fn output(&self) -> String {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end (SIGTERM); wait for that with [`Process::wait`].
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends it at once (SIGKILL), it alone, as a crash would; returns when it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        // It was just killed, so waiting ends; an error means that it is gone already.
        let _ = self.child.wait();
    }

    /// Waits for its end, at most `limit`; none when it still runs then.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        const PAUSE: Duration = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if waited < limit => std::thread::sleep(PAUSE),
                _ => return None,
            }
            waited += PAUSE;
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // Until it is waited for, the id is not used again; gone already is as good.
        let _ = kill(pid(&self.child), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its children go with it; they are in its group unless they left it.
        let _ = killpg(pid(&self.child), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids fit an i32 (pid_t)"))
}

/// Copies the pipe into `output` until the last writer is gone.
fn capture(mut pipe: impl Read + Send + 'static, output: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.extend_from_slice(&buffer[..read]);
            let surplus = output.len().saturating_sub(KEPT_BYTES);
            output.drain(..surplus);
        }
    });
}
