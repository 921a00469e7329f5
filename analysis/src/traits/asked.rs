//! What a search asks for, so that it is not told as news.

use crate::query::{Field, Op, Query, RequestField, SpanField, canonical_name};

use super::{Fact, What};

/// The conditions of a query.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What must be equal, or may: field and the value's text.
    equal: Vec<(Field, String)>,
    is_narrow: bool,
    is_of_slowest_hop: bool,
}

impl Asked {
    /// What a query asks for.
    pub fn of(query: &Query) -> Self {
        let mut asked = Self {
            equal: Vec::new(),
            is_narrow: false,
            is_of_slowest_hop: false,
        };
        let mut queries = vec![query];
        while let Some(query) = queries.pop() {
            asked.is_narrow |= is_narrow(query);
            match query {
                // What must not be is news where it is.
                Query::Not(_) => {}
                Query::Compare {
                    field,
                    op: Op::Eq,
                    value,
                } => {
                    asked.is_of_slowest_hop |= is_of_slowest_hop(field);
                    asked
                        .equal
                        .extend(value.canonical_text().map(|text| (field.clone(), text)));
                }
                query => queries.extend(query.children()),
            }
        }
        asked
    }

    /// What of a query only says of which services and operations requests are, beside all else that it asks:
    /// who is compared with who is found must be so, too, or whatever comes with them is told as news.
    pub fn frame(query: &Query) -> Query {
        let mut kept = Vec::new();
        let mut queries = vec![query];
        while let Some(query) = queries.pop() {
            match query {
                Query::And(all) => queries.extend(all.iter().rev()),
                query if Self::of(query).is_narrow => {}
                query => kept.push(query.clone()),
            }
        }
        Query::all_of(kept)
    }

    /// Whether it narrows to some of the requests of an operation: whether it asks for more than
    /// services and names.
    pub fn is_narrow(&self) -> bool {
        self.is_narrow
    }

    /// Whether it asks what the slowest hop is.
    pub fn is_of_slowest_hop(&self) -> bool {
        self.is_of_slowest_hop
    }

    /// Whether it says, of whichever service, what a fact says.
    pub fn says(&self, fact: &Fact) -> bool {
        if fact.what == What::Service {
            return self.has(&SpanField::Service.into(), &fact.service);
        }
        let conditions = fact.conditions();
        conditions.iter().all(|(field, value)| {
            value
                .canonical_text()
                .is_some_and(|text| self.has(field, &text))
        })
    }

    fn has(&self, field: &Field, text: &str) -> bool {
        self.equal
            .iter()
            .any(|(asked, value)| value == text && is_same(asked, field))
    }
}

/// Whether one field, as asked for, is or includes the other.
fn is_same(asked: &Field, field: &Field) -> bool {
    match (asked, field) {
        (
            Field::Attribute { scope, key },
            Field::Attribute {
                scope: of,
                key: name,
            },
        ) => {
            let is_there = *scope == crate::query::Scope::Any || scope == of;
            is_there && canonical_name(key) == canonical_name(name)
        }
        (asked, field) => asked == field,
    }
}

/// Whether a single condition asks for more than services and names.
fn is_narrow(query: &Query) -> bool {
    match query {
        Query::Compare {
            field, op: Op::Eq, ..
        } => !matches!(
            field,
            Field::Span(SpanField::Service | SpanField::Name)
                | Field::Request(
                    RequestField::Service | RequestField::RootService | RequestField::RootName
                )
        ),
        Query::Compare { .. }
        | Query::Pattern { .. }
        | Query::Exists(_)
        | Query::Word(_)
        | Query::Not(_)
        | Query::Related { .. } => true,
        Query::And(_) | Query::Or(_) | Query::SomeSpan(_) => false,
    }
}

fn is_of_slowest_hop(field: &Field) -> bool {
    matches!(
        field,
        Field::Request(RequestField::SlowestHopService | RequestField::SlowestHopName)
    )
}
