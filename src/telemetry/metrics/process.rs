//! What the kernel knows of this process. Knows no metric.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// When this was first asked for: at the start, since the metrics are made there.
static START_SECONDS: LazyLock<f64> = LazyLock::new(|| {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
});

/// One reading. What cannot be read is absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    /// Resident memory.
    pub resident_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// How many may be open.
    pub max_fds: Option<u64>,
    /// CPU time, user and system.
    pub cpu_seconds: f64,
    /// Start, in seconds since the epoch.
    pub start_seconds: f64,
}

/// Remembers the start.
pub(super) fn note_start() {
    LazyLock::force(&START_SECONDS);
}

/// The start, in seconds since the epoch.
pub(super) fn start_seconds() -> f64 {
    *START_SECONDS
}

impl Process {
    /// Reads `/proc/self`.
    pub(super) fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Self {
            resident_bytes: number(&status, "VmRSS:").map(|kib| kib << 10),
            threads: number(&status, "Threads:"),
            open_fds: open_fds(),
            max_fds: std::fs::read_to_string("/proc/self/limits")
                .ok()
                .and_then(|limits| number(&limits, "Max open files")),
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            start_seconds: start_seconds(),
        }
    }
}

/// Since Linux 6.2 the folder's size is the number of descriptors; before that it is 0 and they are counted.
fn open_fds() -> Option<u64> {
    let folder = "/proc/self/fd";
    match std::fs::metadata(folder).ok()?.len() {
        0 => Some(std::fs::read_dir(folder).ok()?.count() as u64),
        count => Some(count),
    }
}

/// The first number behind `label` at the start of a line.
fn number(text: &str, label: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(label))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20));
        assert!(process.open_fds.is_some_and(|fds| fds >= 3));
        assert!(process.max_fds >= process.open_fds);
        assert!(process.threads.is_some_and(|threads| threads >= 1));
        assert!(process.cpu_seconds > 0.0 && process.start_seconds > 1.7e9);
    }
}
