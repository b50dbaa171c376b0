//! What is said about a command line that cannot be understood.

use std::process::ExitCode;

use clap::error::Error;

use crate::failure::Failure;
use crate::output::Format;

/// Prints the error, as a JSON object where the arguments ask for one, and gives the exit code. Help
/// and version, which come as errors too, stay text.
pub(crate) fn refuse(error: &Error, arguments: impl Iterator<Item = String>) -> ExitCode {
    if !error.use_stderr() || !wants_json(arguments) {
        error.exit();
    }
    failure(&error.to_string()).print(Format::Json)
}

/// The text of the error: its first line, and the others but for what is empty.
fn failure(text: &str) -> Failure {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("the command line cannot be understood");
    let message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    Failure::usage(message).with_detail(lines.map(str::to_owned).collect())
}

/// Whether the arguments, which nobody could read as a whole, ask for JSON.
fn wants_json(arguments: impl Iterator<Item = String>) -> bool {
    let mut arguments = arguments.take_while(|argument| argument != "--").peekable();
    let mut wants = false;
    while let Some(argument) = arguments.next() {
        wants |= argument == "--format=json"
            || argument == "--format" && arguments.peek().is_some_and(|next| next == "json");
    }
    wants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        let wants = |line: &str| wants_json(line.split(' ').map(str::to_owned));
        assert!(wants("regatta ps --format json nope") && wants("regatta --format=json"));
        assert!(!wants("regatta ps nope") && !wants("regatta --format text json"));
        assert!(!wants("regatta ps -- --format json"));
    }
}
