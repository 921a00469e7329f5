//! How times and numbers read, the same on pages, in sentences and in the terminal.

use std::borrow::Cow;

use longpole_proto::Trace;

/// A duration for people: `0 ns`, `850 ns`, `12 µs`, `9.0 ms`, `31 ms`, `2.23 s`, `2 min 5 s`, `3 h 4 min`.
pub fn duration(nanos: u64) -> String {
    const US: u64 = 1_000;
    const MS: u64 = 1_000 * US;
    const S: u64 = 1_000 * MS;
    // Each bound is where rounding would carry into the next form.
    match nanos {
        0..US => format!("{nanos} ns"),
        US..9_950 => tenths(nanos, US, "µs"),
        9_950..999_500 => format!("{} µs", round(nanos, US)),
        999_500..9_950_000 => tenths(nanos, MS, "ms"),
        9_950_000..999_500_000 => format!("{} ms", round(nanos, MS)),
        999_500_000..59_995_000_000 => {
            let hundredths = round(nanos, 10 * MS);
            format!("{}.{:02} s", hundredths / 100, hundredths % 100)
        }
        _ => {
            let seconds = round(nanos, S);
            if seconds < 3_600 {
                return format!("{} min {} s", seconds / 60, seconds % 60);
            }
            let minutes = round(nanos, 60 * S);
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

fn tenths(nanos: u64, unit: u64, name: &str) -> String {
    let tenths = round(nanos, unit / 10);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

const fn round(nanos: u64, unit: u64) -> u64 {
    nanos / unit + (nanos % unit >= unit / 2) as u64
}

/// A part of a whole: `51 %`, `< 1 %` for what is there but rounds to none, `0 %` for nothing.
pub fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    let percent = (u128::from(part) * 200 + u128::from(whole)) / (u128::from(whole) * 2);
    match percent {
        0 => "< 1 %".to_owned(),
        100 if part < whole => "> 99 %".to_owned(),
        percent => format!("{percent} %"),
    }
}

/// A number with its thousands apart: `1,240`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many characters of a name a sentence shows.
const LABEL_CHARS_MAX: usize = 120;

/// A name from a span, fit for a sentence: never empty, one line, at most 120 characters.
pub fn label(name: &str) -> Cow<'_, str> {
    if name.is_empty() {
        return Cow::Borrowed("(no name)");
    }
    let is_long = name.len() > LABEL_CHARS_MAX && name.chars().nth(LABEL_CHARS_MAX).is_some();
    if !is_long && !name.contains(char::is_control) {
        return Cow::Borrowed(name);
    }
    let mut text: String = name
        .chars()
        .take(LABEL_CHARS_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if is_long {
        text.push('…');
    }
    Cow::Owned(text)
}

/// A span's service and name, fit for a sentence.
pub fn span_label(trace: &Trace, span_idx: usize) -> String {
    format!(
        "{} {}",
        label(trace.service(span_idx)),
        label(&trace.span(span_idx).name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 µs"),
            (9_949, "9.9 µs"),
            (9_950, "10 µs"),
            (999_499, "999 µs"),
            (999_500, "1.0 ms"),
            (9_000_000, "9.0 ms"),
            (200_000_000, "200 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.00 s"),
            (2_234_000_000, "2.23 s"),
            (59_994_999_999, "59.99 s"),
            (59_995_000_000, "1 min 0 s"),
            (125_000_000_000, "2 min 5 s"),
            (3_599_600_000_000, "1 h 0 min"),
            (u64::MAX, "5124095 h 35 min"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(nanos), text, "{nanos}");
        }
    }

    #[test]
    fn a_share_never_rounds_to_nothing_or_everything() {
        let cases = [
            (0, 10, "0 %"),
            (200, 390, "51 %"),
            (1, 1_000, "< 1 %"),
            (999, 1_000, "> 99 %"),
            (7, 7, "100 %"),
            (1, 0, "0 %"),
        ];
        for (part, whole, text) in cases {
            assert_eq!(percent(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn a_hostile_name_is_one_short_line_in_a_sentence() {
        assert_eq!(label("GET /stock"), "GET /stock");
        assert_eq!(label(""), "(no name)");
        assert_eq!(
            label("a\nlevel=error\u{1b}[31m"),
            "a\u{fffd}level=error\u{fffd}[31m"
        );
        assert_eq!(
            label(&"é".repeat(1_000)).chars().count(),
            LABEL_CHARS_MAX + 1
        );
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
