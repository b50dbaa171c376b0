//! The handle to a process's telemetry.

use std::fmt;
use std::sync::{Arc, OnceLock};

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SpanData;
use prometheus::TextEncoder;

use crate::export::{Exporter, SharedReader};
use crate::metrics::Instruments;
use crate::span::scope;
use crate::{Error, Identity, Options, ServerLayer, logs};

static GLOBAL: OnceLock<Telemetry> = OnceLock::new();

/// A process's telemetry; a cheap handle.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    identity: Identity,
    sample_ratio: f64,
    // The registry reads from the provider through a weak reference: it lives as long as this.
    provider: SdkMeterProvider,
    registry: prometheus::Registry,
    meter: Meter,
    instruments: Instruments,
    exporter: Option<Exporter>,
}

impl Telemetry {
    /// Starts telemetry, and makes it the process's own if it is the first.
    ///
    /// The log is installed unless [`Options::logs`] is none or a global subscriber is there
    /// already. With an OTLP endpoint, call it inside a tokio runtime; the collector need not be
    /// there.
    ///
    /// # Errors
    ///
    /// [`Error`] when an option is out of range or there is no runtime to export on.
    pub fn init(identity: Identity, options: Options) -> Result<Self, Error> {
        options.validate()?;
        let registry = prometheus::Registry::new();
        let resource = resource(&identity, &options);
        let scraped = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(Error::Metrics)?;
        let pushed = SharedReader::default();
        let mut provider =
            SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(scraped);
        if options.otlp.as_ref().is_some_and(|otlp| otlp.metrics) {
            provider = provider.with_reader(pushed.clone());
        }
        let provider = provider.build();
        let meter = provider.meter_with_scope(scope());
        let exporter = match &options.otlp {
            Some(otlp) => Some(Exporter::start(otlp, &options, resource, pushed, &meter)?),
            None => None,
        };
        if let Some(log) = &options.logs {
            let sink = exporter.as_ref().and_then(Exporter::log_sink);
            logs::install(log, &identity, sink).map_err(Error::Option)?;
        }
        let telemetry = Self(Arc::new(Inner {
            identity,
            sample_ratio: options.sample_ratio,
            registry,
            instruments: Instruments::new(&meter),
            meter,
            provider,
            exporter,
        }));
        // A later one in the same process, as in tests, is used through its handle.
        let _ = GLOBAL.set(telemetry.clone());
        Ok(telemetry)
    }

    /// The process's telemetry: the first that was started; before that, one that goes nowhere.
    pub fn global() -> Self {
        static NOWHERE: OnceLock<Telemetry> = OnceLock::new();
        GLOBAL.get().unwrap_or_else(|| NOWHERE.get_or_init(Self::nowhere)).clone()
    }

    /// Who emits.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Makes instruments of one's own; they appear in both outputs.
    pub fn meter(&self) -> &Meter {
        &self.0.meter
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    pub fn metrics_text(&self) -> String {
        // Encoding fails only for a family without a name or samples, which the exporter never
        // makes; what was encoded until then is the best answer.
        let mut text = String::new();
        let _ = TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut text);
        text
    }

    /// The media type of [`Telemetry::metrics_text`].
    pub const METRICS_MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// The layer for what serves HTTP and gRPC.
    pub fn server_layer(&self) -> ServerLayer {
        ServerLayer::new(self.clone())
    }

    /// Sends what is waiting, at most for [`Options::shutdown_timeout`]; answers whether all of it
    /// went out. Later spans and log records are dropped; metrics can still be scraped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the export goes on in the background as long as the runtime does.
    pub async fn shutdown(&self) -> bool {
        match &self.0.exporter {
            Some(exporter) => exporter.shutdown().await,
            None => true,
        }
    }

    pub(crate) fn instruments(&self) -> &Instruments {
        &self.0.instruments
    }

    pub(crate) fn sample_ratio(&self) -> f64 {
        self.0.sample_ratio
    }

    /// Whether spans go anywhere: an OTLP endpoint is set and takes them.
    pub fn exports_spans(&self) -> bool {
        self.0.exporter.as_ref().is_some_and(Exporter::takes_spans)
    }

    pub(crate) fn export_span(&self, span: SpanData) {
        if let Some(exporter) = &self.0.exporter {
            exporter.export_span(span);
        }
    }

    fn nowhere() -> Self {
        let provider = SdkMeterProvider::builder().build();
        let meter = provider.meter_with_scope(scope());
        Self(Arc::new(Inner {
            identity: Identity::new("unknown_service"),
            sample_ratio: 1.0,
            registry: prometheus::Registry::new(),
            instruments: Instruments::new(&meter),
            meter,
            provider,
            exporter: None,
        }))
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("identity", &self.0.identity)
            .field("sample_ratio", &self.0.sample_ratio)
            .field("exports", &self.0.exporter.is_some())
            .field("provider", &self.0.provider)
            .finish_non_exhaustive()
    }
}

fn resource(identity: &Identity, options: &Options) -> Resource {
    let present = |name: &'static str, value: &str| {
        (!value.is_empty()).then(|| opentelemetry::KeyValue::new(name, value.to_owned()))
    };
    Resource::builder_empty()
        .with_attributes(
            options
                .resource
                .iter()
                .map(|(name, value)| opentelemetry::KeyValue::new(name.clone(), value.clone())),
        )
        .with_attributes(
            [
                present("service.name", &identity.service),
                present("service.version", &identity.version),
                present("service.instance.id", &identity.instance),
                present("telemetry.sdk.name", "opentelemetry"),
                present("telemetry.sdk.language", "rust"),
                present("telemetry.sdk.version", SDK_VERSION),
                present("telemetry.distro.name", "regatta"),
                present("telemetry.distro.version", env!("CARGO_PKG_VERSION")),
            ]
            .into_iter()
            .flatten(),
        )
        .build()
}

/// The version of the SDK that the workspace builds with.
const SDK_VERSION: &str = "0.33.1";
