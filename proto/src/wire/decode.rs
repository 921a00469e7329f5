//! Stored traces decoded, whatever state they are in.

use std::borrow::Cow;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::outline::{self, Key, key};
use super::reader::Reader;
use super::request::check_size;
use super::{SpanSlice, WireError};
use crate::trace::TraceParts;
use crate::{
    Attribute, AttributeValue, Attributes, Event, Link, Resource, Scope, Span, SpanId, Status,
    StatusCode, TraceId, UnixNanos,
};

/// How deep lists and maps in an attribute may be nested; deeper ones are
/// [`AttributeValue::Empty`]. JSON readers commonly stop at 128 levels, and a trace of this depth
/// written as OTLP/JSON stays below.
pub const VALUE_DEPTH_MAX: usize = 24;

/// Decodes a `TracesData` message (or several joined end to end) into the parts of a trace. Spans
/// of other traces than `trace_id` and spans an [`ExportRequest`](super::ExportRequest) would
/// refuse are left out; resources and scopes that are equal byte for byte, their schema URLs
/// included, are one. Text that is not UTF-8 gets replacement characters; a damaged field inside a
/// span or resource ends that message there. A trace made of nothing but empty attributes, events
/// and links takes up to 45 times its bytes in memory: who calls bounds the bytes.
///
/// # Errors
/// When the bytes are not a `TracesData` at all: broken outside of any span, resource or scope, or
/// larger than 4 GiB.
pub fn decode_traces(trace_id: TraceId, traces_data: &[u8]) -> Result<TraceParts, WireError> {
    decode(trace_id, traces_data, None)
}

/// Decodes as [`decode_traces`] does, but of attributes only those of CLIENT and PRODUCER spans
/// that have one of `keys`, and of resources only the service's name: no events, no scopes, no
/// texts of status or state. Takes a fraction of the time and memory.
///
/// # Errors
/// As [`decode_traces`].
pub fn decode_outline(
    trace_id: TraceId,
    traces_data: &[u8],
    keys: &[&str],
) -> Result<TraceParts, WireError> {
    decode(trace_id, traces_data, Some(keys))
}

/// Decodes a `KeyValue` message; damage ends it.
pub fn decode_attribute(key_value: &[u8]) -> Attribute {
    let mut attribute = Attribute::default();
    keep(fill_attribute(&mut attribute, Reader::new(key_value), 0));
    attribute
}

/// Decodes an `AnyValue` message; damage ends it.
pub fn decode_value(any_value: &[u8]) -> AttributeValue {
    let mut value = AttributeValue::default();
    keep(fill_value(&mut value, Reader::new(any_value), 0));
    value
}

fn decode(
    trace_id: TraceId,
    traces_data: &[u8],
    outline: Option<&[&str]>,
) -> Result<TraceParts, WireError> {
    check_size(traces_data)?;
    let mut decoder = Decoder {
        trace_id,
        bytes: traces_data,
        outline,
        parts: TraceParts::default(),
        resources: HashMap::default(),
        scopes: HashMap::default(),
    };
    for field in Reader::new(traces_data) {
        let field = field?;
        if field.number == 1 {
            decoder.resource_spans(&field.message()?)?;
        }
    }
    Ok(decoder.parts)
}

struct Decoder<'a> {
    trace_id: TraceId,
    bytes: &'a [u8],
    /// When only an outline is wanted: the keys of the attributes in it.
    outline: Option<&'a [&'a str]>,
    parts: TraceParts,
    resources: HashMap<Key<'a>, u32, RandomState>,
    scopes: HashMap<Key<'a>, u32, RandomState>,
}

