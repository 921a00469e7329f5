//! Queries at random, and traces in which they find something.

use std::time::Duration;

use longpole_proto::testing::{MS, SpanBuilder, parts_of, span_id, trace_id};
use longpole_proto::{
    Attribute, AttributeValue, Attributes, Event, SpanKind, Status, StatusCode, Trace,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::{Field, Op, Query, Relation, RequestField, Scope, SpanField, Value};

const NAMES: [&str; 4] = ["a", "GET /stock", "500", ""];
const SERVICES: [&str; 3] = ["web", "shop", "Bücher"];
const KEYS: [&str; 6] = [
    "http.status_code",
    "http.response.status_code",
    "db.system",
    "db.system.name",
    "user",
    "n",
];
const TEXTS: [&str; 7] = ["500", "500.0", "0.5", "true", "", "postgresql", "Ärger"];
const INTS: [i64; 5] = [500, 0, -1, 9_007_199_254_740_993, 5_000_000];
const DOUBLES: [f64; 5] = [500.0, 0.5, -0.0, 9_007_199_254_740_992.0, -1.5];
const PATTERNS: [&str; 6] = ["^5", "o", "0$", "^true$", "(?i)BÜ", "^$"];
const WORDS: [&str; 6] = ["stock", "SHOP", "50", "bÜch", "postgres", ""];

/// Any query that can be matched, of up to four levels, over the names and values of
/// [`any_searchable_trace`].
pub fn any_query() -> impl Strategy<Value = Query> {
    any_condition().prop_recursive(3, 24, 3, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..=3).prop_map(Query::And),
            prop::collection::vec(inner, 2..=3).prop_map(Query::Or),
            boxed.clone().prop_map(Query::Not),
            boxed.clone().prop_map(Query::SomeSpan),
            (boxed.clone(), any_relation(), any::<bool>(), boxed).prop_map(
                |(left, relation, negated, right)| Query::Related {
                    left,
                    relation,
                    negated,
                    right,
                }
            ),
        ]
    })
}

/// Any trace of up to `n_spans_max` spans in which [`any_query`] finds something: attributes of all
/// types and scopes, events, links, errors, orphans, cycles, shared ids.
pub fn any_searchable_trace(n_spans_max: usize) -> impl Strategy<Value = Trace> {
    let n_max = n_spans_max as u64;
    let span = (
        (1..=n_max + 1, 0..=n_max + 1),
        (0..60_u64, 0..60_u64),
        (select(&NAMES[..]), select(&SERVICES[..])),
        (0..6_i32, 0..3_i32, select(&TEXTS[..])),
        any_attributes(3),
        prop::option::of((select(&NAMES[..]), any_attributes(2))),
        prop::option::of(any_attributes(2)),
    )
        .prop_map(
            |(
                (id, parent),
                (start, end),
                (name, service),
                (kind, status, message),
                attributes,
                event,
                link,
            )| {
                let mut span = SpanBuilder::new(id, name)
                    .at(start, end)
                    .service(service)
                    .kind(SpanKind::from_number(kind));
                if parent > 0 {
                    span = span.parent(parent);
                }
                if link.is_some() {
                    span = span.link(parent.max(1));
                }
                span.with(|span| {
                    span.attributes = attributes;
                    span.status = Status {
                        code: StatusCode::from_number(status),
                        message: message.to_owned(),
                    };
                    span.events.extend(event.map(|(name, attributes)| Event {
                        name: name.to_owned(),
                        attributes,
                        ..Event::default()
                    }));
                    for (to, attributes) in span.links.iter_mut().zip(link) {
                        to.attributes = attributes;
                    }
                })
            },
        );
    let resources = prop::collection::vec((any::<bool>(), any_attributes(2)), SERVICES.len());
    (prop::collection::vec(span, 1..=n_spans_max), resources).prop_map(|(spans, resources)| {
        let mut parts = parts_of(spans);
        for (resource, (is_named, more)) in parts.resources.iter_mut().zip(resources) {
            let resource = std::sync::Arc::make_mut(resource);
            if !is_named {
                resource.attributes = Attributes::default();
            }
            resource.attributes.0.extend(more.0);
        }
        Trace::new(trace_id(), parts).expect("there is a span")
    })
}

/// Any value of an attribute of [`any_searchable_trace`].
pub fn any_attribute_value() -> impl Strategy<Value = AttributeValue> {
    let scalar = prop_oneof![
        4 => select(&TEXTS[..]).prop_map(AttributeValue::from),
        4 => select(&INTS[..]).prop_map(AttributeValue::Int),
        4 => select(&DOUBLES[..]).prop_map(AttributeValue::Double),
        2 => any::<bool>().prop_map(AttributeValue::Bool),
        1 => Just(AttributeValue::Double(f64::NAN)),
        1 => Just(AttributeValue::Empty),
        1 => Just(AttributeValue::Bytes(b"500".to_vec())),
    ];
    scalar.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..=3).prop_map(AttributeValue::Array),
            inner.prop_map(|value| AttributeValue::Map(Attributes(vec![Attribute {
                key: "user".to_owned(),
                value,
            }]))),
        ]
    })
}

fn any_attributes(n_max: usize) -> impl Strategy<Value = Attributes> {
    let attribute = (select(&KEYS[..]), any_attribute_value()).prop_map(|(key, value)| Attribute {
        key: key.to_owned(),
        value,
    });
    prop::collection::vec(attribute, 0..=n_max).prop_map(Attributes)
}

