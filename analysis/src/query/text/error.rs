//! What is wrong with a query's text, and where.

use std::fmt;
use std::ops::Range;

/// What is wrong with a query's text: where, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Where, in bytes of the text; behind it when something is missing at its end.
    pub at: Range<usize>,
    /// How many characters stand before it.
    n_before: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

impl ParseError {
    pub(super) fn new(text: &str, at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            n_before: text[..at.start].chars().count(),
            at,
            message: message.into(),
        }
    }

    /// Which character it is, counted from 1.
    pub fn character(&self) -> usize {
        self.n_before + 1
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.character(), self.message)
    }
}

impl std::error::Error for ParseError {}
