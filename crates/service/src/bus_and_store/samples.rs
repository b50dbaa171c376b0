//! Figures that have to be asked for: lag, backlog, dead letters.

use std::time::Duration;

use regatta_core::Chain;
use regatta_telemetry::opentelemetry::KeyValue;
use regatta_telemetry::opentelemetry::metrics::Gauge;
use tokio_util::sync::CancellationToken;

/// How often they are asked for: as often as metrics are read, about.
const EVERY: Duration = Duration::from_secs(10);

/// Asks for a figure now and then, until drain. One that cannot be had is left as it was.
///
/// # Cancel safety
///
/// Cancel safe: it only reads.
pub(super) async fn run<E: std::error::Error + 'static, R>(
    gauge: Gauge<u64>,
    attributes: Vec<KeyValue>,
    drain: CancellationToken,
    ask: impl Fn() -> R,
) where
    R: Future<Output = Result<u64, E>>,
{
    let work = async {
        loop {
            match ask().await {
                Ok(figure) => gauge.record(figure, &attributes),
                Err(error) => tracing::debug!(error = %Chain(&error), "a figure cannot be had"),
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    drain.run_until_cancelled(work).await;
}
