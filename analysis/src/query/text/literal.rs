//! Values as they are written: numbers, durations, sizes, truth values, and text.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::Value;
use super::lexer::ends_word;

/// The units of durations, in nanoseconds, the longest first.
const DURATIONS: [(&str, u64); 8] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// The units of sizes, in bytes.
const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The value that a bare word is: text when it is nothing else.
pub(super) fn value(word: &str) -> Value {
    match word {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = word.parse() {
        return Value::Int(number);
    }
    let begins_number = word.starts_with(|ch: char| ch.is_ascii_digit() || matches!(ch, '-' | '.'));
    if !begins_number {
        return Value::String(word.to_owned());
    }
    if let Some(duration) = duration(word) {
        return Value::Duration(duration);
    }
    if let Some(bytes) = size(word) {
        return Value::Int(bytes);
    }
    match word.parse::<f64>() {
        Ok(number) if number.is_finite() => Value::Double(number),
        _ => Value::String(word.to_owned()),
    }
}

/// `1.5s`, `1m30s`, `250us`.
fn duration(word: &str) -> Option<Duration> {
    let mut nanos: u128 = 0;
    let mut rest = word;
    while !rest.is_empty() {
        let unit_at = rest.find(|ch: char| !ch.is_ascii_digit() && ch != '.')?;
        let unit_end = rest[unit_at..]
            .find(|ch: char| ch.is_ascii_digit())
            .map_or(rest.len(), |len| unit_at + len);
        let (_, unit) = DURATIONS
            .into_iter()
            .find(|(name, _)| *name == &rest[unit_at..unit_end])?;
        nanos = nanos.checked_add(times(&rest[..unit_at], unit)?)?;
        rest = &rest[unit_end..];
    }
    let secs = u64::try_from(nanos / 1_000_000_000).ok()?;
    let nanos = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(secs, nanos))
}

/// `10KiB`, `1.5MB`.
fn size(word: &str) -> Option<i64> {
    let unit_at = word.find(|ch: char| !ch.is_ascii_digit() && ch != '.')?;
    let (_, unit) = SIZES
        .into_iter()
        .find(|(name, _)| *name == &word[unit_at..])?;
    times(&word[..unit_at], unit)?.try_into().ok()
}

/// A decimal number times a unit; `None` when that is no whole number.
fn times(decimal: &str, unit: u64) -> Option<u128> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits = [whole, fraction].concat();
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = digits.parse::<u128>().ok()?.checked_mul(unit.into())?;
    (scaled % scale == 0).then_some(scaled / scale)
}

/// Writes a value so that it is read back.
pub(super) fn write(to: &mut String, written: &Value) {
    match written {
        Value::String(text) if is_plain(text) => to.push_str(text),
        Value::String(text) => write_quoted(to, text),
        Value::Int(number) => write!(to, "{number}").expect("a string takes all"),
        Value::Double(number) => write!(to, "{number:?}").expect("a string takes all"),
        Value::Bool(truth) => write!(to, "{truth}").expect("a string takes all"),
        Value::Duration(duration) => write_duration(to, *duration),
    }
}

/// In the longest unit in which it is whole.
fn write_duration(to: &mut String, duration: Duration) {
    let nanos = duration.as_nanos();
    let whole = |&&(_, unit): &&(&str, u64)| nanos > 0 && nanos.is_multiple_of(unit.into());
    let (name, unit) = DURATIONS.iter().find(whole).unwrap_or(&("ns", 1));
    write!(to, "{}{name}", nanos / u128::from(*unit)).expect("a string takes all");
}

/// Whether a text, written as it is, is read as that value.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text != "nil" && !text.contains(ends_word) && value(text) == Value::from(text)
        // What could stand behind a dot begins something else.
        && !text.ends_with('.')
}

/// Writes a text between quotes.
pub(super) fn write_quoted(to: &mut String, text: &str) {
    to.push('"');
    for ch in text.chars() {
        match ch {
            '"' | '\\' => to.extend(['\\', ch]),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\0' => to.push_str("\\0"),
            _ => to.push(ch),
        }
    }
    to.push('"');
}
