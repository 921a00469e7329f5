//! Reads one condition: a field compared with a value, a word, an existence.

use std::ops::Range;

use super::super::error::ParseError;
use super::super::lexer::Kind;
use super::super::literal;
use super::super::names::{self, KEYWORDS};
use super::Parser;
use crate::query::{Field, Matcher, Op, Query, QueryError};

/// What stands between a field and a value.
const OPS: [Op; 6] = [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge];

impl Parser<'_> {
    /// One condition.
    pub(super) fn condition(&mut self) -> Result<Query, ParseError> {
        let is_field = self.is_before_operator();
        let at = self.here();
        match self.peek().cloned() {
            Some(Kind::Bare(word)) if is_field => {
                let field = names::field(&word).map_err(|message| self.error(message))?;
                self.next += 1;
                self.comparison(field, at)
            }
            Some(Kind::Bare(word)) if word == "exists" => {
                self.next += 1;
                self.exists()
            }
            Some(Kind::Bare(word)) if word == "true" || word == "false" => {
                self.next += 1;
                Ok(if word == "true" {
                    Query::And(Vec::new())
                } else {
                    Query::Or(Vec::new())
                })
            }
            Some(Kind::Bare(word)) if KEYWORDS.contains(&word.as_str()) => {
                Err(self.unexpected("a condition"))
            }
            Some(Kind::Bare(word))
                if word == "in" && matches!(self.peek_second(), Some(Kind::Mark("("))) =>
            {
                Err(self.error("there is no `in`: write (x = a or x = b)"))
            }
            Some(Kind::Quoted(_)) if is_field => Err(self.error(format!(
                "expected a field, found a text: an attribute of that name is written .{}",
                &self.text[at]
            ))),
            Some(Kind::Bare(word) | Kind::Quoted(word)) => {
                self.next += 1;
                let word = Query::Word(word);
                self.check(&word, at)?;
                Ok(word)
            }
            _ => Err(self.unexpected("a condition")),
        }
    }

    fn exists(&mut self) -> Result<Query, ParseError> {
        let at = self.here();
        let is_in_parentheses = self.takes("(");
        let Some(Kind::Bare(word)) = self.peek() else {
            return Err(self.unexpected("a field behind exists"));
        };
        let field = names::field(word).map_err(|message| self.error(message))?;
        self.next += 1;
        if is_in_parentheses {
            self.expect(")", &at)?;
        }
        Ok(Query::Exists(field))
    }

    /// What stands behind a field.
    fn comparison(&mut self, field: Field, field_at: Range<usize>) -> Result<Query, ParseError> {
        let Some(&Kind::Mark(mark)) = self.peek() else {
            return Err(self.unexpected("an operator"));
        };
        let is_pattern = matches!(mark, "=~" | "!~");
        let op = OPS.into_iter().find(|op| op.symbol() == mark);
        if op.is_none() && !is_pattern {
            return Err(self.error(format!("there is no `{mark}`: write =")));
        }
        self.next += 1;
        let at = self.here();
        let (text, is_quoted) = match self.peek() {
            Some(Kind::Quoted(text)) => (text.clone(), true),
            Some(Kind::Bare(word)) => (word.clone(), false),
            _ => return Err(self.unexpected(&format!("a value behind {mark}"))),
        };
        self.next += 1;
        let query = match op {
            _ if text == "nil" && !is_quoted => {
                let exists = Query::Exists(field);
                return match op {
                    Some(Op::Ne) => Ok(exists),
                    Some(Op::Eq) => Ok(Query::negated(exists)),
                    _ => Err(ParseError::new(self.text, at, "nil takes = and != only")),
                };
            }
            Some(op) if is_quoted => Query::compare(field, op, text.as_str()),
            Some(op) => Query::compare(field, op, literal::value(&text)),
            None => Query::Pattern {
                field,
                negated: mark == "!~",
                pattern: text,
            },
        };
        self.check(&query, field_at.start..at.end)?;
        Ok(query)
    }

    /// Refuses a condition that can never be matched.
    fn check(&self, query: &Query, at: Range<usize>) -> Result<(), ParseError> {
        let matcher = Matcher::new(query);
        matcher
            .map(drop)
            .map_err(|error| ParseError::new(self.text, at, with_cause(&error)))
    }
}

/// An error's text, and the first line of what is behind it that says anything.
pub(super) fn with_cause(error: &QueryError) -> String {
    match error {
        QueryError::Pattern { source, .. } => {
            let said = source.to_string();
            let last = said.lines().last().unwrap_or_default();
            format!("{error}: {}", last.trim_start_matches("error: "))
        }
        error => error.to_string(),
    }
}
