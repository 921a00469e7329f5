//! Why a query cannot be matched.

use super::{DEPTH_MAX, NODES_MAX, PATTERN_BYTES_MAX, PATTERNS_MAX, TEXT_BYTES_MAX};

/// Why a query cannot be matched; each is the user's to mend.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// It is nested too deep.
    #[error("the query is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// It has too many nodes.
    #[error("the query has more than {NODES_MAX} conditions and connectives")]
    TooLarge,
    /// It has too many patterns and words.
    #[error("the query has more than {PATTERNS_MAX} patterns and words")]
    TooManyPatterns,
    /// Its names, values, patterns and words are too long together.
    #[error("the query has more than {TEXT_BYTES_MAX} bytes of names and values")]
    TooMuchText,
    /// A pattern or word is too long.
    #[error("a pattern or word has {found_bytes} bytes, over the limit of {PATTERN_BYTES_MAX}")]
    PatternTooLong {
        /// How many bytes it has.
        found_bytes: usize,
    },
    /// A pattern is no regular expression, or becomes too large.
    #[error("the pattern {pattern:?} cannot be used")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: regex::Error,
    },
    /// A field is compared with what it can never be.
    #[error("`{field}` is compared with {value}, but takes {expected}")]
    Value {
        /// The field, as it is written.
        field: String,
        /// The value, as it is written.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A field does not compare in this way.
    #[error("`{field}` does not take `{operator}`")]
    Operator {
        /// The field, as it is written.
        field: String,
        /// The operator.
        operator: &'static str,
    },
}
