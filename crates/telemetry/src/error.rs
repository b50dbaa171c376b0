//! Why telemetry cannot start.

use crate::InvalidOption;

/// Telemetry cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option is out of range.
    #[error("telemetry cannot start; correct the option")]
    Option(#[from] InvalidOption),
    /// The instruments could not be registered.
    #[error("metrics cannot be registered; this is a bug, please report it")]
    Metrics(#[source] opentelemetry_sdk::error::OTelSdkError),
    /// The exporter could not be built.
    #[error("exporter for the OTLP endpoint cannot be built; check the endpoint's URL")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// Exports need a runtime to run on.
    #[error(
        "no tokio runtime is running; call Telemetry::init inside one when an OTLP endpoint is set"
    )]
    NoRuntime,
}