impl<'a> Decoder<'a> {
    fn resource_spans(&mut self, message: &Reader<'a>) -> Result<(), WireError> {
        let mut key = Some(key(message.clone())?);
        // Only known once a span of this trace is met; resources without one are left out.
        let mut resource_idx = 0;
        for field in message.clone() {
            let field = field?;
            if field.number != 2 {
                continue;
            }
            let message = field.message()?;
            let mut scope_key = match self.outline {
                None => Some(outline::key(message.clone())?),
                Some(_) => Some((Cow::Borrowed(&[][..]), &[][..])),
            };
            let mut scope_idx = 0;
            for field in message {
                let field = field?;
                if field.number != 2 {
                    continue;
                }
                match SpanSlice::read(self.bytes, field.range()?, 0) {
                    Ok(slice) if slice.trace_id == self.trace_id => {
                        if let Some(key) = key.take() {
                            resource_idx = intern(
                                &mut self.resources,
                                &mut self.parts.resources,
                                key,
                                |key| {
                                    Arc::new(match self.outline {
                                        Some(_) => outline::resource(key),
                                        None => resource(key),
                                    })
                                },
                            );
                        }
                        if let Some(key) = scope_key.take() {
                            scope_idx = self.scope(key);
                        }
                        self.parts.spans.push(match self.outline {
                            None => {
                                let mut span = empty_span(&slice, resource_idx, scope_idx);
                                keep(fill_span(&mut span, field.message()?));
                                span
                            }
                            Some(keys) => Span {
                                attributes: slice.attributes(self.bytes, keys),
                                links: slice.links(self.bytes),
                                ..slice
                                    .outline(text(&self.bytes[slice.name()]).into(), resource_idx)
                            },
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl<'a> Decoder<'a> {
    fn scope(&mut self, key: Key<'a>) -> u32 {
        if self.outline.is_some() {
            // One for all.
            if self.parts.scopes.is_empty() {
                self.parts.scopes.push(Scope::default());
            }
            return 0;
        }
        intern(&mut self.scopes, &mut self.parts.scopes, key, scope)
    }
}

fn intern<K: Eq + Hash, T>(
    known: &mut HashMap<K, u32, RandomState>,
    values: &mut Vec<T>,
    key: K,
    decode: impl FnOnce(&K) -> T,
) -> u32 {
    if let Some(&at) = known.get(&key) {
        return at;
    }
    let at = u32::try_from(values.len()).expect("no more than 2^32 resources fit in memory");
    values.push(decode(&key));
    known.insert(key, at);
    at
}

/// What was read before a damaged field stays; what is behind it is not looked for.
pub(super) fn keep(_until_damaged: Result<(), WireError>) {}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn resource((message, schema_url): &Key<'_>) -> Resource {
    let mut resource = Resource {
        schema_url: text(schema_url),
        ..Resource::default()
    };
    keep(fill_resource(&mut resource, Reader::new(message)));
    resource
}

fn fill_resource(resource: &mut Resource, message: Reader<'_>) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        match field.number {
            1 => push_attribute(&mut resource.attributes, field.message()?, 0),
            2 => resource.dropped_attributes_count = field.uint32()?,
            _ => {}
        }
    }
    Ok(())
}

fn scope((message, schema_url): &Key<'_>) -> Scope {
    let mut scope = Scope {
        schema_url: text(schema_url),
        ..Scope::default()
    };
    keep(fill_scope(&mut scope, Reader::new(message)));
    scope
}

fn fill_scope(scope: &mut Scope, message: Reader<'_>) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        match field.number {
            1 => scope.name = text(field.bytes()?),
            2 => scope.version = text(field.bytes()?),
            3 => push_attribute(&mut scope.attributes, field.message()?, 0),
            4 => scope.dropped_attributes_count = field.uint32()?,
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn empty_span(slice: &SpanSlice, resource_idx: u32, scope_idx: u32) -> Span {
    Span {
        span_id: slice.span_id,
        parent_id: slice.parent_id,
        trace_state: String::new(),
        flags: 0,
        name: Arc::default(),
        kind: slice.kind,
        start: slice.start,
        end: slice.end,
        attributes: Attributes::default(),
        dropped_attributes_count: 0,
        events: Vec::new(),
        dropped_events_count: 0,
        links: Vec::new(),
        dropped_links_count: 0,
        status: Status {
            code: slice.status,
            message: String::new(),
        },
        resource_idx,
        scope_idx,
    }
}

/// Reads what [`SpanSlice::read`] has not.
fn fill_span(span: &mut Span, message: Reader<'_>) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        match field.number {
            3 => span.trace_state = text(field.bytes()?),
            5 => span.name = text(field.bytes()?).into(),
            9 => push_attribute(&mut span.attributes, field.message()?, 0),
            10 => span.dropped_attributes_count = field.uint32()?,
            11 => {
                let mut event = Event::default();
                keep(fill_event(&mut event, field.message()?));
                span.events.push(event);
            }
            12 => span.dropped_events_count = field.uint32()?,
            13 => push_link(&mut span.links, field.message()?),
            14 => span.dropped_links_count = field.uint32()?,
            15 => keep(fill_status(&mut span.status, field.message()?)),
            16 => span.flags = field.fixed32()?,
            _ => {}
        }
    }
    Ok(())
}

fn fill_status(status: &mut Status, message: Reader<'_>) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        match field.number {
            2 => status.message = text(field.bytes()?),
            3 => status.code = StatusCode::from_number(field.enumeration()?),
            _ => {}
        }
    }
    Ok(())
}

fn fill_event(event: &mut Event, message: Reader<'_>) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        match field.number {
            1 => event.time = UnixNanos(field.fixed64()?),
            2 => event.name = text(field.bytes()?),
            3 => push_attribute(&mut event.attributes, field.message()?, 0),
            4 => event.dropped_attributes_count = field.uint32()?,
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn push_link(links: &mut Vec<Link>, message: Reader<'_>) {
    let mut link = empty_link();
    keep(fill_link(&mut link, message));
    links.push(link);
}

fn empty_link() -> Link {
    Link {
        trace_id: None,
        span_id: None,
        trace_state: String::new(),
        attributes: Attributes::default(),
        dropped_attributes_count: 0,
        flags: 0,
    }
}

fn fill_link(link: &mut Link, message: Reader<'_>) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        match field.number {
            1 => link.trace_id = TraceId::from_slice(field.bytes()?).ok(),
            2 => link.span_id = SpanId::from_slice(field.bytes()?).ok(),
            3 => link.trace_state = text(field.bytes()?),
            4 => push_attribute(&mut link.attributes, field.message()?, 0),
            5 => link.dropped_attributes_count = field.uint32()?,
            6 => link.flags = field.fixed32()?,
            _ => {}
        }
    }
    Ok(())
}

/// Reads a `KeyValue`; `depth` is how many lists and maps it lies in.
pub(super) fn push_attribute(attributes: &mut Attributes, message: Reader<'_>, depth: usize) {
    let mut attribute = Attribute::default();
    keep(fill_attribute(&mut attribute, message, depth));
    attributes.0.push(attribute);
}

fn fill_attribute(
    attribute: &mut Attribute,
    message: Reader<'_>,
    depth: usize,
) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        match field.number {
            1 => attribute.key = text(field.bytes()?),
            2 => keep(fill_value(&mut attribute.value, field.message()?, depth)),
            _ => {}
        }
    }
    Ok(())
}

