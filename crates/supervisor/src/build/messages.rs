//! Reads what `cargo build --message-format=json` prints.

use std::path::PathBuf;

use serde::Deserialize;

/// What a line of cargo's output means to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A program lies ready.
    Executable {
        /// The package it belongs to.
        package: String,
        /// Its own name.
        name: String,
        /// Where it is.
        path: PathBuf,
    },
    /// The compiler found an error; the text as the compiler shows it.
    Error(String),
}

#[derive(Deserialize)]
struct Line {
    reason: String,
    package_id: Option<String>,
    target: Option<Target>,
    executable: Option<PathBuf>,
    message: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
}

/// Reads one line; `None` for what does not matter to us.
pub(super) fn parse(line: &str) -> Option<Message> {
    let line: Line = serde_json::from_str(line).ok()?;
    match line.reason.as_str() {
        "compiler-artifact" => {
            let target =
                line.target.filter(|target| target.kind.iter().any(|kind| kind == "bin"))?;
            let package = package_name(&line.package_id?).to_owned();
            Some(Message::Executable { package, name: target.name, path: line.executable? })
        }
        "compiler-message" => {
            let message = line.message.filter(|message| message.level.starts_with("error"))?;
            Some(Message::Error(message.rendered?))
        }
        _ => None,
    }
}

/// The name in a package id.
///
/// # Source
///
/// The Cargo book, "Package ID specifications": `…#name@version`, or `…/name#version` when the
/// folder has the name.
fn package_name(id: &str) -> &str {
    let (before, after) = id.rsplit_once('#').unwrap_or((id, ""));
    match after.split_once('@') {
        Some((name, _)) => name,
        None => before.rsplit('/').next().unwrap_or(before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_programs() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///shop/services/user#user-service@0.1.0",
            "target":{"kind":["bin"],"name":"user-service"},"fresh":true,"executable":"/t/user-service"}"#;
        let expected = Message::Executable {
            package: "user-service".to_owned(),
            name: "user-service".to_owned(),
            path: "/t/user-service".into(),
        };
        assert_eq!(parse(line), Some(expected));
    }

    #[test]
    fn libraries_and_tests_are_no_programs() {
        for (kind, executable) in [("lib", "null"), ("bin", "null"), ("test", "\"/t/x\"")] {
            let line = format!(
                r#"{{"reason":"compiler-artifact","package_id":"a#b@1","target":{{"kind":["{kind}"],
                "name":"x"}},"executable":{executable}}}"#
            );
            assert_eq!(parse(&line), None);
        }
    }

    #[test]
    fn finds_errors_and_no_warnings() {
        let line = |level: &str| {
            format!(
                r#"{{"reason":"compiler-message","package_id":"a","target":null,
                "message":{{"level":"{level}","rendered":"{level}: boom\n"}}}}"#
            )
        };
        assert_eq!(parse(&line("error")), Some(Message::Error("error: boom\n".to_owned())));
        assert_eq!(parse(&line("warning")), None);
    }

    #[test]
    fn reads_both_forms_of_package_ids() {
        assert_eq!(package_name("path+file:///shop/user#user-service@0.1.0"), "user-service");
        assert_eq!(package_name("path+file:///shop/user-service#0.1.0"), "user-service");
        assert_eq!(package_name("registry+https://index#serde@1.0.0"), "serde");
    }

    #[test]
    fn what_a_build_script_prints_is_no_message() {
        assert_eq!(parse("hello"), None);
        assert_eq!(parse("[1, 2]"), None);
    }
}
