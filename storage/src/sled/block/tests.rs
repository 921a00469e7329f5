//! Blocks against what went into them.

use longpole_proto::TraceId;
use longpole_proto::wire::reader::Reader;
use proptest::prelude::*;

use super::encode::FragmentFacts;
use super::{Block, BlockBuilder, BlockSpan, Fragment};

/// A trace's spans as a block takes them: own fields of resource and scope, and message.
type Spans = Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>;

fn build(traces: &[(TraceId, Spans)]) -> Vec<u8> {
    let mut builder = BlockBuilder::new();
    for (at, (trace_id, spans)) in (1_u64..).zip(traces) {
        let facts = FragmentFacts {
            first_received: at,
            last_received: at * 2,
        };
        let spans: Vec<_> = spans
            .iter()
            .map(|(resource, scope, message)| {
                let group = builder.group(resource, scope);
                BlockSpan {
                    group,
                    operation: group % 2,
                    message,
                }
            })
            .collect();
        builder.add_trace(*trace_id, facts, spans.into_iter());
    }
    builder.finish()
}

/// What a `TracesData` message holds, span by span.
fn spans_of(traces_data: &[u8]) -> Spans {
    let mut spans = Vec::new();
    for resource_spans in Reader::new(traces_data) {
        let message = resource_spans.expect("a field").bytes().expect("a message");
        let (mut resource, mut scopes) = (vec![], vec![]);
        for field in Reader::new(message) {
            let field = field.expect("a field");
            if field.number == 2 {
                scopes.push(field.bytes().expect("a message"));
            } else {
                resource.extend_from_slice(&message[field.whole]);
            }
        }
        for scope_spans in scopes {
            let (mut scope, mut messages) = (vec![], vec![]);
            for field in Reader::new(scope_spans) {
                let field = field.expect("a field");
                if field.number == 2 {
                    messages.push(field.bytes().expect("a message").to_vec());
                } else {
                    scope.extend_from_slice(&scope_spans[field.whole]);
                }
            }
            spans.extend(
                messages
                    .into_iter()
                    .map(|message| (resource.clone(), scope.clone(), message)),
            );
        }
    }
    spans
}

fn id(n: u8) -> TraceId {
    TraceId::new([n; 16]).expect("not zero")
}

