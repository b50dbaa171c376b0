//! Where PostgreSQL is installed and whom it runs as.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::PostgresError;

/// Start of a server's directory; the id of the process that made it follows.
const PREFIX: &str = "regatta-postgres-";

/// The two programs a server needs.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
}

impl Binaries {
    /// On the PATH, else where Debian, Red Hat and Homebrew put them, newest first.
    pub(super) fn find() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
        for root in ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"] {
            let versions = std::fs::read_dir(root).into_iter().flatten().flatten();
            let mut versions: Vec<_> = versions.map(|entry| entry.path().join("bin")).collect();
            versions.sort();
            places.extend(versions.into_iter().rev());
        }
        places.into_iter().find_map(|place| Self::in_directory(&place))
    }

    fn in_directory(place: &Path) -> Option<Self> {
        let found = Self { initdb: place.join("initdb"), postgres: place.join("postgres") };
        (found.initdb.is_file() && found.postgres.is_file()).then_some(found)
    }
}

/// An account that is not root.
#[derive(Clone, Debug)]
pub(super) struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// None when this process may run PostgreSQL itself; else `postgres` or `nobody`.
    pub(super) fn to_run_as() -> Result<Option<Self>, PostgresError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = std::fs::read_to_string("/etc/passwd")?;
        let found = ["postgres", "nobody"].iter().find_map(|name| Self::named(name, &accounts));
        found.map(Some).ok_or(PostgresError::NoAccount)
    }

    fn named(name: &str, accounts: &str) -> Option<Self> {
        let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
        Some(Self { user: found.get(2)?.parse().ok()?, group: found.get(3)?.parse().ok()? })
    }

    pub(super) fn apply(&self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }
}

/// A directory that the account owns; first clears those of processes that were killed.
pub(super) fn directory(account: Option<&Account>) -> Result<TempDir, PostgresError> {
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        if is_orphaned(&entry.file_name().to_string_lossy()) {
            // Another test may be clearing the same one.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let directory = tempfile::Builder::new().prefix(&prefix).tempdir()?;
    if let Some(account) = account {
        chown(directory.path(), Some(account.user), Some(account.group))?;
    }
    Ok(directory)
}

/// Whether the name is that of a server's directory whose process is gone.
fn is_orphaned(name: &str) -> bool {
    let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    let owner = owner.and_then(|id| id.parse::<u32>().ok());
    owner.is_some_and(|id| cfg!(target_os = "linux") && !Path::new(&format!("/proc/{id}")).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_account_by_its_whole_name() {
        let accounts = "postgres2:x:1:2::/:/bin/sh\npostgres:x:101:104:,,,:/var:/bin/bash\n";
        let account = Account::named("postgres", accounts).unwrap();
        assert_eq!((account.user, account.group), (101, 104));
        assert!(Account::named("nobody", accounts).is_none());
    }

    #[test]
    fn only_directories_of_dead_processes_are_cleared() {
        assert!(!is_orphaned(&format!("{PREFIX}{}-abc", std::process::id())));
        assert!(is_orphaned(&format!("{PREFIX}4194305-abc")));
        assert!(!is_orphaned("postgres-4194305-abc"));
    }
}
