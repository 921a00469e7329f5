//! One comparison made ready, and what it says of a value.

use std::cmp::Ordering;

use longpole_proto::{AttributeValue, SpanId, TraceId};
use regex::Regex;

use super::error::QueryError;
use super::field::{Field, Sort};
use super::value::{Nested, Number, Scalar, Value, any_scalar};
use super::{Op, PATTERN_BYTES_MAX};

/// How much memory a compiled pattern, and what it remembers while it searches, may each take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// What looking at a field's values came to; the greatest of several counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// There are no values.
    Absent,
    /// There are, but none hits.
    Missed,
    /// One hits.
    Hit,
}

impl Outcome {
    pub(super) const fn of(is_hit: bool) -> Self {
        if is_hit { Self::Hit } else { Self::Missed }
    }
}

/// A comparison, a pattern or an existence, which a field's values meet or do not.
#[derive(Debug, Clone)]
pub(super) struct Check {
    /// What hits.
    pub(super) hit: Hit,
    /// Whether it holds when there are values and none hits, instead of when one does.
    pub(super) negated: bool,
}

/// What hits.
#[derive(Debug, Clone)]
pub(super) enum Hit {
    /// Any value.
    Any,
    /// Values with this canonical text; without one, none.
    Text {
        text: Option<Box<str>>,
        /// The whole number with that text.
        int: Option<i64>,
    },
    /// Numbers on this side of another.
    Order { op: Op, number: Number },
    /// Whole numbers from the first to the second; none when they are the wrong way round.
    Range { least: u64, greatest: u64 },
    /// Texts in which the pattern occurs.
    Pattern(Regex),
}

impl Check {
    pub(super) const EXISTS: Self = Self {
        hit: Hit::Any,
        negated: false,
    };

    /// A field of this sort compared with a value.
    pub(super) fn compare(
        field: &Field,
        sort: Sort,
        op: Op,
        value: &Value,
    ) -> Result<Self, QueryError> {
        let error = |expected| QueryError::Value {
            field: field.to_string(),
            value: value.to_string(),
            expected,
        };
        let is_equality = matches!(op, Op::Eq | Op::Ne);
        let hit = match sort {
            Sort::Attribute if is_equality => Hit::text(value.canonical_text()),
            Sort::Attribute => Hit::Order {
                op,
                number: value
                    .number()
                    .ok_or_else(|| error("a number or a duration"))?,
            },
            Sort::Duration | Sort::Count => {
                let number = match value {
                    Value::Int(_) | Value::Double(_) => value.number(),
                    Value::Duration(_) if sort == Sort::Duration => value.number(),
                    _ => None,
                };
                Hit::range(
                    op,
                    number.ok_or_else(|| {
                        error(match sort {
                            Sort::Duration => "a duration or a number of nanoseconds",
                            _ => "a number",
                        })
                    })?,
                )
            }
            Sort::Text | Sort::Choice { .. } | Sort::SpanId | Sort::TraceId if !is_equality => {
                return Err(QueryError::Operator {
                    field: field.to_string(),
                    operator: op.symbol(),
                });
            }
            Sort::Text => Hit::text(value.canonical_text()),
            Sort::Choice { of, expected } => {
                let text = text_of(value).map(str::to_ascii_lowercase);
                Hit::text(Some(
                    text.filter(|text| of.contains(&text.as_str()))
                        .ok_or_else(|| error(expected))?,
                ))
            }
            Sort::SpanId => {
                let id = text_of(value).and_then(|text| text.parse::<SpanId>().ok());
                Hit::text(Some(
                    id.ok_or_else(|| error("a text of 16 hex digits"))?
                        .to_string(),
                ))
            }
            Sort::TraceId => {
                let id = text_of(value).and_then(|text| text.parse::<TraceId>().ok());
                Hit::text(Some(
                    id.ok_or_else(|| error("a text of 32 hex digits"))?
                        .to_string(),
                ))
            }
        };
        Ok(Self {
            hit,
            negated: op == Op::Ne,
        })
    }

    /// A field of this sort matching a pattern.
    pub(super) fn pattern(
        field: &Field,
        sort: Sort,
        pattern: &str,
        negated: bool,
    ) -> Result<Self, QueryError> {
        if matches!(sort, Sort::Duration | Sort::Count) {
            return Err(QueryError::Operator {
                field: field.to_string(),
                operator: if negated { "!~" } else { "=~" },
            });
        }
        bounded(pattern)?;
        Ok(Self {
            hit: Hit::Pattern(regex(pattern, false)?),
            negated,
        })
    }

