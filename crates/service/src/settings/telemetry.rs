//! Groups `telemetry` and `log`: what the service tells about itself.

use std::time::Duration;

use regatta_config::{choices, settings};
use regatta_telemetry::{InvalidOption, LogOptions, Options, Otlp};

settings! {
    /// Traces and metrics that are sent to a collector. Metrics are at /metrics in any case.
    pub struct TelemetrySettings in "telemetry" {
        /// URL of an OpenTelemetry collector that takes OTLP over gRPC, such as
        /// http://127.0.0.1:4317; nothing is sent when it is not set.
        pub otlp_endpoint: Option<String>, env "OTEL_EXPORTER_OTLP_ENDPOINT";
        /// Share of new traces that are recorded, 0 to 1; a caller's decision is kept.
        pub sample_ratio: f64 = 1.0, range 0.0..=1.0;
        /// Longest wait for the last export at the end of the process.
        pub shutdown_timeout: Duration = Duration::from_secs(3);
    }
}

settings! {
    /// The log on standard output.
    pub struct LogSettings in "log" {
        /// What is logged: a level (error, warn, info, debug, trace), or target=level, and several
        /// of these with commas between.
        pub level: String = "info".to_owned(), env "RUST_LOG";
        /// How a line looks.
        pub format: LogFormat;
    }
}

choices! {
    /// How a log line looks.
    #[derive(Default)]
    pub enum LogFormat {
        /// Text on a terminal, JSON elsewhere.
        #[default]
        Auto = "auto",
        /// One JSON object a line.
        Json = "json",
        /// One line of text.
        Text = "text",
    }
}

impl TelemetrySettings {
    /// The options of telemetry; `logs` is none for a process that has its own subscriber.
    pub(crate) fn options(&self, logs: Option<&LogSettings>) -> Result<Options, InvalidOption> {
        let mut options = Options::default();
        if let Some(endpoint) = &self.otlp_endpoint {
            options.otlp.get_or_insert_with(|| Otlp::new(endpoint)).endpoint.clone_from(endpoint);
        }
        options.sample_ratio = self.sample_ratio;
        options.shutdown_timeout = self.shutdown_timeout;
        options.logs = match logs {
            Some(logs) => {
                let mut options = LogOptions::default();
                options.filter.clone_from(&logs.level);
                options.format = logs.format.as_str().parse()?;
                Some(options)
            }
            None => None,
        };
        Ok(options)
    }
}
