//! Shows a system as it builds, starts, runs and stops.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use regatta_supervisor::logs::Record;
use regatta_supervisor::{Event, PartState, PartStatus, State};

use super::{Format, Paint, err, out, parts_table, state_json};

/// Shows events: for people as progress, one table and live logs; for programs one JSON object a
/// line.
#[derive(Debug)]
pub(crate) struct Live {
    format: Format,
    /// Whether progress may be drawn over itself.
    is_terminal: bool,
    paint: Paint,
    began: Instant,
    /// What was told of the build where it cannot be drawn over: a line for each tenth, and for
    /// each thing that cargo waits for.
    told: Option<(u32, String)>,
    width: usize,
    is_running: bool,
    is_stopping: bool,
    states: std::collections::BTreeMap<String, PartState>,
}

impl Live {
    /// Shows what happens from `began` on; these parts, in the order of their colours.
    pub(crate) fn new(format: Format, services: &[(String, String)], began: Instant) -> Self {
        let paint =
            Paint::of_stdout().with_services(services.iter().map(|(_, name)| name.as_str()));
        Self {
            format,
            is_terminal: std::io::stdout().is_terminal(),
            paint,
            began,
            told: None,
            width: services.iter().map(|(part, _)| part.chars().count()).max().unwrap_or(0),
            is_running: false,
            is_stopping: false,
            states: std::collections::BTreeMap::new(),
        }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event, now: Instant) {
        if self.format == Format::Json {
            return match event {
                Event::Failed { .. } => {}
                Event::Running(state) => {
                    let mut value = state_json(state, true);
                    value["event"] = "running".into();
                    out(&value.to_string());
                }
                event => out(&serde_json::to_string(event).unwrap_or_default()),
            };
        }
        match event {
            Event::Building { done, total, current } => self.building(*done, *total, current),
            Event::Built { seconds } => self.line(&format!("built in {seconds:.1} s")),
            Event::Part(part) => self.part(part),
            Event::Log(record) => self.log(record),
            Event::Warning { message } => self.line(&format!("warning: {message}")),
            Event::Running(state) => self.running(state, now),
            Event::Stopping => {
                self.is_stopping = true;
                self.line("stopping; Ctrl-C again kills what is left");
            }
            Event::Stopped => self.line("everything has stopped"),
            // Told by whoever returns the failure.
            _ => self.clear(),
        }
    }

    /// Says how many events a slow terminal missed.
    pub(crate) fn skipped(&self, count: u64) {
        if self.format == Format::Text {
            out(&self.paint.dim(&format!("… {count} lines skipped; `regatta logs` has them all")));
        }
    }

    fn building(&mut self, done: u32, total: u32, current: &str) {
        let text = match (total, current) {
            (0, "") => "building".to_owned(),
            (0, waits) => format!("building: {waits}"),
            _ => format!("compiling {current} ({done}/{total})"),
        };
        let tenths = (done * 10).checked_div(total).unwrap_or(0);
        let step = (tenths, if total == 0 { text.clone() } else { String::new() });
        if self.is_terminal {
            self.draw(&text);
        } else if self.told.as_ref() != Some(&step) {
            self.told = Some(step);
            out(&text);
        }
    }

    fn part(&mut self, part: &PartStatus) {
        let before = self.states.insert(part.name.clone(), part.state);
        if before == Some(part.state) {
            return;
        }
        let note = part.note.as_deref().unwrap_or_default();
        let what = match part.state {
            PartState::Ready if self.is_running => format!("is ready again at {}", part.url),
            PartState::Ready => format!("ready at {}", part.url),
            PartState::Restarting | PartState::CrashLoop => {
                let word = part.state.as_str();
                self.paint.state(part.state, &format!("{word}: {note}"))
            }
            PartState::NotReady => self.paint.state(part.state, &format!("not ready: {note}")),
            PartState::Starting if !self.is_running => {
                return self.draw(&format!("starting {}", part.name));
            }
            PartState::Stopped if self.is_stopping => "stopped".to_owned(),
            _ => return,
        };
        let line = format!("{} {what}", self.name(&part.name, &part.service));
        self.line(&line);
    }

    fn log(&mut self, record: &Record) {
        // Before the table logs would drown the progress; a part that fails shows its last lines.
        if self.is_running {
            out(&log_line(record, &self.paint, self.width));
        }
    }

    fn running(&mut self, state: &State, now: Instant) {
        self.clear();
        self.is_running = true;
        out("");
        parts_table(&state.parts, &self.paint).iter().for_each(|line| out(line));
        let took = now.saturating_duration_since(self.began);
        out("");
        out(&self.paint.bold(&format!("{} runs; ready in {}", state.name, seconds(took))));
    }

    fn name(&self, part: &str, service: &str) -> String {
        self.paint.service(service, &format!("{part:width$}", width = self.width))
    }

    fn line(&self, text: &str) {
        self.clear();
        out(text);
    }

    /// Draws the line that the next one is drawn over.
    fn draw(&self, text: &str) {
        if self.is_terminal {
            let mut output = std::io::stdout().lock();
            // A line that wraps could not be drawn over.
            let text: String = text.chars().take(78).collect();
            let _gone = write!(output, "\r\u{1b}[K{text}");
            let _gone = output.flush();
        }
    }

    fn clear(&self) {
        self.draw("");
    }
}

/// One line of a log: the part, then what it printed, in the colour of its level.
pub(crate) fn log_line(record: &Record, paint: &Paint, width: usize) -> String {
    let service = record.part.rsplit_once('-').map_or(record.part.as_str(), |(service, number)| {
        if number.bytes().all(|byte| byte.is_ascii_digit()) { service } else { &record.part }
    });
    let name = paint.service(service, &format!("{:width$} |", record.part));
    format!("{name} {}", paint.line(record.level(), &record.line))
}

/// A time for people.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Says where to go from here; `command` is how this program was called, with the options that lead
/// to this system.
pub(crate) fn hints(state: &State, command: &Command) {
    if let Some(gateway) = &state.gateway {
        err(&format!(
            "gateway {gateway} · a token: {}",
            command.line("token --user 1 --role user")
        ));
    }
}

/// How the program was called.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    program: String,
    options: String,
}

impl Command {
    /// As this process was called, with these options.
    pub(crate) fn own(options: String) -> Self {
        let program = std::env::args().next().unwrap_or_else(|| "regatta".to_owned());
        Self { program, options }
    }

    /// The line that calls a verb.
    pub(crate) fn line(&self, verb: &str) -> String {
        format!("{} {verb}{}", self.program, self.options)
    }
}
