//! Times of a map in words, and where along it some are written.

use longpole_proto::UnixNanos;

use crate::format::strftime;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How many times are written at most.
const TICKS_MAX: u64 = 8;

/// Between which times one is written, in seconds.
const STEPS: [u64; 28] = [
    1,
    2,
    5,
    10,
    15,
    30,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
    20 * DAY,
    50 * DAY,
    100 * DAY,
    500 * DAY,
    2_000 * DAY,
    10_000 * DAY,
    50_000 * DAY,
];

/// The times that are written along a map from `start` on that is so many seconds wide, and how far along,
/// from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
pub(super) fn ticks(start: u64, seconds: u64) -> Vec<(String, f64)> {
    let step = STEPS.into_iter().find(|step| seconds / step < TICKS_MAX);
    let step = step.unwrap_or(STEPS[STEPS.len() - 1]);
    let first = start.div_ceil(step);
    let last = (start + seconds - 1) / step;
    (first..=last)
        .map(|tick| {
            let at = tick * step;
            let share = (at - start) as f64 / seconds as f64;
            (label(at, step), share)
        })
        // What would not fit behind it.
        .filter(|(_, share)| *share < 0.96)
        .collect()
}

fn label(seconds: u64, step: u64) -> String {
    let is_midnight = seconds.is_multiple_of(DAY);
    let format = match step {
        _ if step >= 200 * DAY => "%Y",
        _ if step >= 20 * DAY => "%b %Y",
        _ if is_midnight => "%-d %b",
        _ if step >= MINUTE => "%H:%M",
        _ => "%H:%M:%S",
    };
    strftime(UnixNanos(seconds.saturating_mul(1_000_000_000)), format)
}

/// From when to when, with the day once where it is one: `22 Nov 2026 01:37–01:40`.
pub(super) fn range(from: UnixNanos, to: UnixNanos) -> String {
    let seconds = |time: UnixNanos| time.0 / 1_000_000_000;
    let is_minutes = [from, to]
        .iter()
        .all(|time| time.0.is_multiple_of(MINUTE * 1_000_000_000));
    let clock = if is_minutes { "%H:%M" } else { "%H:%M:%S" };
    let day = "%-d %b %Y";
    let begin = strftime(from, &format!("{day} {clock}"));
    if seconds(from) / DAY == seconds(to) / DAY {
        return format!("{begin}–{}", strftime(to, clock));
    }
    format!("{begin} – {}", strftime(to, &format!("{day} {clock}")))
}

/// The same without its day, for where that is known.
pub(super) fn clock_range(from: UnixNanos, to: UnixNanos) -> String {
    let whole = range(from, to);
    let is_one_day = !whole.contains(" – ");
    match whole.rsplit_once(' ') {
        Some((_, clocks)) if is_one_day => clocks.to_owned(),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHT: u64 = 1_795_305_600;

    fn texts(start: u64, seconds: u64) -> Vec<String> {
        ticks(start, seconds).into_iter().map(|of| of.0).collect()
    }

    #[test]
    fn round_times_are_written() {
        let hour = texts(NIGHT + HOUR, HOUR);
        assert_eq!(hour, ["01:00", "01:10", "01:20", "01:30", "01:40", "01:50"]);
        assert_eq!(
            texts(NIGHT + 5, 10),
            ["00:00:06", "00:00:08", "00:00:10", "00:00:12", "00:00:14"]
        );
        let two_days = texts(NIGHT, 2 * DAY);
        assert_eq!(two_days, ["22 Nov", "12:00", "23 Nov", "12:00"]);
        assert_eq!(texts(0, 18_446_744_073).last().map(String::len), Some(4));
        for seconds in [1, 59, 61, 4_000, 90_000, 1_000_000, 18_446_744_073] {
            let n = texts(0, seconds).len() as u64;
            assert!((1..=TICKS_MAX).contains(&n), "{seconds}: {n}");
        }
    }

    #[test]
    fn a_day_is_said_once() {
        let at = |seconds: u64| UnixNanos((NIGHT + seconds) * 1_000_000_000);
        assert_eq!(range(at(60), at(120)), "22 Nov 2026 00:01–00:02");
        assert_eq!(clock_range(at(60), at(121)), "00:01:00–00:02:01");
        assert_eq!(
            range(at(60), at(DAY)),
            "22 Nov 2026 00:01 – 23 Nov 2026 00:00"
        );
    }
}
