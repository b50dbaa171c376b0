//! One line that a part printed, as it stands in the log file.

use serde::{Deserialize, Serialize};

/// Which output a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every step.
    Trace,
    /// For whoever mends the program.
    Debug,
    /// What happens as it should.
    Info,
    /// What should not happen and was coped with.
    Warn,
    /// What failed.
    Error,
}

/// One line of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When the supervisor read it, RFC 3339 in UTC.
    pub at: String,
    /// The part that printed it.
    pub part: String,
    /// Where it printed it.
    pub stream: Stream,
    /// What it printed, without the line's end.
    pub line: String,
}

impl Record {
    /// The form in the file: time, stream and text, such as `2026-…Z out listening`.
    pub fn to_text(&self) -> String {
        let stream = match self.stream {
            Stream::Out => "out",
            Stream::Err => "err",
        };
        format!("{} {stream} {}", self.at, self.line)
    }

    /// Reads that form; a line that does not have it (a file written by hand) is all text.
    pub fn from_text(part: &str, text: &str) -> Self {
        let record = |at: &str, stream, line: &str| Self {
            at: at.to_owned(),
            part: part.to_owned(),
            stream,
            line: line.to_owned(),
        };
        let mut fields = text.splitn(3, ' ');
        match (fields.next(), fields.next(), fields.next()) {
            (Some(at), Some("out"), Some(line)) => record(at, Stream::Out, line),
            (Some(at), Some("err"), Some(line)) => record(at, Stream::Err, line),
            _ => record("", Stream::Out, text),
        }
    }

    /// How grave the line says it is: the member `level` of a JSON line, or the first level in
    /// capitals among the first four words of a text line. `None` when it does not say.
    pub fn level(&self) -> Option<Level> {
        if self.line.starts_with('{') {
            let (_, rest) = self.line.split_once("\"level\":")?;
            let word = rest.trim_start().strip_prefix('"')?.split('"').next()?;
            return level(&word.to_ascii_uppercase());
        }
        let plain = strip_colours(&self.line);
        plain.split_whitespace().take(4).find_map(|word| level(word.trim_matches([':', '[', ']'])))
    }
}

fn level(word: &str) -> Option<Level> {
    match word {
        "TRACE" => Some(Level::Trace),
        "DEBUG" => Some(Level::Debug),
        "INFO" => Some(Level::Info),
        "WARN" | "WARNING" => Some(Level::Warn),
        "ERROR" | "FATAL" | "CRITICAL" => Some(Level::Error),
        _ => None,
    }
}

/// The text without terminal colours (`ESC [ … m`).
fn strip_colours(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default();
    let rest = pieces.map(|piece| piece.split_once('m').map_or("", |(_, after)| after));
    std::iter::once(first).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_says_how_grave_it_is() {
        for (line, expected) in [
            ("2026-01-01T00:00:00Z  WARN regatta: slow", Some(Level::Warn)),
            ("\u{1b}[2m2026\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m boom", Some(Level::Error)),
            (r#"{"timestamp":"x","level":"DEBUG","message":"ERROR"}"#, Some(Level::Debug)),
            ("[INFO] up", Some(Level::Info)),
            ("WARNING: old", Some(Level::Warn)),
            ("no level, although far behind stands an ERROR", None),
            ("{broken \"level\": 3}", None),
            ("", None),
        ] {
            assert_eq!(record(line).level(), expected, "{line}");
        }
    }

    #[test]
    fn a_line_of_another_form_is_all_text() {
        let record = Record::from_text("a", "written by hand");
        assert_eq!((record.at.as_str(), record.line.as_str()), ("", "written by hand"));
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(line in "[^\n]*") {
            let record = record(&line);
            prop_assert_eq!(Record::from_text("a", &record.to_text()), record);
        }
    }

    fn record(line: &str) -> Record {
        let at = "2026-01-01T00:00:00.000Z".to_owned();
        Record { at, part: "a".to_owned(), stream: Stream::Err, line: line.to_owned() }
    }
}
