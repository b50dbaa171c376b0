//! How results look: for people, and for programs.

mod paint;
pub(crate) use paint::Paint;

mod table;
pub(crate) use table::{parts_table, table};

mod live;
pub(crate) use live::{Command, Live, hints, log_line};

use std::io::Write as _;

/// For whom results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Prints a line to standard output. A reader that is gone (`| head`) is no error.
pub(crate) fn out(line: &str) {
    let mut output = std::io::stdout().lock();
    let _gone = writeln!(output, "{line}");
    let _gone = output.flush();
}

/// Prints a line to standard error.
pub(crate) fn err(line: &str) {
    let _gone = writeln!(std::io::stderr().lock(), "{line}");
}

/// A running system as programs read it: the state file with `running`, and `pid` and `instance`
/// of each part.
pub(crate) fn state_json(state: &regatta_supervisor::State, running: bool) -> serde_json::Value {
    let mut value = serde_json::to_value(state).unwrap_or_default();
    value["running"] = running.into();
    for (json, part) in value["parts"].as_array_mut().into_iter().flatten().zip(&state.parts) {
        json["pid"] = part.process.map(|process| process.pid).into();
        json["instance"] = part.name.as_str().into();
    }
    value
}
