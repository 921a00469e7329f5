//! A query made ready: checked against its limits, names replaced by all their aliases, patterns
//! compiled, what is cheap to find out before what is not.

use super::check::{Check, Hit, word};
use super::error::QueryError;
use super::field::{Field, Scope, SpanField};
use super::request::RequestCondition;
use super::span::SpanCondition;
use super::value::Value;
use super::{DEPTH_MAX, NODES_MAX, PATTERNS_MAX, Query, Relation, TEXT_BYTES_MAX, alias};

/// A query made ready, of the same shape but for the order in which conditions stand.
#[derive(Debug, Clone)]
pub(super) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    SomeSpan(Box<Node>),
    Related {
        left: Box<Node>,
        relation: Relation,
        negated: bool,
        right: Box<Node>,
    },
    Request(RequestCondition),
    Span(SpanCondition),
}

/// Makes a query ready.
pub(super) fn compile(query: &Query) -> Result<Node, QueryError> {
    check_limits(query)?;
    node(query)
}

/// Refuses what would recurse deep, take long or take much memory. Does not recurse itself.
fn check_limits(query: &Query) -> Result<(), QueryError> {
    let (mut n_nodes, mut n_patterns, mut n_text_bytes) = (0, 0, 0);
    let mut stack = vec![(query, 1)];
    while let Some((query, depth)) = stack.pop() {
        n_nodes += 1;
        n_patterns += usize::from(matches!(query, Query::Pattern { .. } | Query::Word(_)));
        if depth > DEPTH_MAX {
            return Err(QueryError::TooDeep);
        }
        if n_nodes + stack.len() > NODES_MAX {
            return Err(QueryError::TooLarge);
        }
        if n_patterns > PATTERNS_MAX {
            return Err(QueryError::TooManyPatterns);
        }
        n_text_bytes += text_bytes(query);
        if n_text_bytes > TEXT_BYTES_MAX {
            return Err(QueryError::TooMuchText);
        }
        stack.extend(query.children().map(|child| (child, depth + 1)));
    }
    Ok(())
}

/// How much text a node itself has.
fn text_bytes(query: &Query) -> usize {
    let of_field = |field: &Field| match field {
        Field::Attribute { key, .. } => key.len(),
        Field::Span(_) | Field::Request(_) => 0,
    };
    match query {
        Query::Compare { field, value, .. } => {
            let of_value = match value {
                Value::String(text) => text.len(),
                Value::Int(_) | Value::Double(_) | Value::Bool(_) | Value::Duration(_) => 0,
            };
            of_field(field) + of_value
        }
        Query::Pattern { field, pattern, .. } => of_field(field) + pattern.len(),
        Query::Exists(field) => of_field(field),
        Query::Word(text) => text.len(),
        Query::And(_)
        | Query::Or(_)
        | Query::Not(_)
        | Query::SomeSpan(_)
        | Query::Related { .. } => 0,
    }
}

/// Recurses no deeper than [`DEPTH_MAX`].
fn node(query: &Query) -> Result<Node, QueryError> {
    let boxed = |query| node(query).map(Box::new);
    Ok(match query {
        Query::And(queries) => Node::And(cheapest_first(queries)?),
        Query::Or(queries) => Node::Or(cheapest_first(queries)?),
        Query::Not(query) => Node::Not(boxed(query)?),
        Query::SomeSpan(query) => Node::SomeSpan(boxed(query)?),
        Query::Related {
            left,
            relation,
            negated,
            right,
        } => Node::Related {
            left: boxed(left)?,
            relation: *relation,
            negated: *negated,
            right: boxed(right)?,
        },
        Query::Compare { field, op, value } => {
            condition(field, Check::compare(field, field.sort(), *op, value)?)
        }
        Query::Pattern {
            field,
            negated,
            pattern,
        } => condition(
            field,
            Check::pattern(field, field.sort(), pattern, *negated)?,
        ),
        Query::Exists(field) => condition(field, Check::EXISTS),
        Query::Word(text) => Node::Span(SpanCondition::Word(word(text)?)),
    })
}

fn cheapest_first(queries: &[Query]) -> Result<Vec<Node>, QueryError> {
    let mut nodes = queries.iter().map(node).collect::<Result<Vec<_>, _>>()?;
    nodes.sort_by_cached_key(cost);
    Ok(nodes)
}

fn condition(field: &Field, check: Check) -> Node {
    match field {
        Field::Span(field) => Node::Span(SpanCondition::Field {
            field: *field,
            check,
        }),
        Field::Request(field) => Node::Request(RequestCondition {
            field: *field,
            check,
        }),
        Field::Attribute { scope, key } => Node::Span(SpanCondition::Attribute {
            scope: *scope,
            keys: alias::names_of(key),
            check,
        }),
    }
}

/// About how much work a node is for each span; only the order of the costs counts.
fn cost(node: &Node) -> u64 {
    /// Looking through more spans than those that are left.
    const ALL_SPANS: u64 = 100;
    let of_check = |check: &Check, cost: u64| match check.hit {
        Hit::Pattern(_) => cost * 10,
        _ => cost,
    };
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().map(cost).sum(),
        Node::Not(node) => cost(node),
        Node::SomeSpan(node) => ALL_SPANS + cost(node),
        Node::Related { left, right, .. } => ALL_SPANS + cost(left) + cost(right),
        Node::Request(condition) if condition.field.needs_analysis() => 50,
        Node::Request(_) => 0,
        Node::Span(condition) => match condition {
            SpanCondition::Field {
                field: SpanField::SelfTime,
                ..
            } => 50,
            SpanCondition::Field {
                field: SpanField::Service,
                ..
            } => 1,
            SpanCondition::Field { check, .. } => of_check(check, 2),
            SpanCondition::Attribute { scope, check, .. } => match scope {
                Scope::Resource => of_check(check, 2),
                Scope::Span => of_check(check, 10),
                Scope::Event | Scope::Link => of_check(check, 12),
                Scope::Any => of_check(check, 20),
            },
            SpanCondition::Word(_) => 500,
        },
    }
}
