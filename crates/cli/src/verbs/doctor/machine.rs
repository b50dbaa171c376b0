//! The machine: space, clock, limits.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Finding;

/// Below this `up` is about to fail: databases and logs need room.
const LEAST_BYTES: u64 = 500 << 20;
/// Below this a first build may not fit: this workspace's takes 2.2 GB.
const BUILD_BYTES: u64 = 4 << 30;
/// Open files below which the gateway runs out at a thousand connections or so.
const LEAST_FILES: u64 = 4096;
/// How far behind the clock may be: files are stamped to the second on some file systems.
const TOLERANCE: Duration = Duration::from_secs(2);

/// All checks of the machine.
pub(super) fn all(folder: &Path) -> Vec<Finding> {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let newest = std::env::current_exe().and_then(|own| own.metadata()?.modified()).ok();
    [
        free_bytes(folder).map(disk),
        newest.map(|newest| clock(regatta_auth::now(), newest)),
        open_files(&limits).map(files),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let data = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(data.blocks_available() * data.fragment_size())
}

fn disk(free: u64) -> Finding {
    let text = format!("{:.1} GiB free", free as f64 / f64::from(1 << 30));
    let remedy = "make room; `cargo clean` frees what builds left";
    match free {
        ..LEAST_BYTES => Finding::wrong("disk", text, remedy),
        LEAST_BYTES..BUILD_BYTES => Finding::warning("disk", text, remedy),
        _ => Finding::fine("disk", text),
    }
}

/// A clock that is behind the newest file we know was written before now: tokens would be refused.
fn clock(now: SystemTime, written_before: SystemTime) -> Finding {
    match written_before.duration_since(now) {
        Ok(behind) if behind > TOLERANCE => Finding::wrong(
            "clock",
            format!(
                "the clock is behind: this program was written {} s from now",
                behind.as_secs()
            ),
            "set it: timedatectl set-ntp true",
        ),
        _ => Finding::fine("clock", "not behind the newest file"),
    }
}

/// The soft limit of open files, from the text of `/proc/self/limits`.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}

fn files(most: u64) -> Finding {
    let remedy = "raise it in this shell: ulimit -n 65536";
    if most < LEAST_FILES {
        let text = format!("{most} open files allowed; the gateway needs one or two a connection");
        return Finding::warning("limits", text, remedy);
    }
    Finding::fine("limits", format!("{most} open files allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::doctor::Verdict;

    #[test]
    fn little_space_is_a_warning_and_less_is_wrong() {
        assert_eq!(disk(LEAST_BYTES - 1).verdict, Verdict::Wrong);
        assert_eq!(disk(LEAST_BYTES).verdict, Verdict::Warning);
        assert_eq!(disk(BUILD_BYTES).verdict, Verdict::Fine);
    }

    #[test]
    fn a_clock_behind_the_program_is_wrong() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(clock(now, now + Duration::from_secs(3)).verdict, Verdict::Wrong);
        assert_eq!(clock(now, now + Duration::from_secs(2)).verdict, Verdict::Fine);
        assert_eq!(clock(now, now - Duration::from_secs(9)).verdict, Verdict::Fine);
    }

    #[test]
    fn the_soft_limit_counts() {
        let line =
            |soft: &str| format!("Max open files            {soft}       1048576    files\n");
        assert_eq!(open_files(&line("1024")), Some(1024));
        assert_eq!(open_files(&line("unlimited")), Some(u64::MAX));
        assert_eq!(open_files("nothing"), None);
        assert_eq!(files(1024).verdict, Verdict::Warning);
    }
}
