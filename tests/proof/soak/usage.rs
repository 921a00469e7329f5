//! What a process and a directory take.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;

/// Clock ticks a second in `/proc`, the same on every Linux of today (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// User and system time so far.
    pub(super) cpu_seconds: f64,
    pub(super) rss_bytes: u64,
    pub(super) rss_peak_bytes: u64,
}

impl Usage {
    /// Reads it.
    ///
    /// # Errors
    /// When there is no such process.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Self::parse(&stat, &status).with_context(|| format!("/proc/{pid} says {stat:?}"))
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The command's name may hold blanks; it ends at the last parenthesis.
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        // Counted behind the name: utime is the 12th field, stime the 13th (proc_pid_stat(5)).
        let ticks: u32 =
            fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib << 10)
        };
        Some(Self {
            cpu_seconds: f64::from(ticks) / TICKS_PER_SECOND,
            rss_bytes: bytes("VmRSS:")?,
            rss_peak_bytes: bytes("VmHWM:")?,
        })
    }
}

/// How many bytes the files below a directory have, some of which may be removed meanwhile.
///
/// # Errors
/// When a directory cannot be read.
pub(super) fn bytes_below(dir: &Path) -> anyhow::Result<u64> {
    let mut n_bytes = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let Ok(entry) = entry else { continue };
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => dirs.push(entry.path()),
                Ok(metadata) => n_bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    Ok(n_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_behind_a_name_with_blanks_and_parentheses() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 900 0 0 0 250 31 0 0 20 0 9 0 100 1 2";
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        let usage = Usage {
            cpu_seconds: 2.81,
            rss_bytes: 1 << 20,
            rss_peak_bytes: 2 << 20,
        };
        assert_eq!(Usage::parse(stat, status), Some(usage));
        assert_eq!(Usage::parse("42 (x) S 1", status), None);
    }

    #[test]
    fn all_files_of_a_directory_count() {
        let dir = tempfile::TempDir::new().expect("a directory");
        fs::create_dir(dir.path().join("below")).expect("a directory");
        for name in ["one", "below/two"] {
            fs::write(dir.path().join(name), "12345").expect("a file");
        }
        assert_eq!(bytes_below(dir.path()).expect("readable"), 10);
    }
}
