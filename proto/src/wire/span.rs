//! A span's message, walked for what is read on the way in.

use std::ops::Range;

use super::reader::Reader;
use super::request::index;
use super::{RejectReason, WireError};
use crate::{SpanId, SpanKind, StatusCode, TraceId, UnixNanos};

/// An accepted span of an export request: what is read on the way in, and where its bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanSlice {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its ID.
    pub span_id: SpanId,
    /// Its parent's ID.
    pub parent_id: Option<SpanId>,
    /// When it began.
    pub start: UnixNanos,
    /// When it ended, as sent.
    pub end: UnixNanos,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// How it ended.
    pub status: StatusCode,
    /// Whether it links to other spans.
    pub has_links: bool,
    // 32 bits each, as a request is no larger than 4 GiB: many are kept.
    name: Range<u32>,
    message: Range<u32>,
    /// The `ScopeSpans` it came in, as an index into its request's.
    pub(super) scope: u32,
}

impl SpanSlice {
    /// Its name's bytes in the request; not always UTF-8.
    pub fn name(&self) -> Range<usize> {
        self.name.start as usize..self.name.end as usize
    }

    /// Its message's bytes in the request.
    pub fn message(&self) -> Range<usize> {
        self.message.start as usize..self.message.end as usize
    }

    /// The `ScopeSpans` it came in, as an index into its request's; a scope has one resource.
    pub fn scope_idx(&self) -> u32 {
        self.scope
    }

    /// Walks the span that lies in `bytes` at `message`. Its own fields are checked to the end;
    /// attributes, events and links are stepped over.
    pub(super) fn read(
        bytes: &[u8],
        message: Range<usize>,
        scope: u32,
    ) -> Result<Self, RejectReason> {
        let fields = Fields::read(bytes, message.clone()).map_err(|_| RejectReason::Malformed)?;
        let trace_id = TraceId::from_slice(fields.trace_id).map_err(|_| RejectReason::TraceId)?;
        let span_id = SpanId::from_slice(fields.span_id).map_err(|_| RejectReason::SpanId)?;
        let parent_id = match fields.parent_id {
            [] => None,
            bytes => SpanId::new(bytes.try_into().map_err(|_| RejectReason::ParentId)?),
        };
        Ok(Self {
            trace_id,
            span_id,
            parent_id,
            start: UnixNanos(fields.start),
            end: UnixNanos(fields.end),
            kind: SpanKind::from_number(fields.kind),
            status: StatusCode::from_number(fields.status),
            has_links: fields.has_links,
            name: index(fields.name.start)..index(fields.name.end),
            message: index(message.start)..index(message.end),
            scope,
        })
    }
}

/// A span's fields that are read on the way in, as sent.
#[derive(Default)]
struct Fields<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_id: &'a [u8],
    name: Range<usize>,
    kind: i32,
    start: u64,
    end: u64,
    status: i32,
    has_links: bool,
}

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8], message: Range<usize>) -> Result<Self, WireError> {
        // A span without a name has an empty one, and that lies somewhere too.
        let mut fields = Self {
            name: message.start..message.start,
            ..Self::default()
        };
        let mut at = message.start;
        while at < message.end {
            if let Some(next) = fields.read_plain(&bytes[..message.end], at) {
                at = next;
                continue;
            }
            let Some(field) = Reader::within(bytes, at..message.end).next() else {
                break;
            };
            let field = field?;
            at = field.whole.end;
            match field.number {
                1 => fields.trace_id = field.bytes()?,
                2 => fields.span_id = field.bytes()?,
                4 => fields.parent_id = field.bytes()?,
                5 => fields.name = field.range()?,
                6 => fields.kind = field.enumeration()?,
                7 => fields.start = field.fixed64()?,
                8 => fields.end = field.fixed64()?,
                // tracestate, attributes, events.
                3 | 9 | 11 => {
                    field.range()?;
                }
                13 => {
                    field.range()?;
                    fields.has_links = true;
                }
                // What the sender left out.
                10 | 12 | 14 => {
                    field.varint()?;
                }
                15 => read_status(field.message()?, &mut fields.status)?,
                16 => {
                    field.fixed32()?;
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    /// Reads the field at `at` if it is as encoders in use write it, and says where the next
    /// begins. Most of a span's fields are attributes, and most lengths are a byte or two.
    #[inline]
    fn read_plain(&mut self, bytes: &'a [u8], at: usize) -> Option<usize> {
        let tag = *bytes.get(at)?;
        let at = at + 1;
        match tag {
            KIND => {
                let kind = *bytes.get(at).filter(|&&kind| kind < 0x80)?;
                self.kind = i32::from(kind);
                return Some(at + 1);
            }
            START | END => {
                let time = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
                if tag == START {
                    self.start = time;
                } else {
                    self.end = time;
                }
                return Some(at + 8);
            }
            TRACE_ID | SPAN_ID | PARENT_ID | NAME | ATTRIBUTE | EVENT => {}
            _ => return None,
        }
        let (len, start) = match *bytes.get(at..)? {
            [len, ..] if len < 0x80 => (usize::from(len), at + 1),
            [low, high, ..] if high < 0x80 => {
                (usize::from(low & 0x7f) | usize::from(high) << 7, at + 2)
            }
            _ => return None,
        };
        let value = bytes.get(start..start + len)?;
        match tag {
            TRACE_ID => self.trace_id = value,
            SPAN_ID => self.span_id = value,
            PARENT_ID => self.parent_id = value,
            NAME => self.name = start..start + len,
            _ => {}
        }
        Some(start + len)
    }
}

// The tags of the fields that nearly every span has.
const TRACE_ID: u8 = 1 << 3 | 2;
const SPAN_ID: u8 = 2 << 3 | 2;
const PARENT_ID: u8 = 4 << 3 | 2;
const NAME: u8 = 5 << 3 | 2;
const KIND: u8 = 6 << 3;
const START: u8 = 7 << 3 | 1;
const END: u8 = 8 << 3 | 1;
const ATTRIBUTE: u8 = 9 << 3 | 2;
const EVENT: u8 = 11 << 3 | 2;

/// A status sent twice is one status: what the second does not say stays.
fn read_status(message: Reader<'_>, code: &mut i32) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        match field.number {
            2 => {
                field.range()?;
            }
            3 => *code = field.enumeration()?,
            _ => {}
        }
    }
    Ok(())
}
