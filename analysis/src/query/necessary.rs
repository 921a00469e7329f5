//! What holds on every trace that matches: what a store may leave out without reading it.

use longpole_proto::AttributeValue;
use regex::Regex;

use super::check::{Check, Hit, Outcome};
use super::compile::Node;
use super::field::{RequestField, Scope, SpanField};
use super::request::RequestCondition;
use super::span::SpanCondition;
use super::value::Scalar;

/// What holds on every trace that matches a query; more traces may have it than match.
///
/// A store asks [`Self::may_hold`] of whatever it can look up without reading traces: a block's
/// filters and ranges, a row of an index. That must be of whole traces: where the spans of one lie in
/// several blocks, each may have what the others lack, and is asked for the trace together. Texts are whole and canonical
/// ([`canonical_texts`](super::canonical_texts)); a store that keeps the beginnings of texts cuts
/// what it is asked for likewise.
#[derive(Debug, Clone, PartialEq)]
pub enum Necessary {
    /// Nothing is known: always holds.
    Unknown,
    /// All of these.
    All(Vec<Necessary>),
    /// One of these; without any nothing ever matches.
    Any(Vec<Necessary>),
    /// In `scope` a span has a value with this canonical text under one of the keys.
    Attribute {
        /// Whose attribute it is.
        scope: Scope,
        /// All names of it.
        keys: Vec<String>,
        /// The canonical text.
        value: String,
    },
    /// In `scope` a span has one of these values under one of the keys.
    Value {
        /// Whose attribute it is.
        scope: Scope,
        /// All names of it.
        keys: Vec<String>,
        /// Which values.
        values: Values,
    },
    /// In `scope` a span has one of the keys.
    Key {
        /// Whose attribute it is.
        scope: Scope,
        /// All names of it.
        keys: Vec<String>,
    },
    /// One span is of this service and has this name, as far as they are given.
    Operation {
        /// The service.
        service: Option<String>,
        /// The span name.
        name: Option<String>,
    },
    /// One span's service or name has this pattern.
    Matching {
        /// [`SpanField::Service`] or [`SpanField::Name`].
        field: SpanField,
        /// What occurs in it.
        pattern: Pattern,
    },
    /// The request's number lies in this range, both ends included.
    Number {
        /// Which number.
        field: RequestField,
        /// The least it can be.
        least: u64,
        /// The most it can be.
        greatest: u64,
    },
    /// One of the request's texts is this one.
    Text {
        /// Which text.
        field: RequestField,
        /// What it is.
        value: String,
    },
}

/// A pattern that occurs in a text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it occurs in a text, which is whole.
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

/// The values an attribute may have: numbers on one side of another, or texts with a pattern.
#[derive(Debug, Clone)]
pub struct Values(Check);

impl Values {
    /// Whether this is one of them, or of a list an element is.
    pub fn has(&self, value: &AttributeValue) -> bool {
        self.0.of_value(value, &mut String::new()) == Outcome::Hit
    }

