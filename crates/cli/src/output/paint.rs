//! Colours, where they are wanted.

use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};
use regatta_supervisor::PartState;
use regatta_supervisor::logs::Level;

/// One colour a service; red is kept for errors and yellow for warnings.
const SERVICES: [AnsiColor; 8] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightGreen,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
];

/// Colours text, or leaves it as it is.
#[derive(Clone, Debug)]
pub(crate) struct Paint {
    on: bool,
    services: Vec<String>,
}

impl Paint {
    /// For standard output: colours on a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    pub(crate) fn of_stdout() -> Self {
        Self { on: std::io::stdout().is_terminal() && is_wanted(), services: Vec::new() }
    }

    /// The same for standard error.
    pub(crate) fn of_stderr() -> Self {
        Self { on: std::io::stderr().is_terminal() && is_wanted(), services: Vec::new() }
    }

    /// No colours.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { on: false, services: Vec::new() }
    }

    /// Gives each of these services its colour, in this order; repeats when there are more than 8.
    pub(crate) fn with_services<'a>(mut self, services: impl IntoIterator<Item = &'a str>) -> Self {
        for service in services {
            if !self.services.iter().any(|known| known == service) {
                self.services.push(service.to_owned());
            }
        }
        self
    }

    /// Text in a service's colour.
    pub(crate) fn service(&self, service: &str, text: &str) -> String {
        let index = self.services.iter().position(|known| known == service).unwrap_or(0);
        self.coloured(SERVICES[index % SERVICES.len()], text)
    }

    /// Text in the colour of a state.
    pub(crate) fn state(&self, state: PartState, text: &str) -> String {
        match state {
            PartState::Ready => self.coloured(AnsiColor::Green, text),
            PartState::Failed | PartState::CrashLoop => self.coloured(AnsiColor::Red, text),
            PartState::Stopped => self.dim(text),
            _ => self.coloured(AnsiColor::Yellow, text),
        }
    }

    /// A log line in the colour of its level.
    pub(crate) fn line(&self, level: Option<Level>, text: &str) -> String {
        match level {
            Some(Level::Error) => self.coloured(AnsiColor::Red, text),
            Some(Level::Warn) => self.coloured(AnsiColor::Yellow, text),
            Some(Level::Debug | Level::Trace) => self.dim(text),
            Some(Level::Info) | None => text.to_owned(),
        }
    }

    /// The word `error:`.
    pub(crate) fn error(&self, text: &str) -> String {
        self.styled(AnsiColor::Red.on_default().bold(), text)
    }

    /// Text that may be overlooked.
    pub(crate) fn dim(&self, text: &str) -> String {
        self.styled(Style::new().dimmed(), text)
    }

    /// Text that should not be overlooked.
    pub(crate) fn bold(&self, text: &str) -> String {
        self.styled(Style::new().bold(), text)
    }

    fn coloured(&self, colour: AnsiColor, text: &str) -> String {
        self.styled(colour.on_default(), text)
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if self.on { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

fn is_wanted() -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !no_colour && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_own_colour_and_replicas_share_it() {
        let paint = Paint { on: true, services: Vec::new() }.with_services(["a", "b", "a"]);
        assert_ne!(paint.service("a", "x"), paint.service("b", "x"));
        assert_eq!(paint.services, ["a", "b"]);
    }

    #[test]
    fn without_colours_text_stays_as_it_is() {
        assert_eq!(Paint::none().error("error:"), "error:");
        assert_eq!(Paint::none().service("a", "x"), "x");
    }
}
