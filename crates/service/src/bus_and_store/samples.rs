//! Figures that have to be asked for: lag, backlog, dead letters.

use std::time::Duration;

use regatta_core::Chain;
use regatta_telemetry::Telemetry;
use regatta_telemetry::opentelemetry::KeyValue;
use regatta_telemetry::opentelemetry::metrics::Gauge;
use tokio_util::sync::CancellationToken;

/// How often they are asked for: as often as metrics are read, about.
const EVERY: Duration = Duration::from_secs(10);

/// A gauge of this name.
pub(super) fn gauge(
    telemetry: &Telemetry,
    name: &'static str,
    description: &'static str,
) -> Gauge<u64> {
    telemetry.meter().u64_gauge(name).with_description(description).build()
}

/// Asks for figures, one for each gauge, now and then, until drain. Those that cannot be had are left
/// as they were.
///
/// # Cancel safety
///
/// Cancel safe: it only reads.
pub(super) async fn run<const COUNT: usize, E: std::error::Error + 'static, R>(
    gauges: [Gauge<u64>; COUNT],
    attributes: Vec<KeyValue>,
    drain: CancellationToken,
    ask: impl Fn() -> R,
) where
    R: Future<Output = Result<[u64; COUNT], E>>,
{
    let work = async {
        loop {
            match ask().await {
                Ok(figures) => gauges
                    .iter()
                    .zip(figures)
                    .for_each(|(gauge, figure)| gauge.record(figure, &attributes)),
                Err(error) => tracing::debug!(error = %Chain(&error), "a figure cannot be had"),
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    drain.run_until_cancelled(work).await;
}