/// Any relation.
pub fn any_relation() -> impl Strategy<Value = Relation> {
    select(
        &[
            Relation::Child,
            Relation::Parent,
            Relation::Descendant,
            Relation::Ancestor,
            Relation::Sibling,
        ][..],
    )
}

fn any_condition() -> impl Strategy<Value = Query> {
    prop_oneof![
        4 => any_comparison(),
        1 => (any_text_field(), any::<bool>(), select(&PATTERNS[..])).prop_map(
            |(field, negated, pattern)| Query::Pattern {
                field,
                negated,
                pattern: pattern.to_owned(),
            }
        ),
        1 => any_field().prop_map(Query::Exists),
        1 => select(&WORDS[..]).prop_map(|word| Query::Word(word.to_owned())),
    ]
}

fn any_comparison() -> impl Strategy<Value = Query> {
    let equality = || select(&[Op::Eq, Op::Ne][..]);
    let op = || select(&[Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge][..]);
    let compare = |(field, op, value)| Query::Compare { field, op, value };
    prop_oneof![
        3 => (any_attribute(), equality(), any_value()).prop_map(compare),
        1 => (any_attribute(), op(), any_number()).prop_map(compare),
        2 => any_text_comparison(),
        1 => (any_choice(), equality()).prop_map(|((field, value), op)| Query::compare(field, op, value)),
        1 => (any_id(), equality()).prop_map(|((field, value), op)| Query::Compare { field, op, value }),
        1 => (any_duration_field(), op(), any_duration()).prop_map(compare),
        1 => (
            select(&[RequestField::Spans, RequestField::Errors][..]),
            op(),
            prop_oneof![
                (0..8_i64).prop_map(Value::Int),
                (0..16_i32).prop_map(|number| Value::Double(f64::from(number) / 2.0)),
            ],
        )
            .prop_map(|(field, op, value)| Query::compare(field, op, value)),
    ]
}

fn any_text_comparison() -> impl Strategy<Value = Query> {
    let value = prop_oneof![
        select(&NAMES[..]).prop_map(Value::from),
        select(&SERVICES[..]).prop_map(Value::from),
        select(&TEXTS[..]).prop_map(Value::from),
        Just(Value::Int(500)),
        Just(Value::from("unknown_service")),
    ];
    (text_field(), select(&[Op::Eq, Op::Ne][..]), value)
        .prop_map(|(field, op, value)| Query::Compare { field, op, value })
}

fn any_attribute() -> impl Strategy<Value = Field> {
    (select(&Scope::ALL[..]), select(&KEYS[..]))
        .prop_map(|(scope, key)| Field::attribute(scope, key))
}

/// Fields that are text and nothing else.
fn text_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        select(
            &[
                SpanField::Name,
                SpanField::StatusMessage,
                SpanField::Service,
                SpanField::EventName,
            ][..]
        )
        .prop_map(Field::Span),
        select(
            &[
                RequestField::RootService,
                RequestField::RootName,
                RequestField::Service,
                RequestField::SlowestHopService,
                RequestField::SlowestHopName,
                RequestField::CulpritService,
                RequestField::CulpritName,
                RequestField::CulpritPeer,
            ][..]
        )
        .prop_map(Field::Request),
    ]
}

/// Fields that patterns look at.
fn any_text_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        text_field(),
        any_attribute(),
        select(
            &[
                SpanField::Kind,
                SpanField::Status,
                SpanField::SpanId,
                SpanField::ParentId,
            ][..]
        )
        .prop_map(Field::Span),
        Just(Field::Request(RequestField::Id)),
    ]
}

fn any_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        2 => any_attribute(),
        1 => select(&SpanField::ALL[..]).prop_map(Field::Span),
        1 => select(&RequestField::ALL[..]).prop_map(Field::Request),
    ]
}

fn any_choice() -> impl Strategy<Value = (SpanField, &'static str)> {
    select(
        &[
            (SpanField::Kind, "server"),
            (SpanField::Kind, "Client"),
            (SpanField::Kind, "unspecified"),
            (SpanField::Status, "error"),
            (SpanField::Status, "OK"),
            (SpanField::Status, "unset"),
        ][..],
    )
}

fn any_id() -> impl Strategy<Value = (Field, Value)> {
    prop_oneof![
        (
            select(&[SpanField::SpanId, SpanField::ParentId][..]),
            1..8_u64
        )
            .prop_map(|(field, n)| (
                Field::Span(field),
                Value::String(span_id(n).to_string().to_uppercase())
            )),
        Just((
            Field::Request(RequestField::Id),
            Value::String(trace_id().to_string())
        )),
    ]
}

fn any_duration_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        select(&[SpanField::Duration, SpanField::SelfTime][..]).prop_map(Field::Span),
        select(&[RequestField::Duration, RequestField::SlowestHopDuration][..])
            .prop_map(Field::Request),
    ]
}

fn any_duration() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..60_u64).prop_map(|ms| Value::Duration(Duration::from_millis(ms))),
        (0..60_u64).prop_map(|ms| Value::Int(i64::try_from(ms * MS).expect("less than an hour"))),
        Just(Value::Double(0.5)),
        Just(Value::Int(-1)),
    ]
}

fn any_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(&INTS[..]).prop_map(Value::Int),
        select(&DOUBLES[..]).prop_map(Value::Double),
        Just(Value::Duration(Duration::from_millis(5))),
        Just(Value::from("500")),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => select(&TEXTS[..]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::Bool),
        2 => any_number(),
    ]
}
