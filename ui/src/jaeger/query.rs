//! What a search asks: Jaeger's parameters as a [`Query`].
//!
//! As in Jaeger, everything must hold on one span: its service, its name, its duration, its tags. The
//! times are the request's, as everywhere in longpole: it began in the range.

use std::time::Duration;

use longpole_analysis::query::{Field, Op, Query, Scope, SpanField};
use longpole_proto::{SpanKind, UnixNanos};
use longpole_storage::{Cancel, Order, SearchRequest};
use serde_json::Value;

use super::params::go_bool;
use crate::error::BadParameter;

/// A search of Jaeger's, however it was spelled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TraceQuery {
    /// What holds on a span.
    pub(super) query: Query,
    /// The request began then or later.
    pub(super) from: UnixNanos,
    /// It began before.
    pub(super) to: UnixNanos,
    /// How many are wanted.
    pub(super) limit: usize,
}

impl TraceQuery {
    /// The first page of the search, newest first.
    pub(super) fn request(&self, cancel: Cancel) -> SearchRequest {
        SearchRequest {
            query: self.query.clone(),
            from: Some(self.from),
            to: Some(self.to),
            order: Order::Newest,
            limit: self.limit,
            cancel,
            ..SearchRequest::default()
        }
    }
}

/// What must hold on one span.
pub(super) fn on_one_span(
    service: &str,
    operation: &str,
    shortest: Option<Duration>,
    longest: Option<Duration>,
    tags: Vec<Query>,
) -> Query {
    let named = [(SpanField::Service, service), (SpanField::Name, operation)];
    let named = named
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(field, text)| Query::compare(field, Op::Eq, text));
    // Zero is no bound in Jaeger.
    let took = [(Op::Ge, shortest), (Op::Le, longest)]
        .into_iter()
        .filter_map(|(op, bound)| Some((op, bound.filter(|bound| !bound.is_zero())?)))
        .map(|(op, bound)| Query::compare(SpanField::Duration, op, bound));
    Query::all_of(named.chain(took).chain(tags))
}