/// Reads an `AnyValue`: the last of its kinds wins, a list or map sent in pieces is the pieces joined.
fn fill_value(
    value: &mut AttributeValue,
    message: Reader<'_>,
    depth: usize,
) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        match field.number {
            1 => *value = AttributeValue::String(text(field.bytes()?)),
            2 => *value = AttributeValue::Bool(field.varint()? != 0),
            3 => *value = AttributeValue::Int(field.varint()?.cast_signed()),
            4 => *value = AttributeValue::Double(f64::from_bits(field.fixed64()?)),
            5 | 6 if depth == VALUE_DEPTH_MAX => {
                field.range()?;
                *value = AttributeValue::Empty;
            }
            5 => {
                let message = field.message()?;
                let mut values = match std::mem::take(value) {
                    AttributeValue::Array(values) => values,
                    _ => Vec::new(),
                };
                keep(fill_array(&mut values, message, depth + 1));
                *value = AttributeValue::Array(values);
            }
            6 => {
                let message = field.message()?;
                let mut values = match std::mem::take(value) {
                    AttributeValue::Map(values) => values,
                    _ => Attributes::default(),
                };
                keep(fill_map(&mut values, message, depth + 1));
                *value = AttributeValue::Map(values);
            }
            7 => *value = AttributeValue::Bytes(field.bytes()?.to_vec()),
            _ => {}
        }
    }
    Ok(())
}

fn fill_array(
    values: &mut Vec<AttributeValue>,
    message: Reader<'_>,
    depth: usize,
) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        if field.number == 1 {
            let mut value = AttributeValue::Empty;
            keep(fill_value(&mut value, field.message()?, depth));
            values.push(value);
        }
    }
    Ok(())
}

fn fill_map(values: &mut Attributes, message: Reader<'_>, depth: usize) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        if field.number == 1 {
            push_attribute(values, field.message()?, depth);
        }
    }
    Ok(())
}
