//! Messages that no library would write.

use super::parse;
use crate::trace::TraceParts;
use crate::wire::{RejectReason, SPREAD_BYTES_MAX, VALUE_DEPTH_MAX, WireError, decode_traces};
use crate::{AttributeValue, testing};

/// A field that holds bytes; its number is below 16.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// The least a span has, and `more` behind it.
fn span_with(more: &[u8]) -> Vec<u8> {
    let trace_id = testing::trace_id();
    [
        field(1, trace_id.as_bytes()),
        field(2, testing::span_id(1).as_bytes()),
        more.to_vec(),
    ]
    .concat()
}

/// A request of spans of one resource and scope.
fn request_of(spans: &[Vec<u8>]) -> Vec<u8> {
    let scope_spans: Vec<u8> = spans.iter().flat_map(|span| field(2, span)).collect();
    field(1, &field(2, &scope_spans))
}

fn decode_one(span: &[u8]) -> crate::Span {
    let parts = decode_traces(testing::trace_id(), &request_of(&[span.to_vec()]));
    let TraceParts { spans, .. } = parts.expect("a TracesData");
    spans.into_iter().next().expect("a span")
}

#[test]
fn a_broken_span_is_refused_and_its_neighbours_are_kept() {
    let cases: [&[u8]; 6] = [
        &[0x30],                // a kind without a number
        &[0x2a, 9, b'x'],       // a name longer than the span
        &[0x38, 1],             // a start that is a varint
        &[0x7a, 2, 0x18, 0x80], // a status cut off inside
        &[0x7a, 2, 0x1a, 0],    // a status code that is text
        &[0x4c],                // the end of a group never begun
    ];
    for broken in cases {
        let bytes = request_of(&[span_with(&[]), span_with(broken), span_with(&[])]);
        let request = parse(&bytes).expect("a request");
        assert_eq!(request.spans().len(), 2, "{broken:?}");
        let refused: Vec<_> = request.rejections().iter().collect();
        assert_eq!(refused, [(RejectReason::Malformed, 1)], "{broken:?}");
    }
}

