//! The query as a value: what to ask of requests, and when a request matches.
//!
//! A [`Query`] is the whole syntax tree, names as they were given. A [`Matcher`] is a query made
//! ready: names replaced by all their aliases, patterns compiled, cheap conditions first. Matching,
//! what a store can leave out ([`Necessary`]) and what it must read ([`Needs`]) come from the same
//! compiled tree, so they cannot disagree.
//!
//! # When a request matches
//!
//! Every query either holds on a span or does not; **a request matches when the query holds on at
//! least one of its spans.**
//!
//! | on a span | holds when |
//! |---|---|
//! | a [`SpanField`], an attribute, a word | it holds on this very span |
//! | a [`RequestField`] (`trace.…`) | it holds on the request: on all its spans or on none |
//! | [`Query::And`], [`Query::Or`], [`Query::Not`] | all, any, not the one holds on this span |
//! | [`Query::SomeSpan`] (`{ … }`) | the query inside holds on some span of the request: on all or none |
//! | [`Query::Related`] | the right side holds on this span, and the left on one it is so related to |
//!
//! So `name = a and status = error` wants one span that is both; `{name = a} and {status = error}`
//! wants two that may differ. `not name = a` is a span of another name; `not {name = a}` is a request
//! without any span of that name. `trace.duration > 1s and name = a` is a span `a` in a request of
//! more than a second.
//!
//! # When a condition holds
//!
//! A field has no, one or many values: an attribute may be on the span, its resource, its events and
//! links, under old and new names, twice, or an array; a request has many services.
//!
//! - `exists`: there is a value, be it an empty one.
//! - `=`, `<`, `<=`, `>`, `>=` and a pattern hold when they do on **any** value.
//! - `!=` and "does not match" hold when there is a value, and `=` (the pattern) holds on **none**.
//!   On what is absent they are false, as in `TraceQL`; `not x = 1` is true there.
//! - Attribute values are **equal when their canonical texts are the same**
//!   ([`canonical_texts`]): 500, 500.0 and `"500"` are equal, as are true and `"true"`; `"500.0"` equals
//!   only itself, so versions stay apart. NaN equals nothing, nor do bytes, maps and empty values.
//! - **Order** is by number, exactly: attributes that are whole or floating-point numbers, or text
//!   that is a decimal number (`"0500"`, `"1e3"`). All else is neither less nor more.
//! - Durations are nanoseconds, in queries and in attributes.
//! - Patterns are regular expressions, found anywhere in the text (`^…$` for all of it; who reads
//!   `TraceQL`, which wants all of it, writes `^(?:…)$`). They see numbers and truth values as their
//!   canonical text.
//! - A word is found, in whatever case, in span and service names, status messages, event names and
//!   the values of attributes of span, resource, events and links, in lists and maps too.

mod alias;
mod check;
mod compile;
mod error;
mod field;
mod matcher;
mod necessary;
mod relation;
mod request;
mod span;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod value;

pub(crate) use self::alias::canonical_name;
pub use self::error::QueryError;
pub use self::field::{Field, RequestField, Scope, SpanField};
pub use self::matcher::{Matcher, Needs};
pub use self::necessary::{MayHave, Necessary, Pattern, Values};
pub use self::request::SummaryLimits;
pub use self::text::{Names, ParseError, Place, Word, WordKind};
pub use self::value::{Value, canonical_texts};

/// How many levels a query may have. Who builds queries from text stops there while reading.
pub const DEPTH_MAX: usize = 64;

/// How many nodes a query may have.
pub const NODES_MAX: usize = 1_000;

/// How many patterns and words a query may have.
pub const PATTERNS_MAX: usize = 32;

/// How long a pattern or word may be, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1_000;

/// How long all attribute names, values, patterns and words of a query may be together, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// What to ask of requests; the module's head says when one matches.
///
/// The default is the empty query, which matches every request.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// All of these hold; without any, always. What is made of text has two or more (see
    /// [`Self::all_of`]), save for the empty query.
    And(Vec<Query>),
    /// Any of these holds; without any, never. What is made of text has two or more.
    Or(Vec<Query>),
    /// This does not hold.
    Not(Box<Query>),
    /// This holds on some span of the request, whichever: `{ … }`.
    SomeSpan(Box<Query>),
    /// `right` holds on the span, and `left` on a span to which it is in this relation.
    Related {
        /// What the other span must be.
        left: Box<Query>,
        /// What the span is to the other.
        relation: Relation,
        /// Whether there must be no such other span instead; `right` must hold all the same.
        negated: bool,
        /// What the span itself must be.
        right: Box<Query>,
    },
    /// A field compares with a value.
    Compare {
        /// What is compared.
        field: Field,
        /// How.
        op: Op,
        /// With what.
        value: Value,
    },
    /// A field matches a regular expression.
    Pattern {
        /// What is looked at.
        field: Field,
        /// Whether it must exist and not match instead.
        negated: bool,
        /// The expression, in the syntax of the crate `regex`.
        pattern: String,
    },
    /// A field has a value.
    Exists(Field),
    /// The text occurs in one of the span's names or values.
    Word(String),
}

