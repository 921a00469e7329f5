//! The definition in the module's head, read naively: every span, every pair of spans, no indexes.

use longpole_proto::{Attribute, AttributeValue, Attributes, StatusCode, Trace};

use crate::query::{Field, Op, Query, Relation, RequestField, Scope, SpanField, Value};
use crate::{Analysis, TraceSummary};

/// Whether the query holds on a span.
pub(super) fn holds(query: &Query, trace: &Trace, analysis: &Analysis, at: usize) -> bool {
    let here = |query: &Query| holds(query, trace, analysis, at);
    let any_span = |query: &Query, wanted: &dyn Fn(usize) -> bool| {
        (0..trace.len()).any(|other| wanted(other) && holds(query, trace, analysis, other))
    };
    match query {
        Query::And(queries) => queries.iter().all(here),
        Query::Or(queries) => queries.iter().any(here),
        Query::Not(query) => !here(query),
        Query::SomeSpan(query) => any_span(query, &|_| true),
        Query::Related {
            left,
            relation,
            negated,
            right,
        } => {
            here(right)
                && any_span(left, &|other| is_related(trace, other, *relation, at)) != *negated
        }
        Query::Compare { field, op, value } => {
            let found = values(field, trace, analysis, at);
            let value = wanted(field, value);
            let any = |op| found.iter().any(|found| compares(found, op, &value));
            match op {
                Op::Ne => !found.is_empty() && !any(Op::Eq),
                op => any(*op),
            }
        }
        Query::Pattern {
            field,
            negated,
            pattern,
        } => {
            let found = values(field, trace, analysis, at);
            let pattern = regex::Regex::new(pattern).expect("a pattern of the strategy");
            let is_match = found
                .iter()
                .flat_map(scalars)
                .filter_map(|scalar| text(&scalar))
                .any(|text| pattern.is_match(&text));
            if *negated {
                !found.is_empty() && !is_match
            } else {
                is_match
            }
        }
        Query::Exists(field) => !values(field, trace, analysis, at).is_empty(),
        Query::Word(word) => has_word(trace, at, word),
    }
}

fn is_related(trace: &Trace, other: usize, relation: Relation, at: usize) -> bool {
    let is_above = |above: usize, below: usize| {
        std::iter::successors(trace.parent(below), |&at| trace.parent(at))
            .any(|ancestor| ancestor == above)
    };
    match relation {
        Relation::Child => trace.parent(at) == Some(other),
        Relation::Parent => trace.parent(other) == Some(at),
        Relation::Descendant => is_above(other, at),
        Relation::Ancestor => is_above(at, other),
        Relation::Sibling => {
            at != other && trace.parent(at).is_some() && trace.parent(at) == trace.parent(other)
        }
    }
}

/// The values of a field, one by one.
fn values(field: &Field, trace: &Trace, analysis: &Analysis, at: usize) -> Vec<AttributeValue> {
    match field {
        Field::Span(field) => span_values(*field, trace, analysis, at),
        Field::Request(field) => request_values(*field, &analysis.summary(trace)),
        Field::Attribute { scope, key } => {
            let span = trace.span(at);
            let keys: &[&str] = match key.as_str() {
                "http.status_code" | "http.response.status_code" => {
                    &["http.status_code", "http.response.status_code"]
                }
                "db.system" | "db.system.name" => &["db.system", "db.system.name"],
                key => &[key],
            };
            let mut lists: Vec<&Attributes> = Vec::new();
            if matches!(scope, Scope::Any | Scope::Span) {
                lists.push(&span.attributes);
            }
            if matches!(scope, Scope::Any | Scope::Resource) {
                lists.push(&trace.resource(at).attributes);
            }
            if matches!(scope, Scope::Any | Scope::Event) {
                lists.extend(span.events.iter().map(|event| &event.attributes));
            }
            if matches!(scope, Scope::Any | Scope::Link) {
                lists.extend(span.links.iter().map(|link| &link.attributes));
            }
            lists
                .into_iter()
                .flatten()
                .filter(|attribute| keys.contains(&attribute.key.as_str()))
                .map(|attribute| attribute.value.clone())
                .collect()
        }
    }
}

fn span_values(
    field: SpanField,
    trace: &Trace,
    analysis: &Analysis,
    at: usize,
) -> Vec<AttributeValue> {
    let span = trace.span(at);
    match field {
        SpanField::Name => vec![span.name.as_ref().into()],
        SpanField::Kind => vec![span.kind.name().into()],
        SpanField::Status => vec![match span.status.code {
            StatusCode::Unset => "unset".into(),
            StatusCode::Ok => "ok".into(),
            StatusCode::Error => "error".into(),
        }],
        SpanField::StatusMessage if span.status.message.is_empty() => vec![],
        SpanField::StatusMessage => vec![span.status.message.as_str().into()],
        SpanField::Duration => vec![number(span.duration_nanos())],
        SpanField::SelfTime => vec![number(analysis.self_nanos[at])],
        SpanField::Service => vec![trace.service(at).into()],
        SpanField::SpanId => vec![span.span_id.to_string().as_str().into()],
        SpanField::ParentId => span
            .parent_id
            .iter()
            .map(|id| id.to_string().as_str().into())
            .collect(),
        SpanField::EventName => span
            .events
            .iter()
            .map(|event| event.name.as_str().into())
            .collect(),
    }
}

