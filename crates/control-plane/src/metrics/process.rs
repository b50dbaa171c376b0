//! What this process takes, by Prometheus' own names.

use super::Text;

/// Adds the memory of the process; `etcdctl check datascale` reads it. Nothing where there is no
/// `/proc`.
pub(crate) fn process(text: &mut Text) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(bytes) = resident_bytes(&status) {
        let help = "Resident memory size in bytes.";
        text.gauge("process_resident_memory_bytes", help, bytes);
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status_of_a_process() {
        let status = "Name:\tregatta\nVmRSS:\t   10240 kB\nThreads:\t4\n";
        assert_eq!(resident_bytes(status), Some(10 << 20));
        assert_eq!(resident_bytes("VmRSS:\tmuch\n"), None);
        assert_eq!(resident_bytes(""), None);
    }
}
