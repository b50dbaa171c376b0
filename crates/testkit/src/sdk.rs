//! The CloudEvents SDK of PyPI, as a peer that reads and writes events.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::{PythonError, python};

const SCRIPT: &str = include_str!("sdk.py");

/// The SDK could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SdkError {
    /// It is not installed.
    #[error(transparent)]
    Absent(#[from] PythonError),
    /// Python did not run.
    #[error("Python cannot be run")]
    Run(#[from] std::io::Error),
    /// It does not take the message, or this is not how one asks it.
    #[error("the CloudEvents SDK refuses the message: {0}")]
    Refused(String),
}

/// What the SDK makes of a message: JSON with `attributes`, `data`, and the same event as the SDK
/// writes it, `structured` and `binary`. A message is JSON with `headers` and a `body` of text, or
/// `null` for an event that the SDK makes itself.
///
/// # Errors
///
/// [`SdkError::Absent`] with the command that installs it, [`SdkError::Refused`] with what it says.
pub fn cloudevents_sdk(message: &str) -> Result<String, SdkError> {
    let mut command = Command::new(python("cloudevents")?);
    command.args(["-X", "utf8", "-c", SCRIPT]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(message.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(SdkError::Refused(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}
