//! Points in time as people and programs type them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use longpole_proto::UnixNanos;

use crate::format::strftime;

/// What the text should be.
pub(super) const EXPECTED: &str = "a time such as 2026-11-22T01:47:54Z (UTC when it names no zone), or Unix time in s, ms, µs or ns";

/// Reads a point in time; `None` when the text is none.
pub(super) fn parse(text: &str) -> Option<UnixNanos> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: u64 = text.parse().ok()?;
        // Times of this century have 10 digits in seconds and three more with each finer unit.
        let unit_nanos = match text.len() {
            10 => 1_000_000_000,
            13 => 1_000_000,
            16 => 1_000,
            19 => 1,
            _ => return None,
        };
        return number.checked_mul(unit_nanos).map(UnixNanos);
    }
    let timestamp = match text.parse::<Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => text
            .parse::<DateTime>()
            .ok()?
            .to_zoned(TimeZone::UTC)
            .ok()?
            .timestamp(),
    };
    u64::try_from(timestamp.as_nanosecond()).ok().map(UnixNanos)
}

/// A point in time as text that is read as exactly this: `2026-11-22T01:37`, `2026-11-22T01:37:05.25`.
pub(super) fn write(time: UnixNanos) -> String {
    const MINUTE: u64 = 60_000_000_000;
    let format = if time.0.is_multiple_of(MINUTE) {
        "%Y-%m-%dT%H:%M"
    } else {
        "%Y-%m-%dT%H:%M:%S%.f"
    };
    strftime(time, format)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_exactly(nanos in any::<u64>()) {
            let minute = nanos - nanos % 60_000_000_000;
            for time in [nanos, minute].map(UnixNanos) {
                prop_assert_eq!(parse(&write(time)), Some(time));
            }
        }
    }

    #[test]
    fn written_times_are_short() {
        let cases = [
            (1_795_311_420_000_000_000, "2026-11-22T01:37"),
            (1_795_311_425_000_000_000, "2026-11-22T01:37:05"),
            (1_795_311_425_250_000_000, "2026-11-22T01:37:05.25"),
            (0, "1970-01-01T00:00"),
        ];
        for (nanos, text) in cases {
            assert_eq!(write(UnixNanos(nanos)), text);
        }
    }

    #[test]
    fn times_are_read_in_the_zone_they_name_else_utc() {
        let expected = Some(UnixNanos(1_795_312_074_000_000_000));
        let texts = [
            "2026-11-22T01:47:54Z",
            "2026-11-22T02:47:54+01:00",
            "2026-11-22T01:47:54",
            "2026-11-22 01:47:54",
            "1795312074",
            "1795312074000",
            "1795312074000000",
            "1795312074000000000",
        ];
        for text in texts {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(
            parse("2026-11-22T01:47:54.755Z"),
            Some(UnixNanos(1_795_312_074_755_000_000))
        );
        assert_eq!(
            parse("2026-11-22"),
            Some(UnixNanos(1_795_305_600_000_000_000))
        );
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "now",
            "17",
            "1969-12-31T23:59:59Z",
            "2026-02-30",
            "9999-01-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