/// What a span is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// It hangs right under the other: `other > span`.
    Child,
    /// The other hangs right under it: `other < span`.
    Parent,
    /// It hangs somewhere under the other: `other >> span`.
    Descendant,
    /// The other hangs somewhere under it: `other << span`.
    Ancestor,
    /// They hang under the same span and are not the same: `other ~ span`. Spans on their own
    /// (roots, orphans) have no siblings.
    Sibling,
}

/// How a field compares with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Op {
    /// How it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self::And(Vec::new())
    }
}

impl Query {
    /// All of `queries`; a single one is itself, none is the empty query.
    pub fn all_of(queries: impl IntoIterator<Item = Self>) -> Self {
        single(queries).unwrap_or_else(Self::And)
    }

    /// Any of `queries`; a single one is itself, none never holds.
    pub fn any_of(queries: impl IntoIterator<Item = Self>) -> Self {
        single(queries).unwrap_or_else(Self::Or)
    }

    /// The opposite of `query`.
    pub fn negated(query: Self) -> Self {
        Self::Not(Box::new(query))
    }

    /// Some span of the request for which `query` holds.
    pub fn some_span(query: Self) -> Self {
        Self::SomeSpan(Box::new(query))
    }

    /// A span for which `right` holds, in `relation` to one for which `left` does.
    pub fn related(left: Self, relation: Relation, right: Self) -> Self {
        Self::Related {
            left: Box::new(left),
            relation,
            negated: false,
            right: Box::new(right),
        }
    }

    /// A span for which `right` holds, in `relation` to none for which `left` does.
    pub fn not_related(left: Self, relation: Relation, right: Self) -> Self {
        Self::Related {
            left: Box::new(left),
            relation,
            negated: true,
            right: Box::new(right),
        }
    }

    /// `field` compared with `value`.
    pub fn compare(field: impl Into<Field>, op: Op, value: impl Into<Value>) -> Self {
        Self::Compare {
            field: field.into(),
            op,
            value: value.into(),
        }
    }

    /// `field` matching `pattern`.
    pub fn pattern(field: impl Into<Field>, pattern: impl Into<String>) -> Self {
        Self::Pattern {
            field: field.into(),
            negated: false,
            pattern: pattern.into(),
        }
    }

    /// Whether any of its conditions is on the request, of which a summary tells.
    pub fn asks_of_request(&self) -> bool {
        let mut fields = self.fields();
        fields.any(|field| matches!(field, Some(Field::Request(_))))
    }

    /// Whether all of its conditions are on these fields of the request.
    pub fn asks_only_of(&self, fields: &[RequestField]) -> bool {
        self.fields()
            .all(|field| matches!(field, Some(Field::Request(of)) if fields.contains(of)))
    }

    /// The field of each of its conditions; `None` for words, which are looked for in many.
    fn fields(&self) -> impl Iterator<Item = Option<&Field>> {
        let mut queries = vec![self];
        std::iter::from_fn(move || {
            loop {
                let query = queries.pop()?;
                match query {
                    Self::Compare { field, .. }
                    | Self::Pattern { field, .. }
                    | Self::Exists(field) => return Some(Some(field)),
                    Self::Word(_) => return Some(None),
                    _ => queries.extend(query.children()),
                }
            }
        })
    }

    /// The queries directly in this one.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Self> {
        let (list, left, right): (&[Self], _, _) = match self {
            Self::And(queries) | Self::Or(queries) => (queries, None, None),
            Self::Not(query) | Self::SomeSpan(query) => (&[], Some(&**query), None),
            Self::Related { left, right, .. } => (&[], Some(&**left), Some(&**right)),
            Self::Compare { .. } | Self::Pattern { .. } | Self::Exists(_) | Self::Word(_) => {
                (&[], None, None)
            }
        };
        list.iter().chain(left).chain(right)
    }
}

/// The only query there is, or all of them.
fn single(queries: impl IntoIterator<Item = Query>) -> Result<Query, Vec<Query>> {
    let mut queries: Vec<Query> = queries.into_iter().collect();
    if queries.len() == 1 {
        Ok(queries.remove(0))
    } else {
        Err(queries)
    }
}

#[cfg(test)]
mod tests;
