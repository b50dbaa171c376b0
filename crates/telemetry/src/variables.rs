//! OpenTelemetry's environment variables, as far as they apply here.

use std::time::Duration;

use regatta_core::Secret;

use crate::{Identity, InvalidOption, Options, Otlp};

impl Options {
    /// Applies OpenTelemetry's standard variables to these options and this identity.
    ///
    /// Pass the process's environment; other names are ignored, and so are empty values, as the
    /// specification says. What is set here already is overridden. Known: `OTEL_SDK_DISABLED`,
    /// `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_ENDPOINT`, `_HEADERS`,
    /// `_CERTIFICATE` (read at once), `_TIMEOUT`, `_COMPRESSION`, `_PROTOCOL`, `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`,
    /// `OTEL_LOGS_EXPORTER`, `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BSP_SCHEDULE_DELAY`,
    /// `OTEL_METRIC_EXPORT_INTERVAL`.
    ///
    /// # Errors
    ///
    /// [`InvalidOption::Variable`] names the first one whose value cannot be used.
    pub fn apply_variables<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        identity: &mut Identity,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<(), InvalidOption> {
        let mut found: Vec<(String, String)> = variables
            .into_iter()
            .map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().trim().to_owned()))
            .filter(|(name, value)| name.starts_with("OTEL_") && !value.is_empty())
            .collect();
        // The endpoint first, because the others say how to reach it; then by name, so that
        // `_SAMPLER_ARG` comes after `_SAMPLER` and the outcome does not depend on the order.
        found.sort_by_key(|(name, _)| (name != "OTEL_EXPORTER_OTLP_ENDPOINT", name.clone()));
        for (name, value) in &found {
            self.apply(identity, name, value).map_err(|remedy| InvalidOption::Variable {
                name: name.clone(),
                value: if name.ends_with("_HEADERS") { "***".into() } else { value.clone() },
                remedy,
            })?;
        }
        if found
            .iter()
            .any(|(name, value)| name == "OTEL_SDK_DISABLED" && value.eq_ignore_ascii_case("true"))
        {
            self.otlp = None;
        }
        Ok(())
    }

    fn apply(
        &mut self,
        identity: &mut Identity,
        name: &str,
        value: &str,
    ) -> Result<(), &'static str> {
        let Some(variable) = name.strip_prefix("OTEL_") else { return Ok(()) };
        match variable {
            "SERVICE_NAME" => value.clone_into(&mut identity.service),
            "RESOURCE_ATTRIBUTES" => self.resource.extend(pairs(value)?),
            "EXPORTER_OTLP_ENDPOINT" => match &mut self.otlp {
                Some(otlp) => value.clone_into(&mut otlp.endpoint),
                None => self.otlp = Some(Otlp::new(value)),
            },
            "TRACES_SAMPLER" => match value {
                "always_on" | "parentbased_always_on" => self.sample_ratio = 1.0,
                "always_off" | "parentbased_always_off" => self.sample_ratio = 0.0,
                "traceidratio" | "parentbased_traceidratio" => (),
                _ => {
                    return Err(
                        "use parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
                    );
                }
            },
            "TRACES_SAMPLER_ARG" => {
                let ratio = value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                self.sample_ratio = ratio.ok_or("use a share from 0 to 1")?;
            }
            _ => {
                if let Some(otlp) = &mut self.otlp {
                    otlp.apply(variable, value)?;
                }
            }
        }
        Ok(())
    }
}

