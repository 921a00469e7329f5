//! Traces as Jaeger has them.

use longpole_proto::formats::jaeger::write_trace;
use serde_json::{Value, json};

use crate::traces;

/// The trace of these bytes in Jaeger's JSON.
pub fn jaeger(bytes: &[u8]) {
    let Some((trace, _)) = traces::trace(bytes) else {
        return;
    };
    let answer: Value = serde_json::from_str(&write_trace(&trace)).expect("JSON");
    let data = &answer["data"][0];
    assert_eq!(data["traceID"], json!(trace.id().to_string()));
    assert_eq!(data["spans"].as_array().map(Vec::len), Some(trace.len()));
    for (at, span) in trace.spans().iter().enumerate() {
        let written = &data["spans"][at];
        assert_eq!(written["spanID"], json!(span.span_id.to_string()));
        assert_eq!(written["operationName"], json!(*span.name));
        assert_eq!(written["startTime"], json!(span.start.0 / 1_000));
        assert_eq!(written["duration"], json!(span.duration_nanos() / 1_000));
        assert_eq!(
            written["logs"].as_array().map(Vec::len),
            Some(span.events.len())
        );
        if let Some(parent) = span.parent_id {
            let first = &written["references"][0];
            assert_eq!(first["refType"], "CHILD_OF");
            assert_eq!(first["spanID"], json!(parent.to_string()));
        }
        let tags = written["tags"].as_array().expect("a list");
        for attribute in &span.attributes {
            assert!(tags.iter().any(|tag| tag["key"] == json!(attribute.key)));
        }
        let process = written["processID"].as_str().expect("a process");
        assert_eq!(
            data["processes"][process]["serviceName"],
            json!(trace.service(at))
        );
    }
}
