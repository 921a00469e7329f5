//! A fact: what holds on a request or does not, and the query that says it.

use crate::query::{Field, Op, Query, Scope, SpanField, Value};

/// Something that holds on a request: on one of its spans of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fact {
    /// The service.
    pub service: String,
    /// What holds on a span of it.
    pub what: What,
}

/// What holds on a span.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// An attribute has a value.
    Attribute {
        /// Whose: the resource's, the span's or an event's.
        scope: AttributeOf,
        /// Its name, as one of them had it; names of one thing are the same attribute.
        key: String,
        /// Its value, as the text by which queries know it.
        value: String,
    },
    /// Its status has a message.
    StatusMessage(String),
    /// Its status is error; that of a span of this name, or of any.
    Fails(Option<String>),
    /// It has an event of this name.
    Event(String),
    /// It has this name.
    Operation(String),
    /// It is there.
    Service,
}

/// What carries an attribute, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttributeOf {
    /// The resource.
    Resource,
    /// The span.
    Span,
    /// One of its events.
    Event,
}

impl AttributeOf {
    const fn scope(self) -> Scope {
        match self {
            Self::Resource => Scope::Resource,
            Self::Span => Scope::Span,
            Self::Event => Scope::Event,
        }
    }
}

impl Fact {
    /// The query that holds on exactly the requests on which this does.
    pub fn query(&self) -> Query {
        let service = Query::compare(SpanField::Service, Op::Eq, self.service.as_str());
        let rest = self.conditions();
        let rest = rest
            .into_iter()
            .map(|(field, value)| Query::compare(field, Op::Eq, value));
        Query::some_span(Query::all_of(std::iter::once(service).chain(rest)))
    }

    /// What must hold on a span besides its service.
    pub(super) fn conditions(&self) -> Vec<(Field, Value)> {
        let text = |field: SpanField, text: &str| (field.into(), text.into());
        match &self.what {
            What::Attribute { scope, key, value } => {
                vec![(Field::attribute(scope.scope(), key), plain(value))]
            }
            What::StatusMessage(message) => vec![text(SpanField::StatusMessage, message)],
            What::Fails(name) => {
                let name = name.iter().map(|name| text(SpanField::Name, name));
                name.chain([text(SpanField::Status, "error")]).collect()
            }
            What::Event(name) => vec![text(SpanField::EventName, name)],
            What::Operation(name) => vec![text(SpanField::Name, name)],
            What::Service => Vec::new(),
        }
    }

    /// What is told first of facts that hold on the same requests: what says most.
    pub(super) fn rank(&self) -> impl Ord + '_ {
        let place = match &self.what {
            What::Attribute { key, .. } if key.starts_with("service.") => 0,
            What::Fails(None) => 2,
            _ => 1,
        };
        (place, &self.what, &self.service)
    }
}

/// A value that has this text, written as people would.
fn plain(text: &str) -> Value {
    match text {
        "true" => return true.into(),
        "false" => return false.into(),
        _ => {}
    }
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => number.into(),
        _ => text.into(),
    }
}
