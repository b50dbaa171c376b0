//! One thread that starts every child and lives as long as the process.
//!
//! The kernel's parent-death signal fires when the *thread* that forked ends (prctl(2),
//! PR_SET_PDEATHSIG), and the test harness ends a thread with each test. So no test forks itself.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use nix::sys::signal::Signal;

type Job = (Command, Sender<io::Result<Child>>);

/// Starts the command; `at_death` is sent to it when this process ends in whatever way.
pub(crate) fn spawn(mut command: Command, at_death: Signal) -> io::Result<Child> {
    die_with_parent(&mut command, at_death);
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, queue) = channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, reply) in queue {
                // A caller that is gone has no use for the answer; its child ends with us.
                let _ = reply.send(command.spawn());
            }
        });
        jobs
    });
    let (reply, answer) = channel();
    spawner.send((command, reply)).map_err(|_| io::Error::other("the spawner thread is gone"))?;
    answer.recv().map_err(|_| io::Error::other("the spawner thread is gone"))?
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "there is no safe way to run prctl between fork and exec")]
fn die_with_parent(command: &mut Command, signal: Signal) {
    use std::os::unix::process::CommandExt;

    let parent = nix::unistd::getpid();
    // SAFETY: the closure runs between fork and exec; prctl and getppid are async-signal-safe and
    // it allocates nothing.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(signal)?;
            // The parent may have died before the line above.
            if nix::unistd::getppid() == parent {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(nix::errno::Errno::ESRCH as i32))
            }
        });
    }
}

/// Elsewhere children end on drop only.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command, _signal: Signal) {}
