//! Export requests: one pass over the bytes on the way in, one message for each trace on the way
//! to storage.
//!
//! `ResourceSpans` and `ScopeSpans` are kept as *groups*: where their own fields (all but the
//! nested groups and spans) lie. A trace's message repeats them as sent, so that unknown fields and
//! messages sent in several pieces come through without being understood here.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;
use prost::encoding::{encode_varint, encoded_len_varint};

use super::reader::{Field, Reader};
use super::{Rejections, SpanSlice, WireError};
use crate::TraceId;

/// How many bytes the resources and scopes of one request may take once each trace has its own:
/// 131,072 traces of one request may share a resource of 2 KiB.
pub const SPREAD_BYTES_MAX: u64 = 256 << 20;

/// An `ExportTraceServiceRequest`, walked and checked.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    bytes: Bytes,
    spans: Vec<SpanSlice>,
    resources: Groups,
    scopes: Groups,
    /// By scope: the resource it belongs to.
    resource_of: Vec<u32>,
    rejections: Rejections,
}

impl ExportRequest {
    /// Walks an export request in one pass. Spans that are refused are counted in
    /// [`Self::rejections`]; attributes, events and links are not looked into.
    ///
    /// # Errors
    /// When the bytes are not an `ExportTraceServiceRequest` at all: broken outside of any span,
    /// larger than 4 GiB, or more than [`SPREAD_BYTES_MAX`] once split by trace.
    pub fn parse(bytes: Bytes) -> Result<Self, WireError> {
        if u32::try_from(bytes.len()).is_err() {
            let limit_bytes = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
            return Err(WireError::TooLarge {
                n_bytes: bytes.len(),
                limit_bytes,
            });
        }
        let mut request = Self {
            bytes,
            spans: Vec::new(),
            resources: Groups::default(),
            scopes: Groups::default(),
            resource_of: Vec::new(),
            rejections: Rejections::default(),
        };
        let bytes = request.bytes.clone();
        for field in Reader::new(&bytes) {
            let field = field?;
            if field.number == 1 {
                request.walk_resource_spans(&bytes, field.message()?)?;
            }
        }
        request.check_spread()?;
        Ok(request)
    }

    /// The bytes it came in.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The accepted spans, in the order sent.
    pub fn spans(&self) -> &[SpanSlice] {
        &self.spans
    }

    /// The refused spans.
    pub fn rejections(&self) -> &Rejections {
        &self.rejections
    }

    /// Adds refusals that were found before the request had this form (a JSON reader's).
    pub fn add_rejections(&mut self, rejections: &Rejections) {
        for (reason, count) in rejections.iter() {
            self.rejections.add(reason, count);
        }
    }

