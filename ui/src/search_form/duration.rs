//! Durations as people type them: `250ms`, `2s`, `800us`, `1.5 min`.

/// What the text should be.
pub(super) const EXPECTED: &str =
    "a number with its unit: ns, us, ms, s, m or h, such as 250ms or 1.5s";

/// Reads a duration in nanoseconds; `None` when the text is none, or too long to count.
pub(super) fn parse(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit_at);
    let unit_nanos: u64 = match unit.trim_start() {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.contains('.') || whole.is_empty() || fraction.is_empty() {
        return None;
    }
    let nanos = whole.parse::<u64>().ok()?.checked_mul(unit_nanos)?;
    // Twelve digits are finer than a nanosecond of an hour.
    let digits = &fraction[..fraction.len().min(12)];
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    let part = digits.parse::<u128>().ok()? * u128::from(unit_nanos) / scale;
    nanos.checked_add(u64::try_from(part).ok()?)
}

/// A duration as text that is read as exactly this: `200ms`, `1.999999s`.
pub(super) fn write(nanos: u64) -> String {
    let units = [
        (1_000_000_000, "s", 9),
        (1_000_000, "ms", 6),
        (1_000, "us", 3),
    ];
    let unit = units.into_iter().find(|(unit, ..)| nanos >= *unit);
    let Some((unit, name, n_digits)) = unit else {
        return format!("{nanos}ns");
    };
    let text = format!("{}.{:0n_digits$}", nanos / unit, nanos % unit);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{name}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_exactly(nanos in prop_oneof![any::<u64>(), 0..10_000_000_000_u64]) {
            prop_assert_eq!(parse(&write(nanos)), Some(nanos));
        }
    }

    #[test]
    fn written_durations_are_short() {
        let cases = [
            (0, "0ns"),
            (999, "999ns"),
            (100_000_000, "100ms"),
            (199_999_999, "199.999999ms"),
            (20_000_000_000, "20s"),
            (1_500, "1.5us"),
        ];
        for (nanos, text) in cases {
            assert_eq!(write(nanos), text);
        }
    }

    #[test]
    fn numbers_with_units_are_durations() {
        let cases = [
            ("250ms", 250_000_000),
            ("2s", 2_000_000_000),
            ("800us", 800_000),
            ("800 µs", 800_000),
            ("1.5s", 1_500_000_000),
            ("0.25 ms", 250_000),
            ("3m", 180_000_000_000),
            ("1h", 3_600_000_000_000),
            ("0ns", 0),
            ("1.9999999999999999999999s", 1_999_999_999),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), Some(nanos), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "250",
            "ms",
            "-1s",
            "1..5s",
            ".5s",
            "5.s",
            "1,5s",
            "1 fortnight",
            "99999999999999999999s",
            "9999999h",
            "１s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