fn request_values(field: RequestField, summary: &TraceSummary) -> Vec<AttributeValue> {
    match field {
        RequestField::Id => vec![summary.trace_id.to_string().as_str().into()],
        RequestField::Start => vec![number(summary.start.0)],
        RequestField::Duration => vec![number(summary.duration_nanos)],
        RequestField::RootService => vec![summary.root_service.as_str().into()],
        RequestField::RootName => vec![summary.root_operation.as_str().into()],
        RequestField::Spans => vec![number(summary.n_spans)],
        RequestField::Errors => vec![number(summary.n_errors)],
        RequestField::Service => summary
            .services
            .iter()
            .map(|service| service.as_str().into())
            .collect(),
        RequestField::SlowestHopService => vec![summary.slowest_hop.service.as_str().into()],
        RequestField::SlowestHopName => vec![summary.slowest_hop.name.as_str().into()],
        RequestField::SlowestHopDuration => vec![number(summary.slowest_hop.nanos)],
        RequestField::CulpritService => vec![summary.culprit.service.as_str().into()],
        RequestField::CulpritName => vec![summary.culprit.name.as_str().into()],
        RequestField::CulpritPeer => summary
            .culprit
            .peer
            .iter()
            .map(|peer| peer.as_str().into())
            .collect(),
    }
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::Int(i64::try_from(number).expect("test traces lie before 2262"))
}

/// A value without the lists around it; what is in a map cannot be compared.
fn scalars(value: &AttributeValue) -> Vec<AttributeValue> {
    match value {
        AttributeValue::Array(values) => values.iter().flat_map(scalars).collect(),
        value => vec![value.clone()],
    }
}

/// What a value reads like.
fn text(value: &AttributeValue) -> Option<String> {
    match value {
        AttributeValue::String(text) => Some(text.clone()),
        AttributeValue::Int(number) => Some(number.to_string()),
        AttributeValue::Double(number) if number.is_nan() => None,
        AttributeValue::Double(number) if *number == 0.0 => Some("0".to_owned()),
        AttributeValue::Double(number) => Some(number.to_string()),
        AttributeValue::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn compares(found: &AttributeValue, op: Op, value: &AttributeValue) -> bool {
    scalars(found).iter().any(|found| match op {
        Op::Eq => text(found).is_some() && text(found) == text(value),
        Op::Ne => unreachable!("not equal is no value equal"),
        op => {
            let (Some(found), Some(value)) = (thousandths(found), thousandths(value)) else {
                return false;
            };
            match op {
                Op::Lt => found < value,
                Op::Le => found <= value,
                Op::Gt => found > value,
                _ => found >= value,
            }
        }
    })
}

/// A value in a query as if it were an attribute's; kinds, statuses and ids are given in any case.
fn wanted(field: &Field, value: &Value) -> AttributeValue {
    let any_case = matches!(
        field,
        Field::Span(SpanField::Kind | SpanField::Status | SpanField::SpanId | SpanField::ParentId)
            | Field::Request(RequestField::Id)
    );
    match value {
        Value::String(text) if any_case => AttributeValue::String(text.to_lowercase()),
        Value::String(text) => AttributeValue::String(text.clone()),
        Value::Int(number) => AttributeValue::Int(*number),
        Value::Double(number) => AttributeValue::Double(*number),
        Value::Bool(truth) => AttributeValue::Bool(*truth),
        Value::Duration(duration) => number(u64::try_from(duration.as_nanos()).expect("short")),
    }
}

/// A number of the strategy, times thousand; they all have at most three decimals.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the strategy's numbers are small"
)]
fn thousandths(value: &AttributeValue) -> Option<i128> {
    match value {
        AttributeValue::Int(number) => Some(i128::from(*number) * 1_000),
        AttributeValue::Double(number) if number.is_nan() => None,
        AttributeValue::Double(number) if number.fract() == 0.0 => Some(*number as i128 * 1_000),
        AttributeValue::Double(number) => Some((number * 1_000.0) as i128),
        AttributeValue::String(text) => text
            .parse()
            .ok()
            .and_then(|number| thousandths(&AttributeValue::Double(number))),
        _ => None,
    }
}

fn has_word(trace: &Trace, at: usize, word: &str) -> bool {
    fn push(attributes: &Attributes, to: &mut Vec<String>) {
        for Attribute { value, .. } in attributes {
            push_value(value, to);
        }
    }
    fn push_value(value: &AttributeValue, to: &mut Vec<String>) {
        match value {
            AttributeValue::Array(values) => values.iter().for_each(|value| push_value(value, to)),
            AttributeValue::Map(attributes) => push(attributes, to),
            value => to.extend(text(value)),
        }
    }
    let span = trace.span(at);
    let mut texts = vec![
        span.name.to_string(),
        span.status.message.clone(),
        trace.service(at).to_owned(),
    ];
    push(&span.attributes, &mut texts);
    push(&trace.resource(at).attributes, &mut texts);
    for event in &span.events {
        texts.push(event.name.clone());
        push(&event.attributes, &mut texts);
    }
    for link in &span.links {
        push(&link.attributes, &mut texts);
    }
    texts
        .iter()
        .any(|text| text.to_lowercase().contains(&word.to_lowercase()))
}
