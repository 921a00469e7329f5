//! A request's spans by trace.

use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use prost::encoding::{encode_varint, encoded_len_varint};

use super::SpanSlice;
use super::request::{ExportRequest, index};
use crate::TraceId;

/// An export request and which of its spans belong together.
#[derive(Debug, Clone)]
pub struct ByTrace {
    request: ExportRequest,
    /// The spans' indices, those of a trace together and in the order sent.
    order: Vec<u32>,
    /// By trace, in order of first appearance: one past its last in `order`.
    ends: Vec<u32>,
}

impl ByTrace {
    pub(super) fn new(request: ExportRequest) -> Self {
        let mut traces: HashMap<TraceId, u32, RandomState> = HashMap::default();
        let mut ends: Vec<u32> = Vec::new();
        let mut trace_of: Vec<u32> = Vec::with_capacity(request.spans().len());
        let mut last: Option<(TraceId, u32)> = None;
        for span in request.spans() {
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
        }
    }

    /// The request.
    pub fn request(&self) -> &ExportRequest {
        &self.request
    }

    /// How many traces it has spans of.
    pub fn n_traces(&self) -> usize {
        self.ends.len()
    }

    /// The spans of a trace, by its number in order of first appearance.
    ///
    /// # Panics
    /// When there is no such trace.
    pub fn trace(&self, number: usize) -> TraceSpans<'_> {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        TraceSpans {
            request: &self.request,
            spans: &self.order[start as usize..self.ends[number] as usize],
        }
    }

    /// The spans of each trace, in order of first appearance.
    pub fn traces(&self) -> impl ExactSizeIterator<Item = TraceSpans<'_>> {
        (0..self.n_traces()).map(|number| self.trace(number))
    }

    /// Each trace's ID and [`TraceSpans::message`], in order of first appearance.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = (TraceId, Vec<u8>)> {
        self.traces()
            .map(|trace| (trace.trace_id(), trace.message()))
    }
}

/// The spans of a request that belong to one trace; at least one.
#[derive(Debug, Clone, Copy)]
pub struct TraceSpans<'a> {
    request: &'a ExportRequest,
    spans: &'a [u32],
}

impl<'a> TraceSpans<'a> {
    /// The trace's ID.
    pub fn trace_id(&self) -> TraceId {
        self.span(self.spans[0]).trace_id
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "a trace has a span")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The spans in the order sent.
    pub fn spans(self) -> impl ExactSizeIterator<Item = &'a SpanSlice> {
        self.spans.iter().map(move |&span| self.span(span))
    }

    /// How many bytes their own messages have.
    pub fn n_bytes(self) -> usize {
        self.spans().map(|span| span.message().len()).sum()
    }

    /// They as one OTLP `TracesData` message with the bytes of resources, scopes and spans as sent.
    /// Such messages of one trace can be joined end to end: protobuf reads the whole as one.
    pub fn message(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(self.message_len());
        self.write_message(&mut message);
        message
    }

    /// How many bytes [`Self::message`] has.
    pub fn message_len(&self) -> usize {
        self.by_resource(self.spans)
            .map(|(_, len)| delimited_len(len))
            .sum()
    }

    /// Appends [`Self::message`].
    pub fn write_message(&self, to: &mut Vec<u8>) {
        let bytes = self.request.bytes();
        let (resources, scopes) = self.request.groups();
        for (spans, len) in self.by_resource(self.spans) {
            write_prefix(1, len, to);
            resources.write(self.request.resource_of(self.span(spans[0])), bytes, to);
            for (spans, len) in self.by_scope(spans) {
                write_prefix(2, len, to);
                scopes.write(self.span(spans[0]).scope, bytes, to);
                for &span in spans {
                    let message: Range<usize> = self.span(span).message();
                    write_prefix(2, message.len(), to);
                    to.extend_from_slice(&bytes[message]);
                }
            }
        }
    }

    fn span(&self, span: u32) -> &'a SpanSlice {
        &self.request.spans()[span as usize]
    }

    /// Spans by resource, each with the length of its `ResourceSpans`.
    fn by_resource<'s>(&'s self, spans: &'s [u32]) -> impl Iterator<Item = (&'s [u32], usize)> {
        let resource_of = |span| self.request.resource_of(self.span(span));
        spans
            .chunk_by(move |&a, &b| resource_of(a) == resource_of(b))
            .map(move |spans| {
                let own = self.request.groups().0.len_of(resource_of(spans[0])) as usize;
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
                let own = self.request.groups().1.len_of(scope_of(spans[0])) as usize;
                let nested: usize = spans
                    .iter()
                    .map(|&span| delimited_len(self.span(span).message().len()))
                    .sum();
                (spans, own + nested)
            })
    }
}

/// How long a message of `len` bytes is with its tag (of one byte) and its length.
fn delimited_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// Writes the tag and length of an embedded message; `field` is below 16.
fn write_prefix(field: u8, len: usize, to: &mut Vec<u8>) {
    to.push(field << 3 | 2);
    encode_varint(len as u64, to);
}
