//! How long something took, in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::text::Text;

/// The upper bounds, in microseconds: from a fast disk's sync to one that is in trouble.
const BOUNDS: [u64; 12] =
    [100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000];

/// How long something took. Relaxed ordering: figures are shown, nothing is read by them.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(at) = BOUNDS.iter().position(|bound| micros <= *bound) {
            self.buckets[at].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Adds it in seconds, as Prometheus wants it.
    pub(crate) fn write(&self, text: &mut Text, name: &str, help: &str) {
        text.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(&self.buckets) {
            below += count.load(Ordering::Relaxed);
            text.sample(&bucket, &format!("le=\"{}\"", seconds(*bound)), below);
        }
        // Observed while this reads, one may be counted in the whole only.
        let count = self.count.load(Ordering::Relaxed).max(below);
        text.sample(&bucket, "le=\"+Inf\"", count);
        text.sample(&format!("{name}_sum"), "", seconds(self.micros.load(Ordering::Relaxed)));
        text.sample(&format!("{name}_count"), "", count);
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_counts_what_was_not_longer() {
        let histogram = Histogram::default();
        for micros in [100, 101, 3_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut text = Text::default();
        histogram.write(&mut text, "sync_seconds", "Syncs.");
        let text = text.finish();
        for line in [
            "sync_seconds_bucket{le=\"0.0001\"} 1\n",
            "sync_seconds_bucket{le=\"0.00025\"} 2\n",
            "sync_seconds_bucket{le=\"2\"} 2\n",
            "sync_seconds_bucket{le=\"+Inf\"} 3\n",
            "sync_seconds_sum 3.000201\n",
            "sync_seconds_count 3\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
