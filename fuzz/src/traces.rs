//! A trace out of any bytes: orphans, cycles, duplicates, several roots, and times from anywhere.

use arbitrary::{Result, Unstructured};
use longpole_proto::trace::TraceParts;
use longpole_proto::wire::{VALUE_DEPTH_MAX, decode_traces, to_messages};
use longpole_proto::{
    Attribute, AttributeValue, Attributes, Event, Link, Resource, Scope, Span, SpanId, SpanKind,
    Status, StatusCode, Trace, TraceId, UnixNanos,
};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;

/// Names that mean something to an analysis, among those that do not.
const KEYS: [&str; 10] = [
    "service.name",
    "service.instance.id",
    "peer.service",
    "server.address",
    "db.system.name",
    "http.request.resend_count",
    "exception.type",
    "opentracing.ref_type",
    "event",
    "",
];

/// When most spans are, in nanoseconds since the epoch.
const NOW: u64 = 1_795_312_074_755_000_000;

const SPANS_MAX: usize = 64;

/// The trace that these bytes stand for, as it would be read from the store; `None` when there are
/// too few of them.
pub(crate) fn trace(bytes: &[u8]) -> Option<(Trace, Vec<u8>)> {
    let mut from = Unstructured::new(bytes);
    let parts = parts(&mut from).ok()?;
    let resource_spans = to_messages(&parts, trace_id());
    let stored = TracesData { resource_spans }.encode_to_vec();
    let parts = decode_traces(trace_id(), &stored).expect("a TracesData");
    Some((Trace::new(trace_id(), parts)?, stored))
}

pub(crate) fn trace_id() -> TraceId {
    TraceId::new([7; 16]).expect("not zero")
}

fn parts(from: &mut Unstructured<'_>) -> Result<TraceParts> {
    let mut parts = TraceParts {
        resources: some(from, 3, resource)?,
        scopes: some(from, 1, scope)?,
        ..TraceParts::default()
    };
    parts.resources.push(Resource::default().into());
    parts.scopes.push(Scope::default());
    while !from.is_empty() && parts.spans.len() < SPANS_MAX {
        let mut span = span(from)?;
        span.resource_idx = below(from, parts.resources.len())?;
        span.scope_idx = below(from, parts.scopes.len())?;
        parts.spans.push(span);
    }
    Ok(parts)
}

fn below(from: &mut Unstructured<'_>, n: usize) -> Result<u32> {
    let at = from.choose_index(n)?;
    Ok(u32::try_from(at).expect("few"))
}

/// Up to `n_max` of them.
fn some<'a, T>(
    from: &mut Unstructured<'a>,
    n_max: usize,
    one: impl Fn(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let n = from.int_in_range(0..=n_max)?;
    (0..n).map(|_| one(from)).collect()
}

fn resource(from: &mut Unstructured<'_>) -> Result<std::sync::Arc<Resource>> {
    let mut resource = Resource {
        attributes: attributes(from)?,
        ..Resource::default()
    };
    let service = ["web", "shop", "stock", "bank"][from.choose_index(4)?];
    resource.attributes.push("service.name", service);
    Ok(resource.into())
}

fn scope(from: &mut Unstructured<'_>) -> Result<Scope> {
    Ok(Scope {
        name: text(from)?,
        version: text(from)?,
        attributes: attributes(from)?,
        ..Scope::default()
    })
}

fn span(from: &mut Unstructured<'_>) -> Result<Span> {
    let start = time(from)?;
    Ok(Span {
        span_id: span_id(from)?.unwrap_or_else(|| SpanId::new([1; 8]).expect("not zero")),
        parent_id: span_id(from)?,
        trace_state: text(from)?,
        flags: from.arbitrary()?,
        name: text(from)?.into(),
        kind: SpanKind::from_number(from.int_in_range(0..=5)?),
        start,
        end: if from.ratio(3, 4)? {
            UnixNanos(start.0.saturating_add(from.arbitrary::<u32>()?.into()))
        } else {
            time(from)?
        },
        attributes: attributes(from)?,
        dropped_attributes_count: from.int_in_range(0..=2)?,
        events: some(from, 2, event)?,
        dropped_events_count: 0,
        links: some(from, 2, link)?,
        dropped_links_count: 0,
        status: Status {
            code: StatusCode::from_number(from.int_in_range(0..=2)?),
            message: text(from)?,
        },
        resource_idx: 0,
        scope_idx: 0,
    })
}

/// One of a few, so that spans have parents, or any.
fn span_id(from: &mut Unstructured<'_>) -> Result<Option<SpanId>> {
    let bytes = if from.ratio(15, 16)? {
        from.int_in_range(0_u64..=20)?.to_be_bytes()
    } else {
        from.arbitrary()?
    };
    Ok(SpanId::new(bytes))
}

fn time(from: &mut Unstructured<'_>) -> Result<UnixNanos> {
    Ok(UnixNanos(match from.int_in_range(0_u8..=15)? {
        0 => from.arbitrary()?,
        1 => NOW + u64::from(from.arbitrary::<u32>()?) * 1_000_000,
        _ => NOW + u64::from(from.arbitrary::<u16>()?) * 1_000,
    }))
}

fn event(from: &mut Unstructured<'_>) -> Result<Event> {
    Ok(Event {
        time: time(from)?,
        name: text(from)?,
        attributes: attributes(from)?,
        ..Event::default()
    })
}

fn link(from: &mut Unstructured<'_>) -> Result<Link> {
    Ok(Link {
        trace_id: from.ratio(7, 8)?.then(trace_id),
        span_id: span_id(from)?,
        trace_state: text(from)?,
        attributes: attributes(from)?,
        dropped_attributes_count: 0,
        flags: from.arbitrary()?,
    })
}

fn text(from: &mut Unstructured<'_>) -> Result<String> {
    Ok(match from.int_in_range(0_u8..=7)? {
        0 => from.arbitrary()?,
        1 => "é\u{0}\"<b>\\\u{202e}\n".to_owned(),
        2 => "x".repeat(from.int_in_range(1..=300)?),
        n => ["", "GET /", "a", "SELECT 1", "exception"][usize::from(n) - 3].to_owned(),
    })
}

fn attributes(from: &mut Unstructured<'_>) -> Result<Attributes> {
    Ok(Attributes(some(from, 2, |from| attribute(from, 0))?))
}

fn attribute(from: &mut Unstructured<'_>, depth: usize) -> Result<Attribute> {
    let key = if from.ratio(3, 4)? {
        KEYS[from.choose_index(KEYS.len())?].to_owned()
    } else {
        text(from)?
    };
    let value = value(from, depth)?;
    Ok(Attribute { key, value })
}

fn value(from: &mut Unstructured<'_>, depth: usize) -> Result<AttributeValue> {
    let deepest = depth > VALUE_DEPTH_MAX;
    Ok(match from.int_in_range(0_u8..=7)? {
        1 => AttributeValue::Bool(from.arbitrary()?),
        2 => AttributeValue::Int(from.arbitrary()?),
        3 => AttributeValue::Double(from.arbitrary()?),
        4 => AttributeValue::Bytes(from.arbitrary()?),
        5 if !deepest => AttributeValue::Array(some(from, 3, |from| value(from, depth + 1))?),
        6 if !deepest => AttributeValue::Map(Attributes(some(from, 3, |from| {
            attribute(from, depth + 1)
        })?)),
        7 => AttributeValue::Empty,
        _ => AttributeValue::String(text(from)?),
    })
}
