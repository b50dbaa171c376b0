//! OTLP over gRPC: bounded queues in, batches out, one task a signal.

mod batch;
mod channel;
mod exporter;
mod reader;

pub(crate) use exporter::{Exporter, LogSink};
pub(crate) use reader::SharedReader;

/// The target of this crate's own warnings; never exported, so that a failing export does not
/// make records to export.
pub(crate) const TARGET: &str = "regatta_telemetry::export";
