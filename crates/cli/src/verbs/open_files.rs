//! How many files, which connections are, the process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files that are open beside connections: the store, the logs, the libraries.
const OTHERS: u64 = 128;

/// Raises the limit to the most that the system allows, since the usual one of 1,024 is meant for
/// programs with few connections. Warns when it stays below what so many connections take.
pub(crate) fn allow(connections: usize) {
    let allowed = match raise() {
        Ok(allowed) => allowed,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files; see `ulimit -n`");
            return;
        }
    };
    if let Some(needed) = missing(allowed, connections) {
        tracing::warn!(
            allowed,
            needed,
            "fewer files may be open than connections are allowed; raise `ulimit -Hn` or \
             `LimitNOFILE`"
        );
    }
}

/// The limit, raised to the most that is allowed.
fn raise() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// How many files so many connections take, if more than allowed.
fn missing(allowed: u64, connections: usize) -> Option<u64> {
    let needed = (connections as u64).saturating_add(OTHERS);
    (needed > allowed).then_some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_the_most_that_is_allowed() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, soft.min(256), hard).unwrap();
        allow(1);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
    }

    #[test]
    fn fewer_files_than_connections_are_told() {
        assert_eq!(missing(1024, 16_384), Some(16_512));
        assert_eq!(missing(16_512, 16_384), None);
    }
}
