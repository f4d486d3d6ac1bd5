//! The kernel's data about this process. Knows no metric.

use std::path::Path;
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
    /// How much memory it may use.
    pub memory_limit_bytes: Option<u64>,
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
            memory_limit_bytes: memory_limit(
                &std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
                Path::new("/sys/fs/cgroup"),
            ),
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

/// The lowest limit on memory among the control groups that this process is in, by the text of `/proc/self/cgroup`.
///
/// A group's limit holds for all groups below it. In a container the path may be the host's: then only the root is there,
/// and it has the container's limit.
fn memory_limit(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let groups = Path::new(path.trim_start_matches('/')).ancestors();
        let limits = groups.filter_map(|group| {
            let text = std::fs::read_to_string(root.join(group).join(file)).ok()?;
            text.trim().parse::<u64>().ok() // `max`: none
        });
        limits.min()
    });
    // Without a limit the first version of control groups says nearly 2^63.
    limits.min().filter(|limit| *limit < 1 << 60)
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

    #[test]
    fn the_lowest_limit_of_the_control_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let limit = |groups: &str| memory_limit(groups, root.path());
        assert_eq!(limit("0::/system.slice/herald.service\n"), None);
        write("system.slice/herald.service/memory.max", "max\n");
        assert_eq!(limit("0::/system.slice/herald.service\n"), None);
        write("system.slice/memory.max", "4096\n");
        assert_eq!(limit("0::/system.slice/herald.service\n"), Some(4096));
        write("system.slice/herald.service/memory.max", "1024\n");
        assert_eq!(limit("0::/system.slice/herald.service\n"), Some(1024));
        // The first version; the host's path in a container.
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit("9:pids:/a\n4:cpu,memory:/docker/1\n0::/\n"), None);
        write("memory/memory.limit_in_bytes", "2048\n");
        assert_eq!(limit("9:pids:/a\n4:cpu,memory:/docker/1\n0::/\n"), Some(2048));
        assert_eq!(limit(""), None);
        assert_eq!(limit("nonsense"), None);
    }
}
