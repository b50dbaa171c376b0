//! The tasks that send spans, log records and metrics.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::KeyValue;
use opentelemetry::logs::LoggerProvider as _;
use opentelemetry::metrics::{Counter, Meter};
use opentelemetry_otlp::{
    Compression, LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    LogBatch, LogExporter as _, LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider,
};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter as _;
use opentelemetry_sdk::metrics::reader::MetricReader as _;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batch::{self, Queue};
use super::{SharedReader, TARGET, channel};
use crate::{Error, Options, Otlp};

/// The running exports.
#[derive(Debug)]
pub(crate) struct Exporter {
    spans: Option<Queue<SpanData>>,
    logs: Option<LogSink>,
    drain: CancellationToken,
    tasks: TaskTracker,
    shutdown_timeout: Duration,
    all_sent: Arc<AtomicBool>,
}

/// Where log records go to be exported.
#[derive(Clone, Debug)]
pub(crate) struct LogSink {
    pub(crate) logger: SdkLogger,
}

impl Exporter {
    /// Starts one task a signal on the current runtime.
    pub(crate) fn start(
        otlp: &Otlp,
        options: &Options,
        resource: Resource,
        reader: SharedReader,
        meter: &Meter,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let channel = channel::connect_lazily(otlp)?;
        let metadata = channel::metadata(otlp)?;
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        let all_sent = Arc::new(AtomicBool::new(true));
        macro_rules! build {
            ($exporter:ident) => {{
                let mut builder = $exporter::builder()
                    .with_tonic()
                    .with_channel(channel.clone())
                    .with_metadata(metadata.clone())
                    .with_timeout(otlp.timeout);
                if otlp.gzip {
                    builder = builder.with_compression(Compression::Gzip);
                }
                builder.build().map_err(Error::Exporter)?
            }};
        }
        let task = Task {
            batch: otlp.batch,
            interval: otlp.batch_interval,
            drain: drain.clone(),
            all_sent: Arc::clone(&all_sent),
        };

        let mut spans = None;
        if otlp.traces {
            let mut exporter = build!(SpanExporter);
            exporter.set_resource(&resource);
            let counters = Counters::new(meter, "span");
            let (queue, receiver) = Queue::new(otlp.queue, &counters.processed);
            tasks.spawn_on(task.clone().send_spans(receiver, exporter, counters), &runtime);
            spans = Some(queue);
        }
        let mut logs = None;
        if otlp.logs {
            let mut exporter = build!(LogExporter);
            exporter.set_resource(&resource);
            let counters = Counters::new(meter, "log");
            let (queue, receiver) = Queue::new(otlp.queue, &counters.processed);
            tasks.spawn_on(task.clone().send_logs(receiver, exporter, counters), &runtime);
            let provider = SdkLoggerProvider::builder().with_log_processor(ToQueue(queue)).build();
            logs = Some(LogSink { logger: provider.logger("regatta") });
        }
        if otlp.metrics {
            let exporter = build!(MetricExporter);
            tasks.spawn_on(task.send_metrics(reader, exporter, otlp.metric_interval), &runtime);
        }
        tasks.close();
        let shutdown_timeout = options.shutdown_timeout;
        Ok(Self { spans, logs, drain, tasks, shutdown_timeout, all_sent })
    }

    pub(crate) fn takes_spans(&self) -> bool {
        self.spans.is_some()
    }

    pub(crate) fn export_span(&self, span: SpanData) {
        if let Some(queue) = &self.spans {
            queue.push(span);
        }
    }

    pub(crate) fn log_sink(&self) -> Option<LogSink> {
        self.logs.clone()
    }

    /// Lets the queues run empty; false when time ran out or the last export failed.
    pub(crate) async fn shutdown(&self) -> bool {
        self.drain.cancel();
        let ended = tokio::time::timeout(self.shutdown_timeout, self.tasks.wait()).await;
        if ended.is_err() {
            tracing::warn!(
                target: TARGET,
                "telemetry was still waiting for the collector after {:?}; the rest is lost",
                self.shutdown_timeout,
            );
        }
        ended.is_ok() && self.all_sent.load(Ordering::Acquire)
    }
}

