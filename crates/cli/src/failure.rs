//! Why a verb failed: what is printed, and with which code the program exits.

use std::fmt;
use std::process::ExitCode;

use regatta_core::Chain;
use regatta_manifest::{LoadError, Problems};
use serde_json::json;

use crate::output::{Format, Paint, err};

/// A verb that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    detail: Vec<String>,
    is_usage: bool,
    /// What happened was printed already.
    is_silent: bool,
}

impl Failure {
    /// Something did not work; exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        let (detail, message) = (Vec::new(), message.into());
        Self { message, detail, is_usage: false, is_silent: false }
    }

    /// The command line asks for something that cannot be; exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { is_usage: true, ..Self::new(message) }
    }

    /// Exit code 1, with nothing more to say.
    pub(crate) fn silent() -> Self {
        Self { is_silent: true, ..Self::new("") }
    }

    /// The same with lines that are printed before it, such as the compiler's.
    pub(crate) fn with_detail(self, detail: Vec<String>) -> Self {
        Self { detail, ..self }
    }

    /// The manifest is wrong; a line for each problem.
    pub(crate) fn of_manifest(file: &dyn fmt::Display, problems: Vec<String>) -> Self {
        let count = match problems.len() {
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        let text = format!("manifest `{file}` has {count}; docs/guide/manifest.md has every key");
        Self::new(text).with_detail(problems)
    }

    /// Prints it to standard error and gives the exit code.
    pub(crate) fn print(self, format: Format) -> ExitCode {
        if !self.is_silent {
            match format {
                Format::Json => {
                    err(&json!({ "error": self.message, "detail": self.detail }).to_string());
                }
                Format::Text => {
                    let paint = Paint::of_stderr();
                    self.detail.iter().for_each(|line| err(line));
                    err(&format!("{} {}", paint.error("error:"), self.message));
                }
            }
        }
        ExitCode::from(if self.is_usage { 2 } else { 1 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.detail.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let any: &(dyn std::error::Error + 'static) = &error;
        let problems = match any.downcast_ref::<LoadError>() {
            Some(LoadError::Invalid(problems)) => Some(problems),
            _ => any.downcast_ref::<Problems>(),
        };
        match problems.map(Problems::as_slice) {
            Some(problems @ [first, ..]) => {
                Self::of_manifest(&first.file, problems.iter().map(ToString::to_string).collect())
            }
            _ => Self::new(Chain(&error).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use regatta_manifest::Manifest;

    use super::*;

    #[test]
    fn each_problem_of_a_manifest_is_a_line_of_its_own() {
        let text = "name: shop\nservices:\n  a: { rum: 1, replicas: 0, run: { cargo: a } }\n";
        let problems = Manifest::parse(text, "regatta.yaml").unwrap_err();
        let count = problems.as_slice().len();
        for failure in [Failure::from(problems.clone()), LoadError::from(problems).into()] {
            assert_eq!(failure.detail.len(), count);
            assert!(
                count > 1 && failure.detail.iter().all(|line| line.starts_with("regatta.yaml:3:"))
            );
            assert!(failure.message.contains(&format!("{count} problems")), "{}", failure.message);
        }
    }
}
