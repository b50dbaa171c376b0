//! Makes the log the process's own.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use super::line::Lines;
use super::push::Push;
use crate::export::LogSink;
use crate::{Identity, InvalidOption, LogFormat, LogOptions};

/// Installs the log; a global subscriber that is there already stays.
pub(crate) fn install(
    options: &LogOptions,
    identity: &Identity,
    sink: Option<LogSink>,
) -> Result<(), InvalidOption> {
    let filter = EnvFilter::try_new(&options.filter)
        .map_err(|_| InvalidOption::LogFilter { filter: options.filter.clone() })?;
    let is_terminal = std::io::stdout().is_terminal();
    let lines = Lines {
        is_json: match options.format {
            LogFormat::Json => true,
            LogFormat::Text => false,
            LogFormat::Auto => !is_terminal,
        },
        identity: identity.clone(),
    };
    let lines = fmt::layer().event_format(lines).with_ansi(is_terminal);
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(sink.map(|it| Push(it).boxed()));
    // Whoever set another subscriber, such as a test, wants that one.
    let _ = subscriber.try_init();
    Ok(())
}
