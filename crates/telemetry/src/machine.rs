//! The load of this machine, and its time, as health answers have them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest time to read the load; a network disk that is away must not hold up the answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The load of this machine, in percent to one decimal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Of all processors together, since the latest reading; 0 on the first.
    pub cpu: f64,
    /// Of the memory, what is in use.
    pub memory: f64,
    /// Of the disk that holds the working directory, what is in use.
    pub disk: f64,
}

/// Reads the load. The one place that knows `sysinfo`, whose interface changes often.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    sampler: Arc<Mutex<Option<sysinfo::System>>>,
}

impl Machine {
    /// The load now; all zero when it cannot be read within 1 s.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the reading ends by itself.
    pub async fn load(&self) -> Load {
        let sampler = self.sampler.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut sampler = sampler.lock().unwrap_or_else(PoisonError::into_inner);
            if sampler.is_none() {
                *sampler = sysinfo::System::new().ok();
            }
            sampler.as_mut().map(read).unwrap_or_default()
        });
        match tokio::time::timeout(TIMEOUT, read).await {
            Ok(Ok(load)) => load,
            _ => Load::default(),
        }
    }
}

fn read(system: &mut sysinfo::System) -> Load {
    system.refresh_cpu_usage();
    system.refresh_memory();
    Load {
        cpu: round(f64::from(system.global_cpu_usage())),
        memory: percent(system.used_memory(), system.total_memory()),
        disk: disk_of_this_process().unwrap_or_default(),
    }
}

/// The disk that holds the working directory: it has the deepest mount point above it.
fn disk_of_this_process() -> Option<f64> {
    let here = std::env::current_dir().ok()?;
    let kind = sysinfo::DiskRefreshKind::nothing().with_storage();
    let disks = sysinfo::Disks::new_with_refreshed_list_specifics(kind).ok()?;
    let above = disks.iter().filter(|disk| here.starts_with(disk.mount_point()));
    let disk = above.max_by_key(|disk| disk.mount_point().components().count())?;
    let total = disk.total_space();
    Some(percent(total.saturating_sub(disk.available_space()), total))
}

#[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { round(part as f64 * 100.0 / whole as f64) }
}

/// To one decimal.
fn round(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

/// The wall clock's time in RFC 3339, UTC, to the millisecond.
pub fn timestamp() -> String {
    let now = time::OffsetDateTime::from(crate::clock::wall());
    let now = now.replace_nanosecond(now.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(now);
    now.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_one_decimal_and_nothing_is_no_percent() {
        assert_eq!(percent(1, 3), 33.3);
        assert_eq!(percent(5, 0), 0.0);
    }

    #[tokio::test]
    async fn the_load_of_this_machine_is_a_share_of_it() {
        let load = Machine::default().load().await;
        for percent in [load.cpu, load.memory, load.disk] {
            assert!((0.0..=100.0).contains(&percent), "{load:?}");
        }
        assert!(load.memory > 0.0, "{load:?}");
    }

    #[test]
    fn the_timestamp_is_rfc_3339() {
        let now = timestamp();
        assert!(now.ends_with('Z') && now.contains('T'), "{now}");
    }
}