#[test]
fn a_request_broken_outside_of_spans_is_an_error() {
    let cases = [
        (vec![0x0a, 1, 0x12], WireError::Truncated { at: 3 }),
        (
            field(1, &[0x10, 1]),
            WireError::WireType {
                at: 2,
                field: 2,
                found: 0,
                expected: 2,
            },
        ),
        (
            field(1, &field(2, &[0x08, 1])),
            WireError::WireType {
                at: 4,
                field: 1,
                found: 0,
                expected: 2,
            },
        ),
        (
            vec![0x08, 1],
            WireError::WireType {
                at: 0,
                field: 1,
                found: 0,
                expected: 2,
            },
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(parse(&bytes).err(), Some(error.clone()), "{bytes:?}");
        assert_eq!(
            decode_traces(testing::trace_id(), &bytes).err(),
            Some(error),
            "{bytes:?}"
        );
    }
    assert_eq!(
        WireError::WireType {
            at: 2,
            field: 2,
            found: 0,
            expected: 2
        }
        .to_string(),
        "field 2 at byte 2 has wire type 0, not 2"
    );
}

#[test]
fn an_empty_request_has_no_spans() {
    let request = parse(&[]).expect("a request");
    assert_eq!(
        (request.spans().len(), request.clone().by_trace().n_traces()),
        (0, 0)
    );
    assert_eq!(request.rejections().total(), 0);
}

#[test]
fn what_is_odd_about_kept_spans_is_counted() {
    let scope_spans = |spans: &[Vec<u8>]| {
        let spans: Vec<u8> = spans.iter().flat_map(|span| field(2, span)).collect();
        field(2, &spans)
    };
    let backwards = span_with(
        &[
            &[0x39][..],
            &2_u64.to_le_bytes(),
            &[0x41],
            &1_u64.to_le_bytes(),
        ]
        .concat(),
    );
    let refused = vec![0x30];
    let two = scope_spans(&[span_with(&[]), backwards, refused]);
    let attribute = |key: &[u8], value: &[u8]| field(1, &[field(1, key), field(2, value)].concat());
    let name = attribute(b"service.name", &field(1, b"shop"));
    let message = |fields: &[Vec<u8>]| {
        let request = parse(&field(1, &fields.concat())).expect("a request");
        request.warnings().message()
    };
    let backwards = "1 span kept, but with an end before the start";
    let both =
        format!("2 spans kept, but without service.name (set OTEL_SERVICE_NAME); {backwards}");
    let other = attribute(b"host.name", &field(1, b"shop"));
    let named: [&[Vec<u8>]; 3] = [
        &[field(1, &name), two.clone()],
        &[
            two.clone(),
            field(1, &[other.clone(), name.clone()].concat()),
        ],
        // In two pieces.
        &[field(1, &name), two.clone(), field(1, &other)],
    ];
    for fields in named {
        assert_eq!(message(fields), backwards);
    }
    let nameless: [&[Vec<u8>]; 5] = [
        std::slice::from_ref(&two),
        &[field(1, &other), two.clone()],
        &[
            field(1, &attribute(b"service.name", &field(1, b""))),
            two.clone(),
        ],
        &[
            field(1, &attribute(b"service.name", &[0x18, 7])),
            two.clone(),
        ],
        &[field(1, &field(1, &field(1, b"service.name"))), two.clone()],
    ];
    for fields in nameless {
        assert_eq!(message(fields), both);
    }
    assert_eq!(
        message(&[scope_spans(&[vec![0x30]])]),
        "",
        "nothing is kept"
    );
}

#[test]
fn a_parent_of_zeros_is_none() {
    let request = parse(&request_of(&[span_with(&field(4, &[0; 8]))])).expect("a request");
    assert_eq!(request.spans()[0].parent_id, None);
}

#[test]
fn a_broken_attribute_ends_itself_and_the_span_goes_on() {
    let attribute = field(9, &[field(1, b"key"), vec![0x12, 9]].concat());
    let span = decode_one(&span_with(&[attribute, field(5, b"n\xffme")].concat()));
    assert_eq!(&*span.name, "n\u{fffd}me");
    assert_eq!(span.attributes.get("key"), Some(&AttributeValue::Empty));
}

#[test]
fn values_are_decoded_to_a_depth() {
    let nested = |depth| {
        let value = (0..depth).fold(field(1, b"deep"), |value, _| field(5, &field(1, &value)));
        decode_one(&span_with(&field(9, &field(2, &value))))
    };
    let deepest = |span: &crate::Span| {
        let mut value = &span.attributes.0[0].value;
        let mut depth = 0;
        while let AttributeValue::Array(values) = value {
            value = &values[0];
            depth += 1;
        }
        (depth, value.clone())
    };
    assert_eq!(
        deepest(&nested(VALUE_DEPTH_MAX)),
        (VALUE_DEPTH_MAX, "deep".into())
    );
    assert_eq!(
        deepest(&nested(VALUE_DEPTH_MAX + 1)),
        (VALUE_DEPTH_MAX, AttributeValue::Empty)
    );
    assert_eq!(deepest(&nested(5_000)).0, VALUE_DEPTH_MAX);
}

/// A request of `n_traces` traces of one span each under one resource of `n_bytes` bytes.
fn shared_resource(n_bytes: usize, n_traces: u64) -> Vec<u8> {
    let scope_spans: Vec<u8> = (1..=n_traces)
        .flat_map(|n| {
            let trace_id = [
                field(1, &u128::from(n).to_be_bytes()),
                field(2, &n.to_be_bytes()),
            ];
            field(2, &trace_id.concat())
        })
        .collect();
    field(
        1,
        &[field(1, &vec![0; n_bytes]), field(2, &scope_spans)].concat(),
    )
}

#[test]
fn a_resource_shared_by_too_many_traces_is_refused() {
    let request = parse(&shared_resource(1 << 20, 200)).expect("200 MiB are allowed");
    assert_eq!(request.clone().by_trace().n_traces(), 200);
    let error = parse(&shared_resource(1 << 20, 300)).expect_err("300 MiB are not");
    assert_eq!(
        error,
        WireError::Spread {
            n_bytes: 300 * ((1 << 20) + 4),
            limit_bytes: SPREAD_BYTES_MAX
        }
    );
}

#[test]
fn a_large_resource_of_one_large_trace_is_no_matter() {
    let spans: Vec<Vec<u8>> = (0..300).map(|_| span_with(&[])).collect();
    let scope_spans: Vec<u8> = spans.iter().flat_map(|span| field(2, span)).collect();
    let bytes = field(
        1,
        &[field(1, &vec![0; 1 << 20]), field(2, &scope_spans)].concat(),
    );
    let request = parse(&bytes).expect("one trace has one resource");
    let (_, message) = request.by_trace().messages().next().expect("a trace");
    assert_eq!(message, bytes);
}
