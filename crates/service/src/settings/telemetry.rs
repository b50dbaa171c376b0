//! Groups `telemetry` and `log`: what the service tells about itself.

use std::time::Duration;

use regatta_config::{Config, Origin, choices, settings};
use regatta_telemetry::{Identity, InvalidOption, LogOptions, Options, Otlp};

settings! {
    /// Traces and metrics that are sent to a collector. Metrics are at /metrics in any case.
    pub struct TelemetrySettings in "telemetry" {
        /// URL of an OpenTelemetry collector that takes OTLP over gRPC, such as
        /// http://127.0.0.1:4317; nothing is sent when it is not set. OpenTelemetry's other
        /// variables (OTEL_*) are read too.
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
    ///
    /// OpenTelemetry's own variables (`OTEL_*`) lie above the file and under `TELEMETRY__*`.
    pub(crate) fn options(
        &self,
        logs: Option<&LogSettings>,
        config: &Config,
        identity: &mut Identity,
    ) -> Result<Options, InvalidOption> {
        let mut options = Options::default();
        self.apply(&mut options, |_| true);
        options.apply_variables(identity, config.variables())?;
        self.apply(&mut options, |key| {
            let own = format!("TELEMETRY__{}", key.to_uppercase());
            matches!(
                config.origin(&format!("telemetry.{key}")),
                Some(Origin::Environment { variable }) if *variable == *own
            )
        });
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

    /// Takes over those settings that `OTEL_*` variables name too, as far as `wanted` says so.
    fn apply(&self, options: &mut Options, wanted: impl Fn(&str) -> bool) {
        if let Some(endpoint) = self.otlp_endpoint.as_ref().filter(|_| wanted("otlp_endpoint")) {
            options.otlp.get_or_insert_with(|| Otlp::new(endpoint)).endpoint.clone_from(endpoint);
        }
        if wanted("sample_ratio") {
            options.sample_ratio = self.sample_ratio;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(yaml: &str, variables: &[(&str, &str)]) -> Result<(Options, Identity), String> {
        let variables = variables.iter().map(|(name, text)| ((*name).into(), (*text).into()));
        let config =
            Config::builder().yaml("config.yaml", yaml).environment(variables).build().unwrap();
        let settings: TelemetrySettings = config.load().map_err(|error| error.to_string())?;
        let mut identity = Identity::new("orders");
        let options = settings.options(None, &config, &mut identity);
        options.map(|options| (options, identity)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_standard_variables_are_read() {
        let (options, identity) = options(
            "",
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret"),
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
                ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
                ("OTEL_SERVICE_NAME", "orders-of-europe"),
                ("OTEL_METRICS_EXPORTER", "none"),
            ],
        )
        .unwrap();
        let otlp = options.otlp.unwrap();
        assert_eq!(otlp.endpoint, "http://collector:4317");
        assert_eq!((otlp.headers.len(), otlp.metrics), (1, false));
        assert_eq!(options.sample_ratio, 0.25);
        assert_eq!(options.resource.len(), 1);
        assert_eq!(identity.service, "orders-of-europe");
    }

    #[test]
    fn they_lie_above_the_file_and_under_the_settings_own_variables() {
        let yaml = "telemetry: {sample_ratio: 0.5, otlp_endpoint: \"http://file:4317\"}";
        let sampler =
            [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")];
        assert_eq!(options(yaml, &[]).unwrap().0.sample_ratio, 0.5);
        assert_eq!(options(yaml, &sampler).unwrap().0.sample_ratio, 0.25);
        let own = [sampler[0], sampler[1], ("TELEMETRY__SAMPLE_RATIO", "0.75")];
        assert_eq!(options(yaml, &own).unwrap().0.sample_ratio, 0.75);
        let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4317")];
        assert_eq!(options(yaml, &endpoint).unwrap().0.otlp.unwrap().endpoint, "http://otel:4317");
    }

    #[test]
    fn one_that_cannot_be_used_is_named() {
        let error = options("", &[("OTEL_TRACES_SAMPLER", "jaeger_remote")]).unwrap_err();
        assert!(error.contains("OTEL_TRACES_SAMPLER"), "{error}");
    }

    #[test]
    fn disabled_sends_nothing_whatever_else_is_set() {
        let variables =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_SDK_DISABLED", "true")];
        assert!(options("", &variables).unwrap().0.otlp.is_none());
    }
}
