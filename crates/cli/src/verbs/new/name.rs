//! Which names a new service cannot have.

use super::template;

/// Rust's keywords, also those that are kept for later: no crate can be named so in code. `union`
/// and the like are names elsewhere.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// The crates that the compiler brings along.
const STANDARD: &[&str] = &["alloc", "core", "proc_macro", "std", "test"];

/// Folders of cargo beside which a program of this name would not fit.
const FOLDERS: &[&str] = &["build", "deps", "examples", "incremental"];

/// Why a service that is written from the template cannot have this name, if so.
pub(super) fn refusal(name: &str) -> Option<String> {
    let in_code = name.replace('-', "_");
    let reason = if regatta_manifest::is_reserved(name) {
        "is reserved: it means something else in paths, in `ps` or in the registry"
    } else if KEYWORDS.contains(&&*in_code) {
        "is a keyword of Rust, and the service is a crate of its name"
    } else if STANDARD.contains(&&*in_code) {
        "is a crate of the standard library"
    } else if FOLDERS.contains(&name) {
        "is a folder that cargo makes beside its programs"
    } else if template::dependencies().any(|dependency| dependency.replace('-', "_") == in_code) {
        "is a crate that the service depends on"
    } else {
        return None;
    };
    Some(format!("`{name}` {reason}; name the service `{name}-service`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_not_run_or_compile_is_refused_with_another_one() {
        for (name, reason) in [
            ("health", "is reserved"),
            ("control-plane", "is reserved"),
            ("match", "keyword"),
            ("async", "keyword"),
            ("core", "standard library"),
            ("test", "standard library"),
            ("deps", "folder"),
            ("regatta", "depends on"),
            ("tokio", "depends on"),
            ("serde-json", "depends on"),
        ] {
            let refusal = refusal(name).unwrap();
            let other = format!("`{name}-service`");
            assert!(refusal.contains(reason) && refusal.ends_with(&other), "{refusal}");
        }
    }

    #[test]
    fn other_names_are_free() {
        for name in ["pay", "match-service", "payments-api", "union", "health-records", "tests"] {
            assert_eq!(refusal(name), None);
        }
    }
}
