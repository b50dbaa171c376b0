//! Runs a command, shows its output and counts the tests in it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
}

/// Runs a command at the root of the workspace; its failure is an error.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    println!("$ {program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .current_dir(workspace::root())
        .status()
        .with_context(|| format!("cannot run `{program}`; is it on the PATH?"))?;
    if !status.success() {
        bail!("`{program} {}` failed: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs a test runner, passes its output on and adds its closing lines to the count.
///
/// Returns whether the runner itself was content.
pub(crate) fn run_tests(program: &str, arguments: &[&str], count: &mut Count) -> Result<bool> {
    println!("$ {program} {}", arguments.join(" "));
    // `sh` joins the two streams, so that lines keep their order.
    let mut child = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" 2>&1", program])
        .args(arguments)
        .current_dir(workspace::root())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{program}`; is it on the PATH?"))?;
    let output = child.stdout.take().context("the child's output is piped")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read the runner's output")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(more) = closing_line(&line) {
            count.passed += more.passed;
            count.failed += more.failed;
        }
    }
    Ok(child.wait().context("cannot wait for the runner")?.success())
}

/// The counts in a closing line of nextest or libtest.
fn closing_line(line: &str) -> Option<Count> {
    // nextest repeats what a failed test printed, libtest's closing line within, moved to the right.
    let is_closing = line.starts_with("test result: ")
        || (line.trim_start().starts_with("Summary [") && line.contains(" run: "));
    if !is_closing {
        return None;
    }
    let number_before = |word: &str| {
        let (before, _) = line.split_once(word)?;
        before.trim_end().rsplit([' ', ':']).next()?.parse::<u64>().ok()
    };
    let failed = number_before(" failed").unwrap_or(0) + number_before(" timed out").unwrap_or(0);
    Some(Count { passed: number_before(" passed").unwrap_or(0), failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_nextest_ran() {
        let line = "     Summary [   0.194s] 28 tests run: 27 passed (1 slow), 1 failed, 0 skipped";
        assert_eq!(closing_line(line), Some(Count { passed: 27, failed: 1 }));
        let line = "     Summary [   0.194s] 28 tests run: 28 passed, 0 skipped";
        assert_eq!(closing_line(line), Some(Count { passed: 28, failed: 0 }));
    }

    #[test]
    fn counts_what_libtest_ran() {
        let line = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(closing_line(line), Some(Count { passed: 12, failed: 0 }));
        assert_eq!(closing_line("test a::b ... ok"), None);
        let repeated = "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured";
        assert_eq!(closing_line(repeated), None);
    }
}
