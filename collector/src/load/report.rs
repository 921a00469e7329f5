//! What a run of the load found, and how the server did meanwhile.

use std::fmt;
use std::time::Duration;

/// Clock ticks a second in `/proc`, the same on every Linux of today (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a server process has used so far, from `/proc`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// User and system time.
    pub(super) cpu_seconds: f64,
    /// The most memory it held at once, in bytes.
    pub(super) rss_peak_bytes: u64,
}

impl Usage {
    /// Reads what a process has used.
    pub(super) fn of(pid: u32) -> std::io::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Self::parse(&stat, &status).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, "no CPU time in /proc")
        })
    }

    /// What was used since an earlier reading; the peak is the process's own.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            ..self
        }
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The command's name may hold blanks; it ends at the last parenthesis.
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        // Counted behind the name: utime is the 12th field, stime the 13th (proc_pid_stat(5)).
        let ticks: u32 =
            fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(Self {
            cpu_seconds: f64::from(ticks) / TICKS_PER_SECOND,
            rss_peak_bytes: kib << 10,
        })
    }
}

/// What a run found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(super) n_spans: u64,
    pub(super) n_requests: u64,
    pub(super) n_rejected: u64,
    /// Requests that were answered with an error or not at all.
    pub(super) n_failed: u64,
    /// The first of those errors.
    pub(super) first_error: Option<String>,
    pub(super) took: Duration,
    /// How long each acknowledged request took, in order.
    pub(super) latencies: Vec<Duration>,
    /// What the server used for it, until it had settled.
    pub(super) server: Option<Usage>,
}

impl Report {
    /// The latency that this share of requests stayed within.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index from a share of a length"
    )]
    fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get((last as f64 * share).round() as usize)
            .copied()
            .unwrap_or_default()
    }
}

impl fmt::Display for Report {
    #[expect(
        clippy::cast_precision_loss,
        reason = "rates are shown with three digits"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        writeln!(
            f,
            "spans acknowledged   {} in {} requests",
            self.n_spans, self.n_requests
        )?;
        writeln!(f, "spans refused        {}", self.n_rejected)?;
        writeln!(f, "requests failed      {}", self.n_failed)?;
        if let Some(error) = &self.first_error {
            writeln!(f, "first error          {error}")?;
        }
        writeln!(f, "took                 {:.2} s", self.took.as_secs_f64())?;
        writeln!(
            f,
            "spans/s              {:.0}",
            self.n_spans as f64 / self.took.as_secs_f64().max(1e-9)
        )?;
        writeln!(
            f,
            "export p50 / p99     {:.1} ms / {:.1} ms",
            millis(self.quantile(0.5)),
            millis(self.quantile(0.99))
        )?;
        if let Some(server) = self.server {
            let per_million = server.cpu_seconds * 1e6 / (self.n_spans.max(1) as f64);
            writeln!(
                f,
                "server CPU           {:.2} s, {per_million:.2} s per million spans",
                server.cpu_seconds
            )?;
            writeln!(
                f,
                "server RSS peak      {:.0} MB",
                server.rss_peak_bytes as f64 / 1e6
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_behind_a_name_with_blanks_and_parentheses() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 900 0 0 0 250 31 0 0 20 0 9 0 100 1 2";
        let status = "Name:\tx\nVmPeak:\t  9000 kB\nVmHWM:\t  2048 kB\n";
        assert_eq!(
            Usage::parse(stat, status),
            Some(Usage {
                cpu_seconds: 2.81,
                rss_peak_bytes: 2 << 20
            })
        );
        assert_eq!(Usage::parse("42 (x) S 1", status), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let usage = Usage::of(std::process::id()).expect("/proc is there");
        assert!(usage.rss_peak_bytes > 0);
    }

    #[test]
    fn a_report_reads_well() {
        let report = Report {
            n_spans: 1_000_000,
            n_requests: 2_146,
            n_rejected: 0,
            n_failed: 1,
            first_error: Some("UNAVAILABLE: the store is busy".to_owned()),
            took: Duration::from_millis(3_333),
            latencies: (1..=100).map(Duration::from_millis).collect(),
            server: Some(Usage {
                cpu_seconds: 3.1,
                rss_peak_bytes: 180_000_000,
            }),
        };
        insta::assert_snapshot!(report);
    }
}
