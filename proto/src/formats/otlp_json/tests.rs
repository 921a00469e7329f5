//! JSON held against protobuf, and against what senders really write.

use opentelemetry_proto::tonic::trace::v1::TracesData;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::testing::SpanBuilder;
use crate::trace::TraceParts;
use crate::wire::samples::{any_rich_trace, content, trace_from, trace_of};
use crate::wire::{ExportRequest, RejectReason, VALUE_DEPTH_MAX, decode_traces};
use crate::{
    AttributeValue, Attributes, Event, Span, SpanId, SpanKind, TraceId, UnixNanos, testing,
};

fn read(json: &str) -> ExportRequest {
    read_export_request(json.as_bytes()).expect("an export request")
}

/// A request of these spans, each the text of an object.
fn request_of(spans: &[&str]) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
        spans.join(",")
    )
}

/// A span with ids and `more` fields.
fn span_with(more: &str) -> String {
    format!(r#"{{"traceId":"b7ad6b7169203331a1b2c3d4e5f60709","spanId":"0000000000000001"{more}}}"#)
}

fn parts(request: &ExportRequest) -> TraceParts {
    let (trace_id, message) = request
        .clone()
        .by_trace()
        .messages()
        .next()
        .expect("a trace");
    decode_traces(trace_id, &message).expect("a TracesData")
}

fn read_one(span: &str) -> Span {
    parts(&read(&request_of(&[span]))).spans.remove(0)
}

fn refused(json: &str) -> Vec<(RejectReason, u64)> {
    read(json).rejections().iter().collect()
}

proptest! {
    #[test]
    fn a_trace_with_everything_comes_back_from_json(trace in any_rich_trace()) {
        let request = read(&write_trace(&trace));
        prop_assert_eq!(request.rejections().total(), 0);
        prop_assert_eq!(content(&trace_of(&request)), content(&trace));
    }

    #[test]
    fn a_drawn_trace_comes_back_from_json(trace in testing::any_trace(20)) {
        prop_assert_eq!(content(&trace_of(&read(&write_trace(&trace)))), content(&trace));
    }

    #[test]
    fn each_span_can_be_written_alone(trace in any_rich_trace()) {
        for (at, expected) in content(&trace).into_iter().enumerate() {
            prop_assert_eq!(content(&trace_of(&read(&write_span(&trace, at)))), [expected]);
        }
    }

    #[test]
    fn damaged_json_never_panics(
        trace in any_rich_trace(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut json = write_trace(&trace).into_bytes();
        prop_assert!(read_export_request(&json[..end.index(json.len())]).is_err());
        for (at, byte) in damage {
            let at = at.index(json.len());
            json[at] = byte;
        }
        if let Ok(request) = read_export_request(&json) {
            let n_spans = request.spans().len() as u64 + request.rejections().total();
            prop_assert!(n_spans <= trace.len() as u64);
            for (trace_id, message) in request.by_trace().messages() {
                TracesData::decode(&message[..]).expect("prost reads what is accepted");
                let trace = trace_from(trace_id, &message);
                let again = read(&write_trace(&trace));
                prop_assert_eq!(content(&trace_of(&again)), content(&trace));
            }
        }
    }
}

#[test]
fn the_specifications_example_is_read() {
    // Ids in upper case, times as text, an enum as a number.
    let json = r#"{"resourceSpans":[{
        "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},
        "scopeSpans":[{
            "scope":{"name":"my.library","version":"1.0.0"},
            "spans":[{
                "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174",
                "parentSpanId":"EEE19B7EC3C1B173","name":"I'm a server span","kind":2,
                "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661000000000,
                "attributes":[{"key":"my.span.attr","value":{"stringValue":"some value"}}]
            }]
        }]
    }]}"#;
    let request = read(json);
    let [slice] = request.spans() else {
        panic!("one span")
    };
    assert_eq!(
        slice.trace_id,
        "5b8efff798038103d269b633813fc60c"
            .parse::<TraceId>()
            .unwrap()
    );
    let parts = parts(&request);
    assert_eq!(parts.resources[0].service_name(), "my.service");
    assert_eq!(
        (&*parts.scopes[0].name, &*parts.scopes[0].version),
        ("my.library", "1.0.0")
    );
    let span = &parts.spans[0];
    assert_eq!(span.span_id, "eee19b7ec3c1b174".parse::<SpanId>().unwrap());
    assert_eq!(span.parent_id, Some("eee19b7ec3c1b173".parse().unwrap()));
    assert_eq!(
        (&*span.name, span.kind),
        ("I'm a server span", SpanKind::Server)
    );
    assert_eq!(span.start, UnixNanos(1_544_712_660_000_000_000));
    assert_eq!(span.duration_nanos(), 1_000_000_000);
    assert_eq!(span.attributes.text("my.span.attr"), Some("some value"));
}

