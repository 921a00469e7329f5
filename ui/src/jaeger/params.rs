//! Parameters as Jaeger's clients send them: each of one or two spellings, repeated or not, times and
//! durations as Go writes them.

use std::time::Duration;

use jiff::Timestamp;
use longpole_proto::UnixNanos;

use super::{LIMIT, LIMIT_MAX};
use crate::error::{BadParameter, UiError};
use crate::extract::Pairs;

/// What a duration should be.
const DURATION: &str =
    "a duration such as 1.2s, 100ms or 1h30m, of the units ns, us, ms, s, m and h";

/// What was sent, of what is known.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

/// What a parameter is called, most usual first.
pub(super) type Names<'a> = &'a [&'a str];

impl Params {
    /// Refuses the first parameter that is none of the `known`.
    pub(super) fn read(pairs: Pairs, known: &[&str]) -> Result<Self, UiError> {
        pairs.only(known).map(Self)
    }

    /// All that were sent under a name, in order, empty ones left out.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = self.0.iter().filter(move |(of, _)| of == name);
        of_name
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// What was sent under the first of the names that has something, with that name; a second value under
    /// it must be the same.
    pub(super) fn one<'a>(
        &'a self,
        names: Names<'a>,
    ) -> Result<Option<(&'a str, &'a str)>, BadParameter> {
        for name in names {
            let mut values = self.all(name);
            let Some(value) = values.next() else { continue };
            return match values.find(|other| *other != value) {
                Some(other) => Err(BadParameter::new(name, other, "it only once")),
                None => Ok(Some((name, value))),
            };
        }
        Ok(None)
    }

    /// A text; empty when it was not sent.
    pub(super) fn text(&self, names: Names<'_>) -> Result<String, BadParameter> {
        let sent = self.one(names)?;
        Ok(sent.map_or_else(String::new, |(_, value)| value.to_owned()))
    }

    /// A value that is read from its text.
    pub(super) fn parsed<T>(
        &self,
        names: Names<'_>,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, BadParameter> {
        let Some((name, value)) = self.one(names)? else {
            return Ok(None);
        };
        match parse(value) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(BadParameter::new(name, value, expected)),
        }
    }

    /// Unix time in units of so many nanoseconds.
    pub(super) fn time(
        &self,
        name: &str,
        unit: TimeUnit,
    ) -> Result<Option<UnixNanos>, BadParameter> {
        let parse = |text: &str| number(text)?.checked_mul(unit.nanos()).map(UnixNanos);
        self.parsed(&[name], unit.expected(), parse)
    }

    /// A time as RFC 3339 has it. The `+` of its zone arrives as a space where a client did not encode it.
    pub(super) fn rfc3339(&self, names: Names<'_>) -> Result<Option<UnixNanos>, BadParameter> {
        let parse = |text: &str| {
            let timestamp: Timestamp = text.replace(' ', "+").parse().ok()?;
            u64::try_from(timestamp.as_nanosecond()).ok().map(UnixNanos)
        };
        self.parsed(
            names,
            "a time of RFC 3339 since 1970, such as 2026-11-22T01:47:54.755Z",
            parse,
        )
    }

    /// A duration as Go writes it.
    pub(super) fn duration(&self, names: Names<'_>) -> Result<Option<Duration>, BadParameter> {
        self.parsed(names, DURATION, go_duration)
    }

    /// A duration in milliseconds.
    pub(super) fn millis(&self, name: &str) -> Result<Option<Duration>, BadParameter> {
        self.parsed(&[name], "a number of milliseconds", |text| {
            number(text).map(Duration::from_millis)
        })
    }

    /// A truth value; false when it was not sent.
    pub(super) fn flag(&self, names: Names<'_>) -> Result<bool, BadParameter> {
        let flag = self.parsed(names, "true or false", go_bool)?;
        Ok(flag.unwrap_or_default())
    }

    /// Whether people are to read the answer: anything but `false` says so.
    pub(super) fn is_pretty(&self) -> bool {
        self.all("prettyPrint").any(|value| value != "false")
    }

    /// How many traces.
    pub(super) fn limit(&self, names: Names<'_>) -> Result<usize, BadParameter> {
        let limit = self.parsed(names, &format!("a number from 1 to {LIMIT_MAX}"), |text| {
            let limit = usize::try_from(number(text)?).ok()?;
            (1..=LIMIT_MAX).contains(&limit).then_some(limit)
        })?;
        Ok(limit.unwrap_or(LIMIT))
    }
}