    /// The accepted spans by trace, each trace's as one OTLP `TracesData` message with the bytes of
    /// resources, scopes and spans as sent; traces in order of first appearance. Such messages of
    /// one trace can be joined end to end: protobuf reads the whole as one message. All of them
    /// together take no more than the request and [`SPREAD_BYTES_MAX`].
    pub fn by_trace(&self) -> ByTrace<'_> {
        ByTrace::new(self)
    }

    fn walk_resource_spans(&mut self, bytes: &[u8], message: Reader<'_>) -> Result<(), WireError> {
        let mark = self.resources.mark();
        let n_scopes = self.resource_of.len();
        for field in message {
            let field = field?;
            match field.number {
                2 => self.walk_scope_spans(bytes, field.message()?)?,
                // Resource and schema URL.
                1 | 3 => {
                    field.range()?;
                    self.resources.keep(&field);
                }
                _ => self.resources.keep(&field),
            }
        }
        self.resources
            .close(mark, self.resource_of.len() > n_scopes);
        Ok(())
    }

    fn walk_scope_spans(&mut self, bytes: &[u8], message: Reader<'_>) -> Result<(), WireError> {
        let mark = self.scopes.mark();
        let n_spans = self.spans.len();
        let scope = self.scopes.next_index();
        for field in message {
            let field = field?;
            match field.number {
                2 => match SpanSlice::read(bytes, field.range()?, scope) {
                    Ok(span) => self.spans.push(span),
                    Err(reason) => self.rejections.add(reason, 1),
                },
                // Scope and schema URL.
                1 | 3 => {
                    field.range()?;
                    self.scopes.keep(&field);
                }
                _ => self.scopes.keep(&field),
            }
        }
        let has_spans = self.spans.len() > n_spans;
        if has_spans {
            self.resource_of.push(self.resources.next_index());
        }
        self.scopes.close(mark, has_spans);
        Ok(())
    }

    fn resource_of(&self, span: &SpanSlice) -> u32 {
        self.resource_of[span.scope as usize]
    }

    /// Refuses a request whose messages by trace would be out of all proportion to it: a resource
    /// of 60 MiB shared by 100,000 traces is 6 TB.
    fn check_spread(&self) -> Result<(), WireError> {
        // As if each span were a trace: cheap, and enough for any honest request.
        let at_most = self.spans.iter().fold(0_u64, |sum, span| {
            sum + u64::from(self.scopes.len_of(span.scope))
                + u64::from(self.resources.len_of(self.resource_of(span)))
        });
        if at_most <= SPREAD_BYTES_MAX {
            return Ok(());
        }
        let mut seen = HashSet::new();
        let mut n_bytes = 0;
        for span in &self.spans {
            let resource = self.resource_of(span);
            if seen.insert((span.trace_id, Ok(span.scope))) {
                n_bytes += u64::from(self.scopes.len_of(span.scope));
            }
            if seen.insert((span.trace_id, Err(resource))) {
                n_bytes += u64::from(self.resources.len_of(resource));
            }
        }
        if n_bytes <= SPREAD_BYTES_MAX {
            return Ok(());
        }
        Err(WireError::Spread {
            n_bytes,
            limit_bytes: SPREAD_BYTES_MAX,
        })
    }
}

/// The own fields of all `ResourceSpans` (or all `ScopeSpans`) of a request that hold spans.
#[derive(Debug, Clone, Default)]
struct Groups {
    /// Where they lie, fields that touch as one. 32 bits halve what a hostile request can make of
    /// its two-byte fields.
    fields: Vec<Range<u32>>,
    /// By group: one past its last in `fields`, and how many bytes it has in all.
    ends: Vec<(u32, u32)>,
}

impl Groups {
    /// The index the group being read will have if it is kept.
    fn next_index(&self) -> u32 {
        index(self.ends.len())
    }

    fn mark(&self) -> usize {
        self.fields.len()
    }

    /// Keeps a field of the group being read.
    fn keep(&mut self, field: &Field<'_>) {
        let (start, end) = (index(field.whole.start), index(field.whole.end));
        match self.fields.last_mut() {
            // The last of an earlier group cannot touch this one: a tag and a length lie between.
            Some(last) if last.end == start => last.end = end,
            _ => self.fields.push(start..end),
        }
    }

    /// Ends the group begun at `mark`.
    fn close(&mut self, mark: usize, has_spans: bool) {
        if has_spans {
            let n_bytes = self.fields[mark..]
                .iter()
                .map(|field| field.end - field.start)
                .sum();
            self.ends.push((index(self.fields.len()), n_bytes));
        } else {
            self.fields.truncate(mark);
        }
    }

    /// How many bytes a group's own fields have.
    fn len_of(&self, group: u32) -> u32 {
        self.ends[group as usize].1
    }

    fn write(&self, group: u32, bytes: &[u8], to: &mut Vec<u8>) {
        let start = group
            .checked_sub(1)
            .map_or(0, |before| self.ends[before as usize].0);
        let end = self.ends[group as usize].0;
        for field in &self.fields[start as usize..end as usize] {
            to.extend_from_slice(&bytes[field.start as usize..field.end as usize]);
        }
    }
}

/// Positions and counts in a request, which is no larger than 4 GiB.
fn index(at: usize) -> u32 {
    u32::try_from(at).expect("a request is no larger than 4 GiB")
}

/// The messages of [`ExportRequest::by_trace`], made one at a time.
#[derive(Debug, Clone)]
pub struct ByTrace<'a> {
    request: &'a ExportRequest,
    /// The spans' indices, those of a trace together and in the order sent.
    order: Vec<u32>,
    /// By trace, in order of first appearance: one past its last in `order`.
    ends: Vec<u32>,
    next: usize,
}

