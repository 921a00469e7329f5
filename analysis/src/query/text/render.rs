//! Writes a query as people do.

use super::lexer::ends_word;
use super::literal::{write as write_value, write_quoted};
use super::names::{KEYWORDS, write as write_field};
use super::parser::relation_mark;
use crate::query::Query;

/// Between what a query stands, so that it needs parentheses or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Within {
    /// Nothing, parentheses or braces.
    Group,
    /// Others of an `or`.
    Or,
    /// Others of an `and`.
    And,
    /// `not` before it.
    Not,
}

/// The text of a query. Recurses as deep as the query.
pub(super) fn text(query: &Query) -> String {
    let mut to = String::new();
    match query {
        Query::And(all) if all.is_empty() => {}
        query => write(&mut to, query, Within::Group),
    }
    to
}

fn write(to: &mut String, query: &Query, within: Within) {
    match query {
        Query::And(all) | Query::Or(all) if all.is_empty() => {
            to.push_str(if matches!(query, Query::And(_)) {
                "true"
            } else {
                "false"
            });
        }
        Query::And(all) => list(to, all, " and ", Within::And, within >= Within::And),
        Query::Or(all) => list(to, all, " or ", Within::Or, within >= Within::Or),
        Query::Not(inner) => {
            to.push_str("not ");
            write(to, inner, Within::Not);
        }
        Query::SomeSpan(inner) => match &**inner {
            Query::Related {
                left,
                relation,
                negated,
                right,
            } => {
                // `not {a} > {b}` is a relation to what is not `a`.
                parenthesised(to, within == Within::Not, |to| {
                    braces(to, left);
                    relate(to, relation_mark(*relation, *negated));
                    braces(to, right);
                });
            }
            inner => braces(to, inner),
        },
        Query::Related {
            left,
            relation,
            negated,
            right,
        } => parenthesised(to, within == Within::Not, |to| {
            side(to, left);
            relate(to, relation_mark(*relation, *negated));
            side(to, right);
        }),
        Query::Compare { field, op, value } => {
            write_field(to, field);
            relate(to, op.symbol());
            write_value(to, value);
        }
        Query::Pattern {
            field,
            negated,
            pattern,
        } => {
            write_field(to, field);
            relate(to, if *negated { "!~" } else { "=~" });
            write_quoted(to, pattern);
        }
        Query::Exists(field) => {
            to.push_str("exists ");
            write_field(to, field);
        }
        Query::Word(word) => write_word(to, word),
    }
}

fn list(to: &mut String, all: &[Query], between: &str, inside: Within, in_parentheses: bool) {
    parenthesised(to, in_parentheses, |to| {
        for (at, query) in all.iter().enumerate() {
            if at > 0 {
                to.push_str(between);
            }
            write(to, query, inside);
        }
    });
}

fn parenthesised(to: &mut String, is_needed: bool, write: impl FnOnce(&mut String)) {
    if is_needed {
        to.push('(');
    }
    write(to);
    if is_needed {
        to.push(')');
    }
}

fn relate(to: &mut String, mark: &str) {
    to.extend([" ", mark, " "]);
}

fn braces(to: &mut String, query: &Query) {
    to.push('{');
    to.push_str(&text(query));
    to.push('}');
}

/// One side of a relation that is not of spans in braces.
fn side(to: &mut String, query: &Query) {
    if let Query::SomeSpan(inner) = query {
        to.push_str("some ");
        return braces(to, inner);
    }
    to.push('(');
    write(to, query, Within::Group);
    to.push(')');
}

fn write_word(to: &mut String, word: &str) {
    let is_plain = !word.is_empty()
        && !word.contains(ends_word)
        && !word.ends_with('.')
        && !KEYWORDS.contains(&word)
        && word != "in";
    if is_plain {
        to.push_str(word);
    } else {
        write_quoted(to, word);
    }
}
