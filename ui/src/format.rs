//! How numbers and times read on pages. Rounding happens here and in
//! [`longpole_analysis::format`], nowhere else.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use longpole_analysis::format::count;
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

fn strftime(time: UnixNanos, format: &str) -> String {
    let timestamp =
        Timestamp::from_nanosecond(i128::from(time.0)).expect("2554 is before the year 9999");
    timestamp
        .to_zoned(TimeZone::UTC)
        .strftime(format)
        .to_string()
}

/// A number with its thousands apart, and its noun's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
