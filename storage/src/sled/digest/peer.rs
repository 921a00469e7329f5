//! The peer a span names, straight from its bytes: asked for with every call whose callee has no span.

use std::borrow::Cow;

use longpole_analysis::PEER_KEYS;
use longpole_proto::wire::SpanSlice;

/// What a CLIENT or PRODUCER span names as its peer: the text that
/// `span.attributes(bytes, &PEER_KEYS).text_of_any(&PEER_KEYS)` is.
pub(super) fn peer_of<'a>(span: &SpanSlice, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
    if let Ok(peer) = plain(span, bytes) {
        return peer.map(Cow::Borrowed);
    }
    let attributes = span.attributes(bytes, &PEER_KEYS);
    let text = attributes.text_of_any(&PEER_KEYS)?;
    Some(Cow::Owned(text.to_owned()))
}

/// Something that must be read with more care.
struct Unusual;

/// The peer, when each attribute is a key, then a value, and none is longer than 16 KB, as nearly all are.
fn plain<'a>(span: &SpanSlice, bytes: &'a [u8]) -> Result<Option<&'a str>, Unusual> {
    let mut best: Option<(usize, &str)> = None;
    let mut seen = 0_u32;
    let mut rest = &bytes[span.message()];
    while !rest.is_empty() {
        let (attribute, behind) = next_field(rest).ok_or(Unusual)?;
        rest = behind;
        let Some(attribute) = attribute else {
            continue;
        };
        let (key, value) = key_and_value(attribute).ok_or(Unusual)?;
        let Some(rank) = rank_of(key) else {
            continue;
        };
        // The first of a key counts.
        if seen & 1 << rank != 0 {
            continue;
        }
        seen |= 1 << rank;
        let text = text(value).ok_or(Unusual)?;
        if text.is_empty() {
            continue;
        }
        if rank == 0 {
            return Ok(Some(text));
        }
        if best.is_none_or(|(of, _)| rank < of) {
            best = Some((rank, text));
        }
    }
    Ok(best.map(|(_, text)| text))
}

/// The first field of a span, when it is an attribute, and what is behind it.
fn next_field(rest: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (tag, behind) = short_varint(rest)?;
    match tag & 7 {
        0 => {
            let end = behind.iter().take(10).position(|byte| *byte < 0x80)?;
            Some((None, &behind[end + 1..]))
        }
        1 => Some((None, behind.get(8..)?)),
        2 => {
            let (field, behind) = len_delimited(behind)?;
            Some(((tag >> 3 == 9).then_some(field), behind))
        }
        5 => Some((None, behind.get(4..)?)),
        _ => None,
    }
}

/// A number of one or two bytes, and what is behind it.
fn short_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [byte @ ..0x80, rest @ ..] => Some((usize::from(*byte), rest)),
        [low, high @ ..0x80, rest @ ..] => {
            Some((usize::from(low & 0x7f) | usize::from(*high) << 7, rest))
        }
        _ => None,
    }
}

/// How many keys come before one.
fn rank_of(key: &[u8]) -> Option<usize> {
    // Few keys begin like one of these.
    if !matches!(key.first(), Some(b'd' | b'm' | b's' | b'n' | b'p' | b'h')) {
        return None;
    }
    PEER_KEYS.iter().position(|peer| peer.as_bytes() == key)
}

/// The key and the value of a `KeyValue` that has nothing else.
fn key_and_value(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, rest) = len_delimited(message.strip_prefix(&[0x0a])?)?;
    let (value, rest) = len_delimited(rest.strip_prefix(&[0x12])?)?;
    rest.is_empty().then_some((key, value))
}

fn len_delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = short_varint(bytes)?;
    rest.split_at_checked(len)
}

/// The text of an `AnyValue` that is one.
fn text(value: &[u8]) -> Option<&str> {
    let (text, rest) = len_delimited(value.strip_prefix(&[0x0a])?)?;
    rest.is_empty().then(|| str::from_utf8(text).ok())?
}

#[cfg(test)]
mod tests {
    use longpole_analysis::query::testing::any_searchable_trace;
    use longpole_proto::testing::{SpanBuilder, trace_of};
    use longpole_proto::wire::{ExportRequest, encode_traces};
    use longpole_proto::{SpanKind, Trace};
    use proptest::prelude::*;

    use super::*;

    /// By span in the order of the request: the peer, and whether it was read without care.
    fn peers(trace: &Trace) -> Vec<(Option<String>, bool)> {
        let request = ExportRequest::parse(encode_traces(trace).into()).expect("a request");
        let bytes = request.bytes();
        let outside =
            |span: &&SpanSlice| matches!(span.kind, SpanKind::Client | SpanKind::Producer);
        let spans = request.spans().iter().filter(outside);
        spans
            .map(|span| {
                let peer = peer_of(span, bytes).map(Cow::into_owned);
                let attributes = span.attributes(bytes, &PEER_KEYS);
                let expected = attributes.text_of_any(&PEER_KEYS).map(str::to_owned);
                assert_eq!(peer, expected);
                (peer, plain(span, bytes).is_ok())
            })
            .collect()
    }

    /// Keys and texts.
    type Texts<'a> = &'a [(&'a str, &'a str)];

    fn of_attributes(attributes: Texts<'_>) -> (Option<String>, bool) {
        let mut span = SpanBuilder::new(1, "call").kind(SpanKind::Client);
        for (key, value) in attributes {
            span = span.attribute(key, *value);
        }
        peers(&trace_of([span])).remove(0)
    }

    #[test]
    fn the_first_of_the_keys_wins_wherever_it_stands() {
        let long = "x".repeat(500);
        let cases: [(Texts<'_>, Option<&str>, bool); 7] = [
            (&[("http.method", "GET")], None, true),
            (
                &[("server.address", "db"), ("db.system", "mysql")],
                Some("mysql"),
                true,
            ),
            (
                &[("db.system", ""), ("peer.service", "shop")],
                Some("shop"),
                true,
            ),
            (
                &[("db.query.text", &long), ("db.system", "mysql")],
                Some("mysql"),
                true,
            ),
            (&[("server.address", &long)], Some(&long), true),
            (
                &[("db.system", "one"), ("db.system", "two")],
                Some("one"),
                true,
            ),
            (&[("db.system", ""), ("db.system", "two")], None, true),
        ];
        for (attributes, peer, is_plain) in cases {
            let expected = (peer.map(str::to_owned), is_plain);
            assert_eq!(of_attributes(attributes), expected, "{attributes:?}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_peer_that_the_attributes_name(trace in any_searchable_trace(12)) {
            peers(&trace);
        }
    }
}