#[test]
fn a_request_of_nothing_has_no_spans() {
    let cases = [
        "{}",
        r#"{"resourceSpans":[]}"#,
        r#"{"resourceSpans":null}"#,
        r#"{"resourceSpans":[null,{"scopeSpans":[null,{"spans":[null]},{"spans":null}]}]}"#,
        r#"{"unknown":{"deeply":["nested"]},"resource_spans":3}"#,
    ];
    for json in cases {
        let request = read(json);
        assert_eq!(
            (request.spans().len(), request.rejections().total()),
            (0, 0),
            "{json}"
        );
    }
}

#[test]
fn what_is_no_request_says_why() {
    let cases = [
        ("", "EOF while parsing a value at line 1 column 0"),
        (
            "[]",
            "invalid type: sequence, expected an object at line 1 column 0",
        ),
        (
            "null",
            "invalid type: null, expected an object at line 1 column 4",
        ),
        (
            r#"{"resourceSpans":{}}"#,
            "invalid type: map, expected a list at line 1 column 19",
        ),
        (
            r#"{"resourceSpans":[3]}"#,
            "invalid type: integer `3`, expected an object at line 1 column 19",
        ),
        ("{} {}", "trailing characters at line 1 column 4"),
    ];
    for (json, why) in cases {
        let error = read_export_request(json.as_bytes()).expect_err(json);
        assert_eq!(
            error.to_string(),
            format!("body is not an OTLP/JSON export request: {why}")
        );
    }
}

