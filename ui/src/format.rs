//! How numbers and times read on pages. Rounding happens here and in
//! [`longpole_analysis::format`], nowhere else.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use longpole_analysis::format::{count, duration};
use longpole_proto::UnixNanos;

/// A point in time with milliseconds: `22 Nov 2026 01:47:54.755`.
pub(crate) fn utc(time: UnixNanos) -> String {
    strftime(time, "%-d %b %Y %H:%M:%S%.3f")
}

/// A point in time with milliseconds, without its day when that is `now`'s.
pub(crate) fn utc_short(time: UnixNanos, now: UnixNanos) -> String {
    const DAY_NANOS: u64 = 86_400_000_000_000;
    if time.0 / DAY_NANOS == now.0 / DAY_NANOS {
        strftime(time, "%H:%M:%S%.3f")
    } else {
        utc(time)
    }
}

/// A point in time for machines: `2026-11-22T01:47:54.755Z`.
pub(crate) fn iso(time: UnixNanos) -> String {
    strftime(time, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

/// A point in time as `format` says, in UTC.
pub(crate) fn strftime(time: UnixNanos, format: &str) -> String {
    let timestamp =
        Timestamp::from_nanosecond(i128::from(time.0)).expect("2554 is before the year 9999");
    timestamp
        .to_zoned(TimeZone::UTC)
        .strftime(format)
        .to_string()
}

/// A duration for people that is not less than this one.
pub(crate) fn duration_up(nanos: u64) -> String {
    // As exact as people get it.
    let unit = match nanos {
        0..1_000 => 1,
        1_000..10_000 => 100,
        10_000..1_000_000 => 1_000,
        1_000_000..10_000_000 => 100_000,
        10_000_000..1_000_000_000 => 1_000_000,
        1_000_000_000..60_000_000_000 => 10_000_000,
        60_000_000_000..3_600_000_000_000 => 1_000_000_000,
        _ => 60_000_000_000,
    };
    duration(nanos.div_ceil(unit).saturating_mul(unit))
}

/// A number of bytes: `512 B`, `1.4 GiB`.
pub(crate) fn bytes(number: u64) -> String {
    ByteSize::b(number).display().iec().to_string()
}

/// A long time in at most two units: `7 days`, `1 day 3 h`, `3 h 4 min`, `12 s`.
pub(crate) fn period(time: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut seconds = time.as_secs();
    let mut parts = UNITS.map(|(unit, name)| {
        let number = seconds / unit;
        seconds %= unit;
        let s = if name == "day" { Count(number).s() } else { "" };
        (number, format!("{} {name}{s}", Count(number)))
    });
    let first = parts.iter().position(|(number, _)| *number > 0);
    let first = first.unwrap_or(UNITS.len() - 1);
    let shown = parts[first..].iter_mut().take(2).enumerate();
    let shown = shown.filter(|(idx, (number, _))| *idx == 0 || *number > 0);
    let shown: Vec<String> = shown.map(|(_, (_, text))| std::mem::take(text)).collect();
    shown.join(" ")
}

/// A number with its thousands apart, and its noun's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Count(pub(crate) u64);

impl Count {
    /// Whether there is none.
    pub(crate) fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The ending of the noun behind it.
    pub(crate) fn s(self) -> &'static str {
        if self.0 == 1 { "" } else { "s" }
    }
}

impl From<usize> for Count {
    fn from(number: usize) -> Self {
        Self(number as u64)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&count(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_have_at_most_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_600, "1 h"),
            (3_659, "1 h"),
            (86_400, "1 day"),
            (97_200, "1 day 3 h"),
            (7 * 86_400, "7 days"),
            (86_400 * 1_000 + 59, "1,000 days"),
        ] {
            assert_eq!(period(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn durations_are_rounded_up_where_less_would_be_false() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_001, "1.1 µs"),
            (9_951, "10 µs"),
            (10_001, "11 µs"),
            (999_600, "1.0 ms"),
            (9_900_001, "10 ms"),
            (200_000_000, "200 ms"),
            (999_000_001, "1.00 s"),
            (1_230_000_001, "1.24 s"),
            (59_990_000_001, "1 min 0 s"),
            (3_599_000_000_001, "1 h 0 min"),
            (3_600_000_000_001, "1 h 1 min"),
        ] {
            assert_eq!(duration_up(nanos), text, "{nanos}");
        }
    }

    #[test]
    fn bytes_are_binary() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(10 << 30), "10.0 GiB");
        assert_eq!(bytes(3 << 19), "1.5 MiB");
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        let time = UnixNanos(1_795_312_074_755_900_000);
        assert_eq!(utc(time), "22 Nov 2026 01:47:54.755");
        assert_eq!(iso(time), "2026-11-22T01:47:54.755Z");
        assert_eq!(
            utc_short(time, time.plus_nanos(60_000_000_000)),
            "01:47:54.755"
        );
        assert_eq!(utc_short(time, UnixNanos(0)), "22 Nov 2026 01:47:54.755");
        assert_eq!(utc(UnixNanos(u64::MAX)), "21 Jul 2554 23:34:33.709");
    }
}
