//! What Jaeger's readers get, in full.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{self, SpanBuilder};
use crate::wire::samples::any_rich_trace;
use crate::{Link, Status};

fn written(trace: &Trace) -> Value {
    serde_json::from_str(&write_trace(trace)).expect("JSON")
}

fn pretty(trace: &Trace) -> String {
    serde_json::to_string_pretty(&written(trace)).expect("JSON")
}

#[test]
fn a_drawn_trace_is_what_jaeger_shows() {
    insta::assert_snapshot!(pretty(&testing::draw(
        "
        gateway POST /checkout   [------------------]  server http.route=/checkout
          gateway call             [----------]        client error
            inventory GET /stock     [--------]        server instance=i-1 link=1
        billing charge                           [--]  consumer orphan
        "
    )));
}

#[test]
fn a_bare_trace_is_what_stands_among_the_data() {
    let trace = testing::draw("web GET / [--] server");
    let bare: Value = serde_json::from_str(&write_bare_trace(&trace)).expect("JSON");
    assert_eq!(written(&trace)["data"], json!([bare]));
}

#[test]
fn everything_a_span_has_is_a_tag_a_log_or_a_reference() {
    let map = Attributes(vec![Attribute {
        key: "k".to_owned(),
        value: AttributeValue::Double(0.5),
    }]);
    let list = vec![
        AttributeValue::Empty,
        AttributeValue::Map(map),
        AttributeValue::Bytes(vec![1]),
    ];
    let trace = testing::trace_of([SpanBuilder::new(2, "all")
        .parent(1)
        .kind(SpanKind::Producer)
        .at(20, 10)
        .attribute("text", "a\"<b")
        .attribute("truth", false)
        .attribute("number", -7)
        .attribute("too large", i64::MIN)
        .with(|span| {
            let values = [
                ("double", AttributeValue::Double(1.5)),
                ("infinite", AttributeValue::Double(f64::INFINITY)),
                ("bytes", AttributeValue::Bytes(vec![0, 255])),
                ("list", AttributeValue::Array(list)),
                ("empty", AttributeValue::Empty),
            ];
            for (key, value) in values {
                span.attributes.0.push(Attribute {
                    key: key.to_owned(),
                    value,
                });
            }
            span.trace_state = "vendor=1".to_owned();
            span.status = Status {
                code: StatusCode::Error,
                message: "card declined".to_owned(),
            };
            let mut attributes = Attributes::default();
            attributes.push("exception.type", "Declined");
            let named = Event {
                time: testing::START,
                name: "exception".to_owned(),
                attributes,
                ..Event::default()
            };
            let mut attributes = Attributes::default();
            attributes.push("event", "from OpenTracing");
            let old = Event {
                time: testing::START,
                name: "log".to_owned(),
                attributes,
                ..Event::default()
            };
            span.events = vec![named, old];
        })
        .link(1)
        .link(9)
        .with(|span| {
            let nowhere = Link {
                trace_id: None,
                ..span.links[0].clone()
            };
            let mut child_of = Link {
                span_id: Some(testing::span_id(8)),
                ..span.links[0].clone()
            };
            child_of.attributes.push("opentracing.ref_type", "child_of");
            span.links.extend([nowhere, child_of]);
        })]);
    insta::assert_snapshot!(pretty(&trace));
}

#[test]
fn a_span_that_ends_before_it_starts_has_a_warning() {
    let trace = testing::trace_of([
        SpanBuilder::new(1, "a").at(20, 10),
        SpanBuilder::new(2, "b").at(0, 10),
    ]);
    let spans = &written(&trace)["data"][0]["spans"];
    assert_eq!(spans[0]["warnings"], Value::Null);
    assert_eq!(spans[1]["duration"], json!(0));
    assert_eq!(
        spans[1]["warnings"],
        json!(["span ends 10000000 ns before it starts; its duration is shown as 0"])
    );
}

proptest! {
    #[test]
    fn every_span_has_its_process(trace in any_rich_trace()) {
        let answer = written(&trace);
        let data = &answer["data"][0];
        prop_assert_eq!(data["spans"].as_array().map(Vec::len), Some(trace.len()));
        for (at, span) in trace.spans().iter().enumerate() {
            let span_of_jaeger = &data["spans"][at];
            prop_assert_eq!(&span_of_jaeger["spanID"], &json!(span.span_id.to_string()));
            let process = span_of_jaeger["processID"].as_str().expect("a process ID");
            prop_assert_eq!(&data["processes"][process]["serviceName"], trace.service(at));
        }
    }
}
