//! A request taken apart: one message for each trace.

use std::collections::HashMap;

use prost::encoding::{encode_varint, encoded_len_varint};

use super::SpanSlice;
use super::request::{ExportRequest, index};
use crate::TraceId;

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
    pub(super) fn new(request: &'a ExportRequest) -> Self {
        let mut traces: HashMap<TraceId, u32> = HashMap::new();
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
            next: 0,
        }
    }

    /// The same messages, each with how many spans it has.
    pub fn with_counts(mut self) -> impl Iterator<Item = (TraceId, usize, Vec<u8>)> + use<'a> {
        std::iter::from_fn(move || {
            let (start, end) = self.range()?;
            let (trace_id, message) = self.next()?;
            Some((trace_id, end - start, message))
        })
    }

    /// Where the next trace's spans are in `order`.
    fn range(&self) -> Option<(usize, usize)> {
        let end = *self.ends.get(self.next)?;
        let start = self
            .next
            .checked_sub(1)
            .map_or(0, |before| self.ends[before]);
        Some((start as usize, end as usize))
    }

    fn span(&self, span: u32) -> &'a SpanSlice {
        &self.request.spans()[span as usize]
    }

    /// A trace's spans by resource, each with the length of its `ResourceSpans`.
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
                    .map(|&span| delimited_len(self.span(span).message.len()))
                    .sum();
                (spans, own + nested)
            })
    }

    fn message(&self, spans: &[u32]) -> Vec<u8> {
        let bytes = self.request.bytes();
        let (resources, scopes) = self.request.groups();
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
        let (start, end) = self.range()?;
        self.next += 1;
        let spans = &self.order[start..end];
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
