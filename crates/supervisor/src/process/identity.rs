//! Who a process is: a pid alone is used again after its process is gone.

use serde::{Deserialize, Serialize};

/// Set in the environment of every process a supervisor starts, to its `.regatta/`.
///
/// What a process starts inherits it, so that leftovers are found without knowing their pids.
pub(crate) const MARK: &str = "REGATTA_HOME";

/// A process id together with the time its process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did; 0 where the system does not tell.
    pub start_ticks: u64,
}

impl Identity {
    /// The process that has this pid now, if there is one.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, start_ticks) = parse_stat(&stat)?;
        // A zombie is over; only its parent has not looked yet.
        (!matches!(state, 'Z' | 'X')).then_some(Self { pid, start_ticks })
    }

    /// This process.
    pub fn own() -> Self {
        Self::of(std::process::id()).unwrap_or(Self { pid: std::process::id(), start_ticks: 0 })
    }

    /// Whether that very process still runs: same pid, same start.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now == *self)
    }
}

/// State and start time, from the text of `/proc/<pid>/stat`.
///
/// # Source
///
/// proc(5): the second field is the name in parentheses and may hold spaces and parentheses; the
/// third is the state, the 22nd the start time in clock ticks.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Pids of all processes this user can see.
pub(crate) fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The command line, cut to 80 characters; empty when the process is gone.
pub(crate) fn command_line(pid: u32) -> String {
    one_line(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
}

/// The arguments with one space between, also where others wrote line breaks or what moves a cursor.
fn one_line(arguments: &[u8]) -> String {
    let text = String::from_utf8_lossy(arguments).replace(char::is_control, " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(80).collect()
}

/// Every living process but this one whose environment carries [`MARK`] with this folder; this one
/// carries it when a part of the system started it.
pub(crate) fn marked(root: &std::path::Path) -> Vec<Identity> {
    let mark = format!("{MARK}={}", root.display());
    let carries = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    let own = std::process::id();
    let others = processes().into_iter().filter(|pid| *pid != own);
    others.filter(carries).filter_map(Identity::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_one_line_that_moves_no_cursor() {
        let line = one_line(b"sh\0-c\0echo a\n\techo b\x1b[2J\0");
        assert_eq!(line, "sh -c echo a echo b [2J");
        assert_eq!(one_line("é".repeat(100).as_bytes()).chars().count(), 80);
    }

    #[test]
    fn a_process_is_itself_and_no_other_with_its_pid() {
        let own = Identity::own();
        assert!(own.is_alive());
        assert!(!Identity { start_ticks: own.start_ticks + 1, ..own }.is_alive());
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b) c) S 1 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 9876 1 2 3";
        assert_eq!(parse_stat(stat), Some(('S', 9876)));
        assert_eq!(parse_stat("garbage"), None);
    }

    #[test]
    fn a_process_that_ended_is_not_alive() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let identity = Identity { pid: child.id(), start_ticks: 0 };
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }
}
