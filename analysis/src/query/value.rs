//! Values: canonical texts, which make equality, and numbers, which make order.

use std::cmp::Ordering;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use longpole_proto::AttributeValue;

/// What a query compares a field with.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    String(String),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// A duration; to an attribute, its nanoseconds.
    Duration(Duration),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Duration(duration)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => write!(f, "{text:?}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Double(number) => write!(f, "{number:?}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Duration(duration) => write!(f, "{duration:?}"),
        }
    }
}

impl Value {
    /// The text that equal attribute values have ([`canonical_texts`]); `None` for NaN.
    pub fn canonical_text(&self) -> Option<String> {
        let mut buffer = String::new();
        let scalar = match self {
            Self::String(text) => Scalar::Text(text),
            Self::Int(number) => Scalar::Int(*number),
            Self::Double(number) => Scalar::Double(*number),
            Self::Bool(truth) => Scalar::Bool(*truth),
            Self::Duration(duration) => return Some(duration.as_nanos().to_string()),
        };
        scalar.canonical_text(&mut buffer).map(str::to_owned)
    }

    /// The number it is, or that its text says.
    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Self::String(text) => Scalar::Text(text).number(),
            Self::Int(number) => Scalar::Int(*number).number(),
            Self::Double(number) => Scalar::Double(*number).number(),
            Self::Bool(_) => None,
            Self::Duration(duration) => i128::try_from(duration.as_nanos()).ok().map(Number::Whole),
        }
    }
}

/// Calls `each` with the canonical text of an attribute value; of a list, with that of each element.
///
/// Two values are equal to a query exactly when they have a canonical text in common, so an index
/// of these texts under the attribute's name finds all that `=` finds:
/// text is itself; whole numbers are their decimal digits, floating-point ones without a fraction
/// (below 2^64) likewise, others the shortest digits that read back as the same number; truth
/// values are `true` and `false`. NaN, bytes, maps and empty values have none.
pub fn canonical_texts(value: &AttributeValue, mut each: impl FnMut(&str)) {
    let mut buffer = String::new();
    any_scalar(value, Nested::Lists, |scalar| {
        if let Some(text) = scalar.canonical_text(&mut buffer) {
            each(text);
        }
        false
    });
}

/// What a value is looked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nested {
    /// Lists.
    Lists,
    /// Lists and the values of maps.
    ListsAndMaps,
}

/// A value that holds no others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// Whether `is_hit` holds on a value or any in it; stops at the first.
pub(super) fn any_scalar(
    value: &AttributeValue,
    nested: Nested,
    mut is_hit: impl FnMut(Scalar<'_>) -> bool,
) -> bool {
    // Nearly all values are scalars: only what is nested takes memory.
    let mut inner = Vec::new();
    let mut next = Some(value);
    while let Some(value) = next {
        let scalar = match value {
            AttributeValue::String(text) => Some(Scalar::Text(text)),
            AttributeValue::Int(number) => Some(Scalar::Int(*number)),
            AttributeValue::Double(number) => Some(Scalar::Double(*number)),
            AttributeValue::Bool(truth) => Some(Scalar::Bool(*truth)),
            AttributeValue::Array(values) => {
                inner.extend(values);
                None
            }
            AttributeValue::Map(attributes) => {
                if nested == Nested::ListsAndMaps {
                    inner.extend(attributes.iter().map(|attribute| &attribute.value));
                }
                None
            }
            AttributeValue::Bytes(_) | AttributeValue::Empty => None,
        };
        if scalar.is_some_and(&mut is_hit) {
            return true;
        }
        next = inner.pop();
    }
    false
}

impl<'a> Scalar<'a> {
    /// Its canonical text, in `buffer` unless it is text already.
    pub(super) fn canonical_text<'b>(self, buffer: &'b mut String) -> Option<&'b str>
    where
        'a: 'b,
    {
        /// From here on a number without a fraction need not be one of its decimal digits.
        const WHOLE_END: f64 = 18_446_744_073_709_551_616.0;
        buffer.clear();
        match self {
            Self::Text(text) => return Some(text),
            Self::Bool(true) => return Some("true"),
            Self::Bool(false) => return Some("false"),
            Self::Double(number) if number.is_nan() => return None,
            Self::Int(number) => write!(buffer, "{number}"),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it has no fraction and is small enough"
            )]
            Self::Double(number) if number.abs() < WHOLE_END && number.fract() == 0.0 => {
                write!(buffer, "{}", number as i128)
            }
            Self::Double(number) => write!(buffer, "{number}"),
        }
        .expect("a string takes all");
        Some(buffer)
    }

    pub(super) fn number(self) -> Option<Number> {
        match self {
            Self::Text(text) => Number::of_text(text),
            Self::Int(number) => Some(Number::Whole(number.into())),
            Self::Double(number) => Some(Number::Double(number)),
            Self::Bool(_) => None,
        }
    }
}

/// A number as an order sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Double(f64),
}

impl Number {
    /// The number that `text` is in decimal, with or without sign, fraction and exponent.
    fn of_text(text: &str) -> Option<Self> {
        let is_decimal = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        if !is_decimal {
            return None;
        }
        text.parse().map(Self::Whole).ok().or_else(|| {
            let number: f64 = text.parse().ok()?;
            number.is_finite().then_some(Self::Double(number))
        })
    }

    /// How the two compare, without rounding; `None` with NaN.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => Some(one.cmp(&other)),
            (Self::Double(one), Self::Double(other)) => one.partial_cmp(&other),
            (Self::Whole(one), Self::Double(other)) => compare(one, other),
            (Self::Double(one), Self::Whole(other)) => compare(other, one).map(Ordering::reverse),
        }
    }

    /// The greatest whole number that is not greater, as far as there are any; `None` for NaN.
    pub(super) fn floor(self) -> Option<i128> {
        match self {
            Self::Whole(number) => Some(number),
            Self::Double(number) => saturated(number.floor()),
        }
    }

    /// The least whole number that is not less, as far as there are any; `None` for NaN.
    pub(super) fn ceil(self) -> Option<i128> {
        match self {
            Self::Whole(number) => Some(number),
            Self::Double(number) => saturated(number.ceil()),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is too large becomes the largest there is"
)]
fn saturated(number: f64) -> Option<i128> {
    (!number.is_nan()).then_some(number as i128)
}

fn compare(whole: i128, double: f64) -> Option<Ordering> {
    /// 2^127, where whole numbers end.
    const END: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
    if double >= END {
        return Some(Ordering::Less);
    }
    if double < -END {
        return Some(Ordering::Greater);
    }
    let below = saturated(double.trunc())?;
    let fraction = 0.0_f64.partial_cmp(&double.fract())?;
    Some(whole.cmp(&below).then(fraction))
}

#[cfg(test)]
mod tests;
