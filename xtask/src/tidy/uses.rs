//! Files that must not know something: domains no SQL and HTTP, rules no runtime.

use super::Source;

pub(super) fn check(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut ban = |what: &[&str], why: &str| {
        for word in what {
            let uses = |line: &str| {
                let line = line.trim_start();
                let inline = format!("{word}::");
                !line.starts_with("//")
                    && (line.starts_with(&format!("use {word};"))
                        || line.match_indices(&inline).any(|(at, _)| starts_a_path(line, at)))
            };
            if source.code().lines().any(uses) {
                found.push(format!("{}: uses `{word}`; {why}", source.name()));
            }
        }
    };
    if source.name().starts_with("services/") && source.name().contains("/domain/") {
        ban(
            &["sqlx", "axum", "http", "tonic", "hyper", "regatta", "crate::store", "crate::api"],
            "a domain has no SQL, no HTTP and no chassis",
        );
    }
    let is_shell = ["layer.rs", "service.rs", "mod.rs", "lib.rs", "future.rs", "conformance.rs"]
        .iter()
        .any(|shell| source.name().ends_with(shell));
    if source.name().starts_with("crates/resilience/src/") && !is_shell {
        ban(&["tokio", "tower", "tower_service", "tower_layer"], "rules know no runtime");
    }
    if source.name().starts_with("crates/core/") {
        ban(&["tokio", "std::net::TcpStream", "std::fs"], "core does no I/O");
    }
    for banned in ["#[ignore", "#[should_panic"] {
        if !source.name().starts_with("xtask/") && source.text.contains(banned) {
            found.push(format!("{}: `{banned}]`; assert what happens instead", source.name()));
        }
    }
    found
}

/// Whether the word at this place begins a path rather than ending another name.
fn starts_a_path(line: &str, at: usize) -> bool {
    !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(path: &str, text: &str) -> usize {
        check(&Source { path: path.into(), text: text.to_owned() }).len()
    }

    #[test]
    fn a_domain_knows_no_database() {
        let path = "services/user/src/domain/user.rs";
        assert_eq!(verdicts(path, "use sqlx::Row;\n"), 1);
        assert_eq!(verdicts(path, "fn a() -> sqlx::Result<()> {}\n"), 1);
        assert_eq!(verdicts(path, "// sqlx::Row is banned\nuse regatta_core::Code;\n"), 0);
        assert_eq!(verdicts("services/user/src/store/sqlite.rs", "use sqlx::Row;\n"), 0);
    }

    #[test]
    fn rules_know_no_runtime() {
        assert_eq!(verdicts("crates/resilience/src/breaker/state.rs", "use tokio::time;\n"), 1);
        assert_eq!(verdicts("crates/resilience/src/breaker/service.rs", "use tokio::time;\n"), 0);
    }

    #[test]
    fn no_test_is_silenced() {
        assert_eq!(verdicts("crates/a/src/b.rs", "#[ignore]\nfn a() {}\n"), 1);
        assert_eq!(verdicts("crates/a/src/b.rs", "#[should_panic]\nfn a() {}\n"), 1);
    }
}
