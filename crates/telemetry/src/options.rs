//! What an operator may choose about telemetry.

use std::str::FromStr;
use std::time::Duration;

use regatta_core::Secret;

/// What an operator may choose; the default exports nothing and logs at `info`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The collector. Default none: no span is made, nothing is sent.
    pub otlp: Option<Otlp>,
    /// Share of new traces that are sampled, 0 to 1. Default 1. A caller's decision is kept.
    pub sample_ratio: f64,
    /// The process's own log. None leaves the global subscriber alone.
    pub logs: Option<LogOptions>,
    /// Further resource attributes, such as `deployment.environment.name`.
    pub resource: Vec<(String, String)>,
    /// Longest wait for the last export at shutdown. Default 3 s: below the 10 s that container
    /// runtimes leave between SIGTERM and SIGKILL.
    pub shutdown_timeout: Duration,
}

/// Where and how telemetry is sent: OTLP over gRPC.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Otlp {
    /// URL of the collector, such as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// Sent with every export, such as an API key.
    pub headers: Vec<(String, Secret)>,
    /// Certificate authority in PEM; an `https` endpoint needs it. Default none.
    pub ca_certificate: Option<String>,
    /// Longest wait for one export. Default 10 s (OTLP exporter specification).
    pub timeout: Duration,
    /// Whether exports are compressed with gzip. Default false.
    pub gzip: bool,
    /// Whether spans are sent. Default true.
    pub traces: bool,
    /// Whether metrics are sent. Default true.
    pub metrics: bool,
    /// Whether log records are sent. Default true.
    pub logs: bool,
    /// Spans, and separately log records, that wait for an export; more are dropped and counted.
    /// Default 2048 (batch span processor specification).
    pub queue: usize,
    /// Most spans or log records of one export. Default 512.
    pub batch: usize,
    /// Longest time a span or log record waits for its batch to fill. Default 1 s.
    pub batch_interval: Duration,
    /// Time between two exports of metrics. Default 60 s.
    pub metric_interval: Duration,
}

/// The process's own log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogOptions {
    /// What is logged, as `RUST_LOG` says it: `info,sqlx=warn`. Default `info`.
    pub filter: String,
    /// How a line is written. Default [`LogFormat::Auto`].
    pub format: LogFormat,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// One line of text, coloured on a terminal.
    Text,
}

/// An option is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOption {
    /// The ratio is not one.
    #[error("sample ratio `{0}` is not a share; use 0 to 1")]
    SampleRatio(f64),
    /// The format has no such name.
    #[error("log format `{0}` is unknown; use auto, json or text")]
    LogFormat(String),
    /// The filter does not parse.
    #[error(
        "log filter `{filter}` is not valid; use a level or target=level,…, such as info,sqlx=warn"
    )]
    LogFilter {
        /// What was given.
        filter: String,
    },
    /// The endpoint is not a URL of http or https.
    #[error(
        "OTLP endpoint `{0}` is not an http or https URL; use one such as http://127.0.0.1:4317"
    )]
    Endpoint(String),
    /// A header's name or value cannot be sent.
    #[error("OTLP header `{0}` has a name or value that cannot be sent; use ASCII")]
    Header(String),
    /// Whom to trust is not said.
    #[error(
        "OTLP endpoint `{0}` is https and no certificate authority is set; set \
         OTEL_EXPORTER_OTLP_CERTIFICATE to its .pem file, such as the system's bundle"
    )]
    NoCertificate(String),
    /// The certificate cannot be read.
    #[error("OTLP certificate authority is not PEM; give the text of a .pem file")]
    Certificate,
    /// A queue or batch of nothing.
    #[error("OTLP {0} is 0; set it to 1 or more")]
    Zero(&'static str),
    /// An `OTEL_*` variable's value cannot be used.
    #[error("`{name}` is `{value}`; {remedy}")]
    Variable {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
        /// What it should be.
        remedy: &'static str,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            otlp: None,
            sample_ratio: 1.0,
            logs: Some(LogOptions::default()),
            resource: Vec::new(),
            shutdown_timeout: Duration::from_secs(3),
        }
    }
}

impl Options {
    /// The default without a log, for tests and tools that own their output.
    pub fn quiet() -> Self {
        Self { logs: None, ..Self::default() }
    }

    /// Checks every option.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] names the first one out of range.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(InvalidOption::SampleRatio(self.sample_ratio));
        }
        let Some(otlp) = &self.otlp else { return Ok(()) };
        let zero = [
            ("queue", otlp.queue == 0),
            ("batch", otlp.batch == 0),
            ("timeout", otlp.timeout.is_zero()),
            ("batch interval", otlp.batch_interval.is_zero()),
            ("metric interval", otlp.metric_interval.is_zero()),
        ];
        match zero.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(InvalidOption::Zero(name)),
            None => Ok(()),
        }
    }
}

impl Otlp {
    /// Everything to this endpoint, with the defaults.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            ca_certificate: None,
            timeout: Duration::from_secs(10),
            gzip: false,
            traces: true,
            metrics: true,
            logs: true,
            queue: 2048,
            batch: 512,
            batch_interval: Duration::from_secs(1),
            metric_interval: Duration::from_secs(60),
        }
    }
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

impl FromStr for LogFormat {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(InvalidOption::LogFormat(text.to_owned())),
        }
    }
}