    /// Whether that outcome is what was asked for.
    pub(super) fn holds(&self, outcome: Outcome) -> bool {
        outcome
            == if self.negated {
                Outcome::Missed
            } else {
                Outcome::Hit
            }
    }

    /// What it says of a field that has this text.
    pub(super) fn of_text(&self, text: &str) -> Outcome {
        Outcome::of(match &self.hit {
            Hit::Any => true,
            Hit::Text { text: wanted, .. } => wanted.as_deref() == Some(text),
            Hit::Pattern(pattern) => pattern.is_match(text),
            Hit::Order { .. } | Hit::Range { .. } => false,
        })
    }

    /// What it says of a field that has this number.
    pub(super) fn of_number(&self, number: u64) -> Outcome {
        Outcome::of(match self.hit {
            Hit::Any => true,
            Hit::Range { least, greatest } => (least..=greatest).contains(&number),
            Hit::Text { .. } | Hit::Order { .. } | Hit::Pattern(_) => false,
        })
    }

    /// What it says of an attribute's value; `buffer` is for texts of numbers.
    pub(super) fn of_value(&self, value: &AttributeValue, buffer: &mut String) -> Outcome {
        Outcome::of(match &self.hit {
            Hit::Any => true,
            Hit::Text { text: None, .. } | Hit::Range { .. } => false,
            _ => any_scalar(value, Nested::Lists, |scalar| self.hits(scalar, buffer)),
        })
    }

    /// Whether an attribute's value, or an element of it, hits.
    pub(super) fn hits(&self, scalar: Scalar<'_>, buffer: &mut String) -> bool {
        match &self.hit {
            Hit::Any => true,
            Hit::Text { text: None, .. } | Hit::Range { .. } => false,
            Hit::Text {
                text: Some(text),
                int,
            } => match scalar {
                Scalar::Int(number) => *int == Some(number),
                _ => scalar.canonical_text(buffer) == Some(text),
            },
            Hit::Order { op, number } => scalar
                .number()
                .and_then(|found| found.compare(*number))
                .is_some_and(|order| is_in_order(*op, order)),
            Hit::Pattern(pattern) => scalar
                .canonical_text(buffer)
                .is_some_and(|text| pattern.is_match(text)),
        }
    }
}

impl Hit {
    fn text(text: Option<String>) -> Self {
        let int = text.as_ref().and_then(|text| {
            let int: i64 = text.parse().ok()?;
            // "0500" is no number's canonical text.
            (int.to_string() == *text).then_some(int)
        });
        Self::Text {
            text: text.map(String::into_boxed_str),
            int,
        }
    }

    /// The whole numbers from 0 to 2^64 - 1 that compare so with `number`; `!=` as `=`.
    fn range(op: Op, number: Number) -> Self {
        const NONE: (i128, i128) = (1, 0);
        let (least, greatest) = match (number.floor(), number.ceil()) {
            (Some(floor), Some(ceil)) => match op {
                Op::Eq | Op::Ne => (ceil, floor),
                Op::Lt => (0, ceil.saturating_sub(1)),
                Op::Le => (0, floor),
                Op::Gt => (floor.saturating_add(1), i128::MAX),
                Op::Ge => (ceil, i128::MAX),
            },
            _ => NONE,
        };
        let greatest = greatest.min(u64::MAX.into());
        match (u64::try_from(least.max(0)), u64::try_from(greatest)) {
            (Ok(least), Ok(greatest)) => Self::Range { least, greatest },
            // All of it lies outside.
            _ => Self::Range {
                least: 1,
                greatest: 0,
            },
        }
    }
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn is_in_order(op: Op, order: Ordering) -> bool {
    match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
    }
}

/// A word made ready: found in text of any case.
pub(super) fn word(word: &str) -> Result<Regex, QueryError> {
    bounded(word)?;
    regex(&regex::escape(word), true)
}

fn regex(pattern: &str, any_case: bool) -> Result<Regex, QueryError> {
    regex::RegexBuilder::new(pattern)
        .case_insensitive(any_case)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|source| QueryError::Pattern {
            pattern: pattern.to_owned(),
            source,
        })
}

/// Refuses texts that take too much memory before the compiled size is known.
fn bounded(pattern: &str) -> Result<(), QueryError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(QueryError::PatternTooLong {
            found_bytes: pattern.len(),
        });
    }
    Ok(())
}