impl Otlp {
    fn apply(&mut self, variable: &str, value: &str) -> Result<(), &'static str> {
        match variable {
            "EXPORTER_OTLP_HEADERS" => {
                let headers = pairs(value)?.into_iter();
                self.headers.extend(headers.map(|(name, value)| (name, Secret::new(value))));
            }
            "EXPORTER_OTLP_CERTIFICATE" => {
                let pem = std::fs::read_to_string(value);
                self.ca_certificate = Some(pem.map_err(|_| "use the path of a .pem file")?);
            }
            "EXPORTER_OTLP_TIMEOUT" => self.timeout = millis(value)?,
            "EXPORTER_OTLP_COMPRESSION" => {
                self.gzip = match value {
                    "gzip" => true,
                    "none" => false,
                    _ => return Err("use gzip or none"),
                }
            }
            "EXPORTER_OTLP_PROTOCOL" if value != "grpc" => {
                return Err("use grpc, and the collector's gRPC port, usually 4317");
            }
            "TRACES_EXPORTER" => self.traces = exporter(value)?,
            "METRICS_EXPORTER" => self.metrics = exporter(value)?,
            "LOGS_EXPORTER" => self.logs = exporter(value)?,
            "BSP_MAX_QUEUE_SIZE" => self.queue = count(value)?,
            "BSP_MAX_EXPORT_BATCH_SIZE" => self.batch = count(value)?,
            "BSP_SCHEDULE_DELAY" => self.batch_interval = millis(value)?,
            "METRIC_EXPORT_INTERVAL" => self.metric_interval = millis(value)?,
            // One that we do not know is no mistake: SDKs of other languages read more.
            _ => (),
        }
        Ok(())
    }
}

fn exporter(value: &str) -> Result<bool, &'static str> {
    match value {
        "otlp" => Ok(true),
        // Prometheus' text is always there to be scraped.
        "none" | "prometheus" => Ok(false),
        _ => Err("use otlp or none"),
    }
}

fn millis(value: &str) -> Result<Duration, &'static str> {
    let millis = value.parse().ok().filter(|millis| *millis > 0);
    millis.map(Duration::from_millis).ok_or("use whole milliseconds, 1 or more")
}

fn count(value: &str) -> Result<usize, &'static str> {
    value.parse().ok().filter(|count| *count > 0).ok_or("use a whole number, 1 or more")
}

/// Reads `key=value,key=value` with percent-encoded values (W3C Baggage, as OTLP uses it).
fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    const REMEDY: &str = "use key=value pairs separated by commas";
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').ok_or(REMEDY)?;
        let key = key.trim();
        if key.is_empty() {
            return Err(REMEDY);
        }
        Ok((key.to_owned(), decoded(value.trim()).ok_or(REMEDY)?))
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn applied(variables: &[(&str, &str)]) -> Result<(Options, Identity), InvalidOption> {
        let (mut options, mut identity) = (Options::default(), Identity::new("unnamed"));
        options.apply_variables(&mut identity, variables.iter().copied())?;
        Ok((options, identity))
    }

    #[test]
    fn nothing_set_changes_nothing() {
        let (options, identity) = applied(&[("PATH", "/bin"), ("OTEL_SERVICE_NAME", "")]).unwrap();
        assert!(options.otlp.is_none());
        assert_eq!(identity.service, "unnamed");
    }

    #[test]
    fn the_standard_names_are_honoured_in_any_order() {
        let (options, identity) = applied(&[
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%2Cb, tenant = t"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
            ("OTEL_SERVICE_NAME", "orders"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,team=a%20b"),
        ])
        .unwrap();
        let otlp = options.otlp.unwrap();
        assert_eq!(identity.service, "orders");
        assert_eq!(options.sample_ratio, 0.25);
        assert_eq!(otlp.endpoint, "http://collector:4317");
        assert_eq!(otlp.timeout, Duration::from_millis(2500));
        assert_eq!((otlp.gzip, otlp.traces, otlp.metrics, otlp.queue), (true, true, false, 10));
        let headers = [("api-key".into(), Secret::new("a,b")), ("tenant".into(), Secret::new("t"))];
        assert_eq!(otlp.headers, headers);
        assert_eq!(options.resource[1], ("team".into(), "a b".into()));
    }

    #[test]
    fn disabled_sends_nothing() {
        let variables =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_SDK_DISABLED", "true")];
        assert!(applied(&variables).unwrap().0.otlp.is_none());
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_its_remedy_and_no_secret() {
        const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
        for (name, value, remedy) in [
            ("OTEL_TRACES_SAMPLER_ARG", "2", "0 to 1"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote", "parentbased"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem", "path of a .pem"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "key=value"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "1 or more"),
        ] {
            let error = applied(&[ENDPOINT, (name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(remedy), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_read_without_a_panic(value: String) {
            let _ = pairs(&value);
        }
    }
}