    /// Whether a text is.
    pub fn has_text(&self, text: &str) -> bool {
        self.0.hits(Scalar::Text(text), &mut String::new())
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0.hit, &other.0.hit) {
            (Hit::Order { op, number }, Hit::Order { op: of, number: to }) => {
                (op, number) == (of, to)
            }
            (Hit::Pattern(one), Hit::Pattern(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

/// What a store can say of some traces without reading them: `false` only where it is sure that none
/// of them has it. What it cannot look up it leaves as it is: then they may.
#[expect(unused_variables, reason = "the defaults know nothing")]
pub trait MayHave {
    /// Whether a span may have, in `scope`, a value with the canonical text `value` under `key`. The
    /// scope [`Scope::Any`] is any of the others.
    fn attribute(&self, scope: Scope, key: &str, value: &str) -> bool {
        true
    }

    /// Whether a span may have one of these values under `key` in `scope`.
    fn value(&self, scope: Scope, key: &str, values: &Values) -> bool {
        self.key(scope, key)
    }

    /// Whether a span may have an attribute `key` in `scope`.
    fn key(&self, scope: Scope, key: &str) -> bool {
        true
    }

    /// Whether a span may be of this service and have this name, as far as they are given.
    fn operation(&self, service: Option<&str>, name: Option<&str>) -> bool {
        true
    }

    /// Whether a span's service or name, as `field` says, may have a pattern.
    fn matching(&self, field: SpanField, pattern: &Pattern) -> bool {
        true
    }

    /// Whether a request's number may lie between the two, both included.
    fn number(&self, field: RequestField, least: u64, greatest: u64) -> bool {
        true
    }

    /// Whether one of a request's texts may be `value`.
    fn text(&self, field: RequestField, value: &str) -> bool {
        true
    }
}

impl Necessary {
    /// Whether one of the traces that `traces` stands for may match; `false` is sure.
    pub fn may_hold(&self, traces: &(impl MayHave + ?Sized)) -> bool {
        match self {
            Self::Unknown => true,
            Self::All(all) => all.iter().all(|one| one.may_hold(traces)),
            Self::Any(any) => any.iter().any(|one| one.may_hold(traces)),
            Self::Attribute { scope, keys, value } => {
                keys.iter().any(|key| traces.attribute(*scope, key, value))
            }
            Self::Value {
                scope,
                keys,
                values,
            } => keys.iter().any(|key| traces.value(*scope, key, values)),
            Self::Key { scope, keys } => keys.iter().any(|key| traces.key(*scope, key)),
            Self::Operation { service, name } => {
                traces.operation(service.as_deref(), name.as_deref())
            }
            Self::Matching { field, pattern } => traces.matching(*field, pattern),
            Self::Number {
                field,
                least,
                greatest,
            } => least <= greatest && traces.number(*field, *least, *greatest),
            Self::Text { field, value } => traces.text(*field, value),
        }
    }

    /// Never holds.
    const NEVER: Self = Self::Any(Vec::new());

    fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            match part {
                Self::Unknown => {}
                Self::All(more) => all.extend(more),
                Self::Any(any) if any.is_empty() => return Self::NEVER,
                part => all.push(part),
            }
        }
        match all.len() {
            0 => Self::Unknown,
            1 => all.remove(0),
            _ => Self::All(all),
        }
    }

    fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut any = Vec::new();
        for part in parts {
            match part {
                Self::Unknown => return Self::Unknown,
                Self::Any(more) => any.extend(more),
                part => any.push(part),
            }
        }
        match any.len() {
            1 => any.remove(0),
            _ => Self::Any(any),
        }
    }

    fn operation(service: Option<&str>, name: Option<&str>) -> Self {
        Self::Operation {
            service: service.map(str::to_owned),
            name: name.map(str::to_owned),
        }
    }
}

/// What holds on a trace when the node holds on one of its spans.
pub(super) fn necessary(node: &Node) -> Necessary {
    match node {
        Node::And(nodes) => and(nodes),
        Node::Or(nodes) => Necessary::any(nodes.iter().map(necessary)),
        Node::Not(_) => Necessary::Unknown,
        Node::SomeSpan(node) => necessary(node),
        Node::Related {
            left,
            negated,
            right,
            ..
        } => Necessary::all(
            [&**right]
                .into_iter()
                .chain((!negated).then_some(&**left))
                .map(necessary),
        ),
        Node::Request(condition) => of_request(condition),
        Node::Span(condition) => of_span(condition),
    }
}

/// As all of them, but a service and a name that are asked of one span are one operation.
fn and(nodes: &[Node]) -> Necessary {
    let service = nodes
        .iter()
        .position(|node| is_text(node, SpanField::Service).is_some());
    let name = nodes
        .iter()
        .position(|node| is_text(node, SpanField::Name).is_some());
    let (Some(service), Some(name)) = (service, name) else {
        return Necessary::all(nodes.iter().map(necessary));
    };
    let operation = Necessary::operation(
        is_text(&nodes[service], SpanField::Service),
        is_text(&nodes[name], SpanField::Name),
    );
    let others = nodes
        .iter()
        .enumerate()
        .filter(|&(at, _)| at != service && at != name)
        .map(|(_, node)| necessary(node));
    Necessary::all([operation].into_iter().chain(others))
}

/// The text that the node wants the span's field to have.
fn is_text(node: &Node, wanted: SpanField) -> Option<&str> {
    match node {
        Node::Span(SpanCondition::Field { field, check }) if *field == wanted => text(check),
        _ => None,
    }
}

/// The only text that the check lets pass.
fn text(check: &Check) -> Option<&str> {
    match &check.hit {
        Hit::Text { text, .. } if !check.negated => text.as_deref(),
        _ => None,
    }
}

/// Whether the check lets nothing pass.
fn is_never(check: &Check) -> bool {
    !check.negated
        && match &check.hit {
            Hit::Text { text, .. } => text.is_none(),
            Hit::Range { least, greatest } => least > greatest,
            Hit::Any | Hit::Order { .. } | Hit::Pattern(_) => false,
        }
}

fn of_request(condition: &RequestCondition) -> Necessary {
    let RequestCondition { field, check } = condition;
    if is_never(check) {
        return Necessary::NEVER;
    }
    if let (Hit::Range { least, greatest }, false) = (&check.hit, check.negated) {
        return Necessary::Number {
            field: *field,
            least: *least,
            greatest: *greatest,
        };
    }
    let Some(value) = text(check) else {
        return Necessary::Unknown;
    };
    let span = match field {
        RequestField::RootService
        | RequestField::Service
        | RequestField::SlowestHopService
        | RequestField::CulpritService => Necessary::operation(Some(value), None),
        RequestField::RootName | RequestField::SlowestHopName | RequestField::CulpritName => {
            Necessary::operation(None, Some(value))
        }
        _ => Necessary::Unknown,
    };
    let text = Necessary::Text {
        field: *field,
        value: value.to_owned(),
    };
    Necessary::all([text, span])
}

fn of_span(condition: &SpanCondition) -> Necessary {
    match condition {
        SpanCondition::Field { check, .. } | SpanCondition::Attribute { check, .. }
            if is_never(check) =>
        {
            Necessary::NEVER
        }
        SpanCondition::Field {
            field: field @ (SpanField::Service | SpanField::Name),
            check:
                Check {
                    hit: Hit::Pattern(pattern),
                    negated: false,
                },
        } => Necessary::Matching {
            field: *field,
            pattern: Pattern(pattern.clone()),
        },
        SpanCondition::Field { field, check } => match (field, text(check)) {
            (SpanField::Service, Some(service)) => Necessary::operation(Some(service), None),
            (SpanField::Name, Some(name)) => Necessary::operation(None, Some(name)),
            (SpanField::Status, Some("error")) => Necessary::Number {
                field: RequestField::Errors,
                least: 1,
                greatest: u64::MAX,
            },
            _ => Necessary::Unknown,
        },
        SpanCondition::Attribute { scope, keys, check } => {
            let (scope, keys) = (*scope, keys.clone());
            match (text(check), &check.hit) {
                (Some(value), _) => Necessary::Attribute {
                    scope,
                    keys,
                    value: value.to_owned(),
                },
                (None, Hit::Order { .. } | Hit::Pattern(_)) if !check.negated => Necessary::Value {
                    scope,
                    keys,
                    values: Values(check.clone()),
                },
                _ => Necessary::Key { scope, keys },
            }
        }
        SpanCondition::Word(_) => Necessary::Unknown,
    }
}
