//! `up --detach`: starts a supervisor in the background and waits until everything is ready.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;

use regatta_supervisor::{Event, Settings, State};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::Up;
use crate::failure::Failure;
use crate::output::{Command as Called, Format, hints, out, state_json};
use crate::system::Place;

/// Starts the supervisor, shows its progress, returns once everything is ready.
///
/// Ctrl-C while it starts stops it; nothing is left running.
pub(super) async fn run(
    up: &Up,
    place: &Place,
    settings: &Settings,
    format: Format,
) -> Result<(), Failure> {
    settings.layout.create()?;
    if let Some(holder) = regatta_supervisor::running(&settings.layout)? {
        return Err(super::runs_already(Some(holder), place));
    }
    let log = settings.layout.log_file("supervisor");
    // What earlier ones wrote is no word of this one.
    let before = std::fs::metadata(&log).map_or(0, |log| log.len());
    let mut child = spawn(up, place, settings)?;
    let mut live = super::live(settings, format);
    let output = child.stdout.take().ok_or_else(|| Failure::new("the supervisor has no output"))?;
    let mut lines = BufReader::new(output).lines();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut termination = signal(SignalKind::terminate())?;
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            _ = interrupt.recv() => {
                terminate(&child);
                continue;
            }
            _ = termination.recv() => {
                terminate(&child);
                continue;
            }
        };
        let Some(line) = line else { return Err(ended(&log, before, child).await) };
        let Ok(event) = serde_json::from_str::<Event>(&line) else { continue };
        match event {
            Event::Failed { message, detail } => {
                let _status = child.wait().await;
                return Err(Failure::new(message).with_detail(detail));
            }
            Event::Running(state) => {
                show(&state, &mut live, format, place);
                return Ok(());
            }
            // Programs get one object, at the end.
            event if format == Format::Text => live.show(&event, super::now()),
            _ => {}
        }
    }
}

fn show(state: &State, live: &mut crate::output::Live, format: Format, place: &Place) {
    if format == Format::Json {
        return out(&state_json(state, true).to_string());
    }
    live.show(&Event::Running(state.clone()), super::now());
    let called = Called::own(place.options());
    hints(state, &called);
    let [ps, logs, down] = ["ps", "logs -f", "down"].map(|verb| called.line(verb));
    out(&format!("it runs in the background: {ps}, {logs}, {down}"));
}

fn spawn(up: &Up, place: &Place, settings: &Settings) -> Result<Child, Failure> {
    let path = settings.layout.log_file("supervisor");
    let errors = OpenOptions::new().create(true).append(true).open(path)?;
    let mut command = Command::new(&settings.program);
    command.arg("up").arg("--background").args(place.arguments()?);
    command.args(["--profile", settings.profile.as_str()]);
    for (option, time) in [("--ready-within", up.ready_within), ("--stop-within", up.stop_within)] {
        command.arg(option).arg(regatta_yaml::format_duration(time));
    }
    if up.isolated {
        command.arg("--isolated");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    // Not in a process group of its own here: it begins a session, which a group's leader cannot.
    Ok(command.spawn()?)
}

fn terminate(child: &Child) {
    use nix::sys::signal::{Signal, kill};
    if let Some(Ok(pid)) = child.id().map(i32::try_from) {
        let _gone = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM);
    }
}

/// It ended without a word: it could not even begin, or was killed.
async fn ended(log: &Path, before: u64, mut child: Child) -> Failure {
    let status = child.wait().await.map_or_else(|error| error.to_string(), |s| s.to_string());
    let text = format!("the supervisor ended early ({status}); its log is {}", log.display());
    Failure::new(text).with_detail(last_lines(log, before).unwrap_or_default())
}

/// The last lines that were written behind this place.
fn last_lines(log: &Path, before: u64) -> std::io::Result<Vec<String>> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(before))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    Ok(lines[lines.len().saturating_sub(5)..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_supervisor_wrote_is_not_told_again() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("supervisor.log");
        std::fs::write(&log, "error: old\nerror: new\n").unwrap();
        assert_eq!(last_lines(&log, 11).unwrap(), ["error: new"]);
    }
}