/// What a Unix time is counted in.
#[derive(Debug, Clone, Copy)]
pub(super) enum TimeUnit {
    Millis,
    Micros,
}

impl TimeUnit {
    const fn nanos(self) -> u64 {
        match self {
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Millis => "Unix time in milliseconds",
            Self::Micros => "Unix time in microseconds",
        }
    }
}

/// A whole number of nothing but digits: Rust reads a sign too.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

/// What Go's `ParseBool` takes.
pub(super) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// What Go's `ParseDuration` takes, but for negative ones, which bound nothing. Less than a nanosecond is
/// cut off.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos: u64 = 0;
    loop {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(number_end);
        let unit_end = behind
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(behind.len());
        let (unit, next) = behind.split_at(unit_end);
        nanos = nanos.checked_add(part_nanos(number, unit)?)?;
        if next.is_empty() {
            return Some(Duration::from_nanos(nanos));
        }
        rest = next;
    }
}

/// One number with its unit.
fn part_nanos(number: &str, unit: &str) -> Option<u64> {
    let unit_nanos: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut nanos = whole.checked_mul(unit_nanos)?;
    // Thirteen digits are finer than a nanosecond of an hour.
    let digits = &fraction[..fraction.len().min(13)];
    if !digits.is_empty() {
        let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
        let part = digits.parse::<u128>().ok()? * u128::from(unit_nanos) / scale;
        nanos = nanos.checked_add(u64::try_from(part).ok()?)?;
    }
    Some(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
            ("100ms", 100_000_000),
            ("1.2s", 1_200_000_000),
            ("1h30m", 5_400_000_000_000),
            ("2m3.5s", 123_500_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("+3us", 3_000),
            ("3µs", 3_000),
            ("3μs", 3_000),
            ("7ns", 7),
            ("1.9999999999999999999999999s", 1_999_999_999),
            ("0", 0),
            ("0s", 0),
        ];
        for (text, nanos) in cases {
            assert_eq!(
                go_duration(text),
                Some(Duration::from_nanos(nanos)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "ms",
            "-1s",
            ".s",
            "1..5s",
            "1 s",
            "1s ",
            "1d",
            "1h30",
            "99999999h",
            "１s",
            "1s2é",
        ] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_read_whether_their_plus_was_encoded_or_not() {
        let time = |text: &str| {
            let params = Params(vec![("t".to_owned(), text.to_owned())]);
            params.rfc3339(&["t"]).map_err(|bad| bad.problem)
        };
        let expected = Ok(Some(UnixNanos(1_795_312_074_755_000_001)));
        for text in [
            "2026-11-22T01:47:54.755000001Z",
            "2026-11-22T02:47:54.755000001+01:00",
            "2026-11-22T02:47:54.755000001 01:00",
            "2026-11-21T20:47:54.755000001-05:00",
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
        for text in [
            "1795312074755",
            "2026-11-22",
            "2026-11-22T01:47:54",
            "1969-12-31T23:59:59Z",
            "9999-01-01T00:00:00Z",
            "now",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_usual_spelling_counts_before_the_other_and_a_value_only_once() {
        let pairs = [("new", ""), ("old", "1"), ("new", "2"), ("new", "2")];
        let params = Params(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        );
        assert_eq!(params.one(&["new", "old"]), Ok(Some(("new", "2"))));
        assert_eq!(params.one(&["none", "old"]), Ok(Some(("old", "1"))));
        assert_eq!(params.one(&["none"]), Ok(None));
        let twice = Params(vec![
            ("a".to_owned(), "1".to_owned()),
            ("a".to_owned(), "2".to_owned()),
        ]);
        assert!(twice.one(&["a"]).is_err());
    }
}