/// What the SDK's own processors would count about themselves, by the same names.
#[derive(Debug)]
struct Counters {
    processed: Counter<u64>,
    exported: Counter<u64>,
}

impl Counters {
    fn new(meter: &Meter, signal: &str) -> Self {
        let counter = |part: &str, description: &'static str| {
            meter
                .u64_counter(format!("otel.sdk.{part}"))
                .with_description(description)
                .with_unit(format!("{{{signal}}}"))
                .build()
        };
        Self {
            processed: counter(
                &format!("processor.{signal}.processed"),
                "Items that were handed on or, with error.type, dropped.",
            ),
            exported: counter(
                &format!("exporter.{signal}.exported"),
                "Items whose export ended, with error.type if it failed.",
            ),
        }
    }

    fn count(&self, items: usize, result: &OTelSdkResult) {
        let items = items as u64;
        self.processed.add(items, &[]);
        match result {
            Ok(()) => self.exported.add(items, &[]),
            Err(_) => self.exported.add(items, &[KeyValue::new("error.type", "export_failed")]),
        }
    }
}

/// What the tasks have in common.
#[derive(Clone, Debug)]
struct Task {
    batch: usize,
    interval: Duration,
    drain: CancellationToken,
    all_sent: Arc<AtomicBool>,
}

impl Task {
    async fn next<T>(&self, receiver: &mut mpsc::Receiver<T>) -> Option<Vec<T>> {
        batch::next(receiver, self.batch, self.interval, &self.drain).await
    }

    async fn send_spans(
        self,
        mut receiver: mpsc::Receiver<SpanData>,
        exporter: SpanExporter,
        counters: Counters,
    ) {
        let mut failing = Failing::new("spans");
        while let Some(batch) = self.next(&mut receiver).await {
            let items = batch.len();
            let result = exporter.export(batch).await;
            counters.count(items, &result);
            self.note(&mut failing, &result);
        }
    }

    async fn send_logs(
        self,
        mut receiver: mpsc::Receiver<Box<(SdkLogRecord, InstrumentationScope)>>,
        exporter: LogExporter,
        counters: Counters,
    ) {
        let mut failing = Failing::new("logs");
        while let Some(batch) = self.next(&mut receiver).await {
            let records: Vec<_> = batch.iter().map(|item| (&item.0, &item.1)).collect();
            let result = exporter.export(LogBatch::new(&records)).await;
            counters.count(records.len(), &result);
            self.note(&mut failing, &result);
        }
    }

    async fn send_metrics(
        self,
        reader: SharedReader,
        exporter: MetricExporter,
        interval: Duration,
    ) {
        let mut failing = Failing::new("metrics");
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut metrics = ResourceMetrics::default();
        loop {
            let is_last = tokio::select! {
                () = self.drain.cancelled() => true,
                _ = ticks.tick() => false,
            };
            let result = match reader.collect(&mut metrics) {
                Ok(()) => exporter.export(&metrics).await,
                Err(error) => Err(error),
            };
            self.note(&mut failing, &result);
            if is_last {
                break;
            }
        }
    }

    fn note(&self, failing: &mut Failing, result: &OTelSdkResult) {
        if result.is_err() && self.drain.is_cancelled() {
            self.all_sent.store(false, Ordering::Release);
        }
        failing.note(result);
    }
}

/// Says once that exports fail, and once that they work again.
#[derive(Debug)]
struct Failing {
    signal: &'static str,
    is_failing: bool,
}

impl Failing {
    fn new(signal: &'static str) -> Self {
        Self { signal, is_failing: false }
    }

    fn note(&mut self, result: &OTelSdkResult) {
        match result {
            Err(error) if !self.is_failing => tracing::warn!(
                target: TARGET,
                "{} cannot be exported and are dropped until the collector is back; check the \
                 OTLP endpoint: {error}",
                self.signal,
            ),
            Ok(()) if self.is_failing => {
                tracing::info!(target: TARGET, "{} are exported again", self.signal);
            }
            _ => (),
        }
        self.is_failing = result.is_err();
    }
}

/// Copies each record into the queue.
#[derive(Debug)]
struct ToQueue(Queue<Box<(SdkLogRecord, InstrumentationScope)>>);

impl LogProcessor for ToQueue {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.push(Box::new((record.clone(), scope.clone())));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}
