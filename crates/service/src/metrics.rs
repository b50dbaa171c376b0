//! What every process measures about itself.

use regatta_telemetry::Telemetry;
use tokio::runtime;

use crate::center::Feed;
use crate::reload::Handle;

/// Adds the process's start, its memory and its runtime's tasks to the metrics.
pub(crate) fn observe_process(telemetry: &Telemetry) {
    let meter = telemetry.meter();
    let started = time::OffsetDateTime::now_utc().unix_timestamp();
    meter
        .i64_observable_gauge("process.start_time")
        .with_description("When the process started, in seconds since 1970")
        .with_unit("s")
        .with_callback(move |gauge| gauge.observe(started, &[]))
        .build();
    meter
        .u64_observable_gauge("process.memory.usage")
        .with_description("Physical memory in use")
        .with_unit("By")
        .with_callback(|gauge| {
            if let Some(bytes) = resident_bytes() {
                gauge.observe(bytes, &[]);
            }
        })
        .build();
    let Ok(runtime) = runtime::Handle::try_current() else { return };
    meter
        .u64_observable_gauge("tokio.alive_tasks")
        .with_description("Tasks of the runtime that have not ended")
        .with_callback(move |gauge| {
            gauge.observe(runtime.metrics().num_alive_tasks() as u64, &[]);
        })
        .build();
}

/// Adds which revision of the config center runs, whether one is refused, and whether the center is
/// heard.
pub(crate) fn observe_center(telemetry: &Telemetry, handle: Handle, feed: Feed) {
    let meter = telemetry.meter();
    let standing = handle.clone();
    meter
        .u64_observable_gauge("regatta.config.revision")
        .with_description("The revision of the config center that runs")
        .with_callback(move |gauge| gauge.observe(standing.standing().revision, &[]))
        .build();
    meter
        .u64_observable_gauge("regatta.config.refused")
        .with_description("1 while settings are refused that the file or the config center has")
        .with_callback(move |gauge| gauge.observe(u64::from(handle.refused().is_some()), &[]))
        .build();
    meter
        .u64_observable_gauge("regatta.config_center.connected")
        .with_description("1 while changes of the config center are heard")
        .with_callback(move |gauge| gauge.observe(u64::from(feed.away().is_none()), &[]))
        .build();
}

/// The resident set of this process; none where there is no `/proc`.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn this_process_uses_memory() {
        assert!(super::resident_bytes().is_some_and(|bytes| bytes > 100_000));
    }
}