#[test]
fn bad_spans_are_refused_one_by_one() {
    let cases = [
        ("{}".to_owned(), RejectReason::TraceId),
        (
            r#"{"traceId":"b7ad6b7169203331a1b2c3d4e5f6070"}"#.to_owned(),
            RejectReason::TraceId,
        ),
        (
            r#"{"traceId":"t61rcWkgMzGhssPU5fYHCQ=="}"#.to_owned(),
            RejectReason::TraceId,
        ),
        (
            span_with(r#","spanId":"0000000000000000""#),
            RejectReason::SpanId,
        ),
        (span_with(r#","parentSpanId":"01""#), RejectReason::ParentId),
        (span_with(r#","parentSpanId":"x""#), RejectReason::ParentId),
        (
            span_with(r#","kind":"SPAN_KIND_SERVER""#),
            RejectReason::Malformed,
        ),
        (
            span_with(r#","status":{"code":"2"}"#),
            RejectReason::Malformed,
        ),
        (span_with(r#","traceId":7"#), RejectReason::Malformed),
        (
            span_with(r#","startTimeUnixNano":-1"#),
            RejectReason::Malformed,
        ),
        (
            span_with(r#","startTimeUnixNano":"soon""#),
            RejectReason::Malformed,
        ),
        (
            span_with(r#","startTimeUnixNano":1.5"#),
            RejectReason::Malformed,
        ),
        (
            span_with(r#","droppedEventsCount":4294967296"#),
            RejectReason::Malformed,
        ),
        (
            span_with(r#","attributes":{"key":"a"}"#),
            RejectReason::Malformed,
        ),
        (
            span_with(r#","attributes":[{"value":{"bytesValue":"*"}}]"#),
            RejectReason::Malformed,
        ),
        (
            span_with(r#","attributes":[{"value":{"intValue":9223372036854775808}}]"#),
            RejectReason::Malformed,
        ),
        (
            span_with(r#","attributes":[{"value":{"boolValue":1}}]"#),
            RejectReason::Malformed,
        ),
        ("7".to_owned(), RejectReason::Malformed),
        ("[]".to_owned(), RejectReason::Malformed),
    ];
    for (bad, reason) in cases {
        let json = request_of(&[&span_with(""), &bad, &span_with("")]);
        assert_eq!(refused(&json), [(reason, 1)], "{bad}");
        assert_eq!(read(&json).spans().len(), 2, "{bad}");
    }
}

#[test]
fn a_bad_resource_or_scope_takes_its_spans_with_it_and_no_others() {
    let (good, bad) = (span_with(""), span_with(r#","kind":true"#));
    let scopes = [
        format!(r#"{{"scope":{{"name":7}},"spans":[{good},{bad}]}}"#),
        format!(r#"{{"spans":[{good},{bad}],"scope":7}}"#),
        format!(r#"{{"spans":[{good},{bad}]}}"#),
    ];
    let json = format!(
        r#"{{"resourceSpans":[
            {{"resource":[],"scopeSpans":[{}]}},
            {{"scopeSpans":[{}],"resource":{{"attributes":7}}}},
            {{"scopeSpans":[{}]}}
        ]}}"#,
        scopes[2],
        scopes[2],
        scopes.join(",")
    );
    assert_eq!(read(&json).spans().len(), 1);
    assert_eq!(refused(&json), [(RejectReason::Malformed, 9)]);
}

#[test]
fn null_is_the_same_as_nothing() {
    let span = read_one(&span_with(
        r#","name":null,"parentSpanId":null,"kind":null,"startTimeUnixNano":null,"status":null,
        "attributes":[null,{"key":"a","value":null},{"key":"b","value":{"stringValue":null,"intValue":1}}],
        "events":null,"links":[null]"#,
    ));
    assert_eq!(
        (&*span.name, span.parent_id, span.kind),
        ("", None, SpanKind::Unspecified)
    );
    assert_eq!(span.attributes.len(), 2);
    assert_eq!(span.attributes.get("a"), Some(&AttributeValue::Empty));
    assert_eq!(span.attributes.get("b"), Some(&AttributeValue::Int(1)));
    assert!(span.events.is_empty() && span.links.is_empty());
}

#[test]
fn values_are_read_in_every_way_protobuf_allows() {
    let cases = [
        (
            r#""intValue":"-9223372036854775808""#,
            AttributeValue::Int(i64::MIN),
        ),
        (r#""intValue":1e3"#, AttributeValue::Int(1000)),
        (r#""doubleValue":2"#, AttributeValue::Double(2.0)),
        (r#""doubleValue":"-1.5""#, AttributeValue::Double(-1.5)),
        (
            r#""doubleValue":"-Infinity""#,
            AttributeValue::Double(f64::NEG_INFINITY),
        ),
        (
            r#""bytesValue":"-_8""#,
            AttributeValue::Bytes(vec![251, 255]),
        ),
        (
            r#""bytesValue":"+/8=""#,
            AttributeValue::Bytes(vec![251, 255]),
        ),
        (
            r#""arrayValue":{"values":[{"boolValue":true}]}"#,
            AttributeValue::Array(vec![true.into()]),
        ),
        (r#""arrayValue":{}"#, AttributeValue::Array(Vec::new())),
        (r#""stringValue":"\u00e9\ud83d\ude00""#, "é😀".into()),
    ];
    for (json, expected) in cases {
        let span = read_one(&span_with(&format!(
            r#","attributes":[{{"key":"k","value":{{{json}}}}}]"#
        )));
        assert_eq!(span.attributes.get("k"), Some(&expected), "{json}");
    }
}

#[test]
fn values_nested_beyond_reason_make_their_span_malformed() {
    let nested = |depth| {
        let (open, close) = (
            r#"{"arrayValue":{"values":["#.repeat(depth),
            "]}}".repeat(depth),
        );
        span_with(&format!(
            r#","attributes":[{{"key":"k","value":{open}{{}}{close}}}]"#
        ))
    };
    let json = request_of(&[&nested(VALUE_DEPTH_MAX), &nested(100), &nested(100_000)]);
    assert_eq!(read(&json).spans().len(), 1);
    assert_eq!(refused(&json), [(RejectReason::Malformed, 2)]);
}

#[test]
fn the_deepest_maps_that_are_decoded_can_be_read_back() {
    let value = (0..VALUE_DEPTH_MAX).fold(AttributeValue::from("deep"), |value, _| {
        let mut map = Attributes::default();
        map.push("k", value);
        AttributeValue::Map(map)
    });
    let trace = testing::trace_of([SpanBuilder::new(1, "a").with(|span| {
        let mut attributes = Attributes::default();
        attributes.push("k", value);
        span.events.push(Event {
            attributes,
            ..Event::default()
        });
    })]);
    let json = write_trace(&trace);
    assert_eq!(content(&trace_of(&read(&json))), content(&trace));
    // Readers that take the whole document at once commonly stop at 128 levels.
    serde_json::from_str::<serde_json::Value>(&json).expect("less than 128 levels");
}
