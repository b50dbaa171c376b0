//! Reads cargo's progress bar.

/// How far cargo is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) done: u32,
    pub(crate) total: u32,
    pub(crate) current: String,
}

/// Reads one line of the bar, such as `    Building [==>    ] 12/240: tokio, serde`, or the line that
/// says what cargo waits for.
///
/// # Source
///
/// `src/cargo/util/progress.rs` of cargo: the bar is drawn over itself with carriage returns.
pub(super) fn parse(line: &str) -> Option<Progress> {
    let text = line.trim();
    if let Some(what) = text.strip_prefix("Blocking ") {
        let current = format!("cargo is {what}; another cargo builds there");
        return Some(Progress { done: 0, total: 0, current });
    }
    let bar = text.strip_prefix("Building [").or_else(|| text.strip_prefix("Downloading ["))?;
    let (_, counts) = bar.split_once("] ")?;
    let (counts, names) = counts.split_once(": ").unwrap_or((counts, ""));
    let (done, total) = counts.trim_end_matches(':').split_once('/')?;
    let current = names.split(['(', ',']).next().unwrap_or_default().trim().to_owned();
    Some(Progress { done: done.trim().parse().ok()?, total: total.trim().parse().ok()?, current })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_counts_and_the_first_name() {
        let line = "    Building [=====>                ] 12/240: tokio, serde_json(build), axum";
        let expected = Progress { done: 12, total: 240, current: "tokio".to_owned() };
        assert_eq!(parse(line), Some(expected));
    }

    #[test]
    fn reads_a_bar_without_names() {
        let expected = Progress { done: 240, total: 240, current: String::new() };
        assert_eq!(parse("Building [======] 240/240"), Some(expected.clone()));
        assert_eq!(parse("Building [======] 240/240: "), Some(expected));
    }

    #[test]
    fn says_what_cargo_waits_for() {
        let line = "    Blocking waiting for file lock on build directory";
        let current =
            "cargo is waiting for file lock on build directory; another cargo builds there";
        assert_eq!(parse(line).unwrap().current, current);
    }

    #[test]
    fn other_lines_are_no_progress() {
        for line in ["   Compiling tokio v1.0.0", "", "Building [", "error: x", "Building [=] a/b"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