/// One field of a span's message: honest ones, odd ones, and bytes that are no field.
fn any_field() -> impl Strategy<Value = Vec<u8>> {
    let id8 = prop_oneof![
        Just([1_u8; 8]),
        Just([2; 8]),
        Just([3; 8]),
        any::<[u8; 8]>()
    ];
    let small = prop::collection::vec(any::<u8>(), 0..6);
    let attribute = |field: u8| {
        (0..3_u8, prop::collection::vec(any::<u8>(), 0..5), 0..12_u8).prop_map(
            move |(key, value, odd)| {
                let mut inner = match odd {
                    0 => vec![],                             // no key
                    1 => vec![0x0a, 0x81, 0x00, b'k' + key], // a length in too many bytes
                    _ => vec![0x0a, 1, b'k' + key],
                };
                inner.push(0x12);
                inner.push(u8::try_from(value.len()).expect("short"));
                inner.extend_from_slice(&value);
                if odd == 2 {
                    inner.extend([0x18, 1]); // an unknown field
                }
                [
                    &[field << 3 | 2, u8::try_from(inner.len()).expect("short")],
                    inner.as_slice(),
                ]
                .concat()
            },
        )
    };
    let event = (
        any::<u64>(),
        prop::collection::vec(attribute(3), 0..3),
        any::<bool>(),
    )
        .prop_map(|(time, attributes, named)| {
            let mut inner = [&[0x09], time.to_le_bytes().as_slice()].concat();
            if named {
                inner.extend([0x12, 1, b'e']);
            }
            inner.extend(attributes.concat());
            [
                &[0x5a, u8::try_from(inner.len()).expect("short")],
                inner.as_slice(),
            ]
            .concat()
        });
    prop_oneof![
        4 => Just([&[0x0a, 16], [1_u8; 16].as_slice()].concat()),
        4 => id8.clone().prop_map(|id| [&[0x12, 8], id.as_slice()].concat()),
        4 => id8.prop_map(|id| [&[0x22, 8], id.as_slice()].concat()),
        2 => small.clone().prop_map(|name| [&[0x2a, u8::try_from(name.len()).expect("short")], name.as_slice()].concat()),
        2 => (0..6_u8).prop_map(|kind| vec![0x30, kind]),
        4 => (1_700_000_000_000_000_000_u64.., any::<bool>()).prop_map(|(time, end)| [&[if end { 0x41 } else { 0x39 }], time.to_le_bytes().as_slice()].concat()),
        6 => attribute(9),
        3 => event,
        1 => small.prop_map(|bytes| [&[0x7a, u8::try_from(bytes.len()).expect("short")], bytes.as_slice()].concat()),
        1 => Just(vec![0x85, 0x01, 1, 1, 0, 0]),
        1 => Just(vec![0xa2, 0x06, 1, 7]), // field 100, unknown
        1 => Just(vec![0xb0, 0x80, 0x00, 2]), // a tag in too many bytes
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

fn any_spans() -> impl Strategy<Value = Spans> {
    let group = prop_oneof![Just(vec![]), Just(vec![0x0a, 1, 7]), Just(vec![0x0a, 0])];
    let message = prop::collection::vec(any_field(), 0..8).prop_map(|fields| fields.concat());
    prop::collection::vec((group.clone(), group, message), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_span_comes_back_as_it_was_sent(traces in prop::collection::vec(any_spans(), 1..6)) {
        let traces: Vec<(TraceId, Spans)> = (1..).map(id).zip(traces).collect();
        let bytes = build(&traces);
        let block = Block::open(&bytes).expect("a block");
        prop_assert_eq!(block.fragments().len(), traces.len());
        let all = block.traces(block.fragments()).expect("its traces");
        for (at, (fragment, (trace_id, spans))) in block.fragments().iter().zip(&traces).enumerate() {
            prop_assert_eq!(fragment.trace_id, *trace_id);
            prop_assert_eq!(fragment.facts.last_received, (at as u64 + 1) * 2);
            prop_assert_eq!(&spans_of(&all[at]), spans);
            let alone = block.traces(&[*fragment]).expect("its trace");
            prop_assert_eq!(&alone[0], &all[at]);
        }
        // Some of them, and in another order.
        let mut some: Vec<(Fragment, &Vec<u8>)> =
            block.fragments().iter().copied().zip(&all).step_by(2).collect();
        for _ in 0..2 {
            let fragments: Vec<Fragment> = some.iter().map(|of| of.0).collect();
            let expected: Vec<&Vec<u8>> = some.iter().map(|of| of.1).collect();
            let found = block.traces(&fragments).expect("its traces");
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            some.reverse();
        }
    }

    #[test]
    fn spans_that_differ_in_a_byte_come_back_as_they_were_sent(
        fields in prop::collection::vec(any_field(), 1..8),
        changes in prop::collection::vec(prop::option::of((any::<prop::sample::Index>(), any::<u8>())), 1..40),
    ) {
        let message = fields.concat();
        let variant = |change: Option<(prop::sample::Index, u8)>| {
            let mut message = message.clone();
            if let Some((at, byte)) = change {
                let at = at.index(message.len());
                message[at] = byte;
            }
            (vec![], vec![], message)
        };
        let spans: Spans = changes.into_iter().map(variant).collect();
        let bytes = build(&[(id(1), spans.clone())]);
        let block = Block::open(&bytes).expect("a block");
        let all = block.traces(block.fragments()).expect("its traces");
        prop_assert_eq!(spans_of(&all[0]), spans);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic(
        traces in prop::collection::vec(any_spans(), 1..4),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let traces: Vec<(TraceId, Spans)> = (1..).map(id).zip(traces).collect();
        let mut bytes = build(&traces);
        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(Block::open(&bytes).is_err());
        // And when the checksum agrees with the damage, still no panic.
        let crc = crc32c::crc32c(&bytes[8..]).to_le_bytes();
        bytes[4..8].copy_from_slice(&crc);
        if let Ok(block) = Block::open(&bytes) {
            drop(block.traces(block.fragments()));
            let some: Vec<Fragment> = block.fragments().iter().copied().skip(1).step_by(2).collect();
            drop(block.traces(&some));
        }
        bytes.truncate(place);
        prop_assert!(Block::open(&bytes).is_err());
    }
}