impl<'a> ByTrace<'a> {
    fn new(request: &'a ExportRequest) -> Self {
        let mut traces: HashMap<TraceId, u32> = HashMap::new();
        let mut ends: Vec<u32> = Vec::new();
        let mut trace_of: Vec<u32> = Vec::with_capacity(request.spans.len());
        let mut last: Option<(TraceId, u32)> = None;
        for span in &request.spans {
            // Exporters send a trace's spans together.
            let trace = match last {
                Some((trace_id, trace)) if trace_id == span.trace_id => trace,
                _ => *traces.entry(span.trace_id).or_insert_with(|| {
                    ends.push(0);
                    index(ends.len() - 1)
                }),
            };
            last = Some((span.trace_id, trace));
            ends[trace as usize] += 1;
            trace_of.push(trace);
        }
        // Counts become starts, and filling moves each start to its end.
        let mut start = 0;
        for end in &mut ends {
            start += std::mem::replace(end, start);
        }
        let mut order = vec![0; trace_of.len()];
        for (span, &trace) in (0..).zip(&trace_of) {
            let end = &mut ends[trace as usize];
            order[*end as usize] = span;
            *end += 1;
        }
        Self {
            request,
            order,
            ends,
            next: 0,
        }
    }

    fn span(&self, span: u32) -> &'a SpanSlice {
        &self.request.spans[span as usize]
    }

    /// A trace's spans by resource, each with the length of its `ResourceSpans`.
    fn by_resource<'s>(&'s self, spans: &'s [u32]) -> impl Iterator<Item = (&'s [u32], usize)> {
        let resource_of = |span| self.request.resource_of(self.span(span));
        spans
            .chunk_by(move |&a, &b| resource_of(a) == resource_of(b))
            .map(move |spans| {
                let own = self.request.resources.len_of(resource_of(spans[0])) as usize;
                let nested: usize = self
                    .by_scope(spans)
                    .map(|(_, len)| delimited_len(len))
                    .sum();
                (spans, own + nested)
            })
    }

    /// A resource's spans by scope, each with the length of its `ScopeSpans`.
    fn by_scope<'s>(&'s self, spans: &'s [u32]) -> impl Iterator<Item = (&'s [u32], usize)> {
        let scope_of = |span| self.span(span).scope;
        spans
            .chunk_by(move |&a, &b| scope_of(a) == scope_of(b))
            .map(move |spans| {
                let own = self.request.scopes.len_of(scope_of(spans[0])) as usize;
                let nested: usize = spans
                    .iter()
                    .map(|&span| delimited_len(self.span(span).message.len()))
                    .sum();
                (spans, own + nested)
            })
    }

    fn message(&self, spans: &[u32]) -> Vec<u8> {
        let ExportRequest {
            bytes,
            resources,
            scopes,
            ..
        } = self.request;
        let len = self
            .by_resource(spans)
            .map(|(_, len)| delimited_len(len))
            .sum();
        let mut to = Vec::with_capacity(len);
        for (spans, len) in self.by_resource(spans) {
            write_prefix(1, len, &mut to);
            resources.write(
                self.request.resource_of(self.span(spans[0])),
                bytes,
                &mut to,
            );
            for (spans, len) in self.by_scope(spans) {
                write_prefix(2, len, &mut to);
                scopes.write(self.span(spans[0]).scope, bytes, &mut to);
                for &span in spans {
                    let message = &bytes[self.span(span).message.clone()];
                    write_prefix(2, message.len(), &mut to);
                    to.extend_from_slice(message);
                }
            }
        }
        debug_assert_eq!(to.len(), len, "lengths are those of what is written");
        to
    }
}

impl Iterator for ByTrace<'_> {
    type Item = (TraceId, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        let end = *self.ends.get(self.next)?;
        let start = self
            .next
            .checked_sub(1)
            .map_or(0, |before| self.ends[before]);
        self.next += 1;
        let spans = &self.order[start as usize..end as usize];
        Some((self.span(spans[0]).trace_id, self.message(spans)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.ends.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for ByTrace<'_> {}

/// How long a message of `len` bytes is with its tag (of one byte) and its length.
fn delimited_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// Writes the tag and length of an embedded message; `field` is below 16.
fn write_prefix(field: u8, len: usize, to: &mut Vec<u8>) {
    to.push(field << 3 | 2);
    encode_varint(len as u64, to);
}