/// The tags of a JSON object of texts; numbers and truth values are taken too.
pub(super) fn tags_of_json(name: &str, json: &str) -> Result<Vec<Query>, BadParameter> {
    let expected = r#"a JSON object of texts such as {"http.status_code":"500"}"#;
    let wrong = || BadParameter::new(name, json, expected);
    let Ok(Value::Object(tags)) = serde_json::from_str(json) else {
        return Err(wrong());
    };
    tags.into_iter()
        .map(|(key, value)| match value {
            Value::String(text) => tag(name, &key, &text),
            Value::Number(_) | Value::Bool(_) => tag(name, &key, &value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => Err(wrong()),
        })
        .collect()
}

/// A tag written `key:value`; what is behind the first colon is the value.
pub(super) fn tag_of_text(name: &str, text: &str) -> Result<Query, BadParameter> {
    match text.split_once(':') {
        Some((key, value)) => tag(name, key, value),
        None => Err(BadParameter::new(name, text, "key:value")),
    }
}

/// A span that has the tag as Jaeger shows spans: its kind, status and events are tags as well.
fn tag(name: &str, key: &str, value: &str) -> Result<Query, BadParameter> {
    let is = |field: SpanField, text: &str| Query::compare(field, Op::Eq, text);
    let has = |scope, key: &str| Query::compare(Field::attribute(scope, key), Op::Eq, value);
    let lower = value.to_ascii_lowercase();
    Ok(match key {
        "error" if let Some(failed) = go_bool(value) => {
            let flagged = Query::compare(Field::attribute(Scope::Span, "error"), Op::Eq, true);
            let has_failed = Query::any_of([is(SpanField::Status, "error"), flagged]);
            // What is no failure is most of all: it has no tag that says so.
            if failed {
                has_failed
            } else {
                Query::negated(has_failed)
            }
        }
        "span.kind" if KINDS.contains(&lower.as_str()) => is(SpanField::Kind, &lower),
        "span.status" | "otel.status_code" if STATUSES.contains(&lower.as_str()) => {
            is(SpanField::Status, &lower)
        }
        "otel.status_description" => is(SpanField::StatusMessage, value),
        "event" => Query::any_of([is(SpanField::EventName, value), has(Scope::Any, key)]),
        "scope.name" | "scope.version" | "otel.scope.name" | "otel.scope.version"
        | "w3c.tracestate" => {
            let expected = format!("another tag: {key} is shown, but cannot be searched");
            return Err(BadParameter::new(name, key, expected));
        }
        _ => match key.strip_prefix("resource.") {
            Some(key) => has(Scope::Resource, key),
            None => has(Scope::Any, key),
        },
    })
}

/// The kinds of spans there are.
pub(super) const KINDS: [&str; 6] = [
    SpanKind::Unspecified.name(),
    SpanKind::Internal.name(),
    SpanKind::Server.name(),
    SpanKind::Client.name(),
    SpanKind::Producer.name(),
    SpanKind::Consumer.name(),
];

const STATUSES: [&str; 3] = ["unset", "ok", "error"];

#[cfg(test)]
mod tests {
    use longpole_analysis::query::Matcher;
    use longpole_proto::testing::{SpanBuilder, trace_of};
    use longpole_proto::{SpanKind, Trace};

    use super::*;

    fn matches(query: &Query, trace: &Trace) -> bool {
        let matcher = Matcher::new(query).expect("a query within its limits");
        matcher.is_match_unanalysed(trace)
    }

    fn call() -> SpanBuilder {
        SpanBuilder::new(1, "GET /stock")
            .service("shop")
            .kind(SpanKind::Client)
            .at(0, 20)
            .attribute("http.response.status_code", 500)
            .attribute("cached", false)
            .attribute("url", "http://shop:80/a")
            .error("timed out")
    }

    #[test]
    fn tags_are_what_jaeger_shows_as_tags() {
        let failed = trace_of([call()]);
        let cases = [
            (r#"{"error":"true"}"#, true),
            (r#"{"error":"1"}"#, true),
            (r#"{"error":"false"}"#, false),
            (r#"{"error":true}"#, true),
            (r#"{"http.status_code":"500"}"#, true),
            (r#"{"http.response.status_code":500}"#, true),
            (r#"{"http.status_code":"50"}"#, false),
            (r#"{"cached":"false"}"#, true),
            (r#"{"span.kind":"client"}"#, true),
            (r#"{"span.kind":"CLIENT"}"#, true),
            (r#"{"span.kind":"server"}"#, false),
            (r#"{"span.kind":"nonsense"}"#, false),
            (r#"{"otel.status_code":"ERROR"}"#, true),
            (r#"{"span.status":"ok"}"#, false),
            (r#"{"otel.status_description":"timed out"}"#, true),
            (r#"{"service.name":"shop"}"#, true),
            (r#"{"resource.service.name":"shop"}"#, true),
            (r#"{"resource.cached":"false"}"#, false),
            (r#"{"cached":"false","error":"false"}"#, false),
            ("{}", true),
        ];
        for (json, expected) in cases {
            let tags = tags_of_json("tags", json).expect("tags");
            let query = on_one_span("", "", None, None, tags);
            assert_eq!(matches(&query, &failed), expected, "{json}");
        }
        for (text, expected) in [("url:http://shop:80/a", true), ("url:http", false)] {
            let tag = tag_of_text("tag", text).expect("a tag");
            assert_eq!(matches(&tag, &failed), expected, "{text}");
        }
    }

    #[test]
    fn a_span_without_status_has_not_failed_unless_it_says_so() {
        let fine = trace_of([SpanBuilder::new(1, "work")]);
        let flagged = trace_of([SpanBuilder::new(1, "work").attribute("error", true)]);
        for (json, of_fine, of_flagged) in [
            (r#"{"error":"true"}"#, false, true),
            (r#"{"error":"false"}"#, true, false),
        ] {
            let query = Query::all_of(tags_of_json("tags", json).expect("tags"));
            assert_eq!(matches(&query, &fine), of_fine, "{json}");
            assert_eq!(matches(&query, &flagged), of_flagged, "{json}");
        }
    }

    #[test]
    fn everything_must_hold_on_one_span() {
        let two = trace_of([
            SpanBuilder::new(1, "GET /").service("web").at(0, 100),
            SpanBuilder::new(2, "SELECT")
                .service("shop")
                .parent(1)
                .at(10, 20),
        ]);
        let ms = |ms| Some(Duration::from_millis(ms));
        let cases = [
            ("web", "GET /", None, None, true),
            ("web", "SELECT", None, None, false),
            ("shop", "", ms(11), None, false),
            ("shop", "", ms(10), ms(10), true),
            ("shop", "", None, ms(9), false),
            ("", "", ms(100), None, true),
            ("", "", ms(101), None, false),
            ("", "", ms(0), ms(0), true),
        ];
        for (service, operation, shortest, longest, expected) in cases {
            let query = on_one_span(service, operation, shortest, longest, Vec::new());
            assert_eq!(
                matches(&query, &two),
                expected,
                "{service} {operation} {shortest:?} {longest:?}"
            );
        }
    }

    #[test]
    fn what_is_no_tag_or_cannot_be_searched_is_refused_by_name() {
        for json in [
            "",
            "x",
            "[]",
            "\"a\"",
            "null",
            r#"{"a":null}"#,
            r#"{"a":["b"]}"#,
            r#"{"a":{}}"#,
            r#"{"otel.scope.name":"x"}"#,
            r#"{"w3c.tracestate":"x"}"#,
        ] {
            let bad = tags_of_json("query.attributes", json).expect_err(json);
            assert_eq!(bad.name, "query.attributes", "{json}");
        }
        assert!(tag_of_text("tag", "novalue").is_err());
    }
}
