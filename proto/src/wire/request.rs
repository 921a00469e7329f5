//! Export requests: one pass over the bytes on the way in, one message for each trace on the way
//! to storage.
//!
//! `ResourceSpans` and `ScopeSpans` are kept as *groups*: where their own fields (all but the
//! nested groups and spans) lie. A trace's message repeats them as sent, so that unknown fields and
//! messages sent in several pieces come through without being understood here.

use std::ops::Range;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::outline::names_service;
use super::reader::{Field, Reader};
use super::{ByTrace, Rejections, SpanSlice, WarnReason, Warnings, WireError};

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
    warnings: Warnings,
}

impl ExportRequest {
    /// Walks an export request in one pass. Spans that are refused are counted in
    /// [`Self::rejections`]; their attributes, events and links are not looked into.
    ///
    /// # Errors
    /// When the bytes are not an `ExportTraceServiceRequest` at all: broken outside of any span,
    /// larger than 4 GiB, or more than [`SPREAD_BYTES_MAX`] once split by trace.
    pub fn parse(bytes: Bytes) -> Result<Self, WireError> {
        check_size(&bytes)?;
        let mut request = Self {
            bytes,
            spans: Vec::new(),
            resources: Groups::default(),
            scopes: Groups::default(),
            resource_of: Vec::new(),
            rejections: Rejections::default(),
            warnings: Warnings::default(),
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

    /// What is odd about the accepted spans.
    pub fn warnings(&self) -> Warnings {
        self.warnings
    }

    /// Adds refusals that were found before the request had this form (a JSON reader's).
    pub fn add_rejections(&mut self, rejections: &Rejections) {
        for (reason, count) in rejections.iter() {
            self.rejections.add(reason, count);
        }
    }

    /// The accepted spans by trace. The messages of all traces together take no more than the
    /// request and [`SPREAD_BYTES_MAX`].
    pub fn by_trace(self) -> ByTrace {
        ByTrace::new(self)
    }

    /// Appends the fields of a span's `ResourceSpans` besides its scopes: resource and schema URL.
    pub fn write_resource(&self, span: &SpanSlice, to: &mut Vec<u8>) {
        self.resources
            .write(self.resource_of(span), &self.bytes, to);
    }

    /// Appends the fields of a span's `ScopeSpans` besides its spans: scope and schema URL.
    pub fn write_scope(&self, span: &SpanSlice, to: &mut Vec<u8>) {
        self.scopes.write(span.scope, &self.bytes, to);
    }

    fn walk_resource_spans(&mut self, bytes: &[u8], message: Reader<'_>) -> Result<(), WireError> {
        let mark = self.resources.mark();
        let n_scopes = self.resource_of.len();
        let n_spans = self.spans.len();
        let mut is_named = false;
        for field in message {
            let field = field?;
            match field.number {
                // The resource, which may come in pieces.
                1 => {
                    is_named |= names_service(field.message()?);
                    self.resources.keep(&field);
                }
                2 => self.walk_scope_spans(bytes, field.message()?)?,
                // The schema URL.
                3 => {
                    field.range()?;
                    self.resources.keep(&field);
                }
                _ => self.resources.keep(&field),
            }
        }
        self.resources
            .close(mark, self.resource_of.len() > n_scopes);
        if !is_named {
            let n_spans = self.spans.len() - n_spans;
            self.warnings.add(WarnReason::NoServiceName, n_spans as u64);
        }
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
                    Ok(span) => {
                        let is_odd = span.end < span.start;
                        self.warnings
                            .add(WarnReason::EndsBeforeStart, is_odd.into());
                        self.spans.push(span);
                    }
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

    /// The group of the resource of a span.
    pub(super) fn resource_of(&self, span: &SpanSlice) -> u32 {
        self.resource_of[span.scope as usize]
    }

    /// The groups of resources and of scopes.
    pub(super) fn groups(&self) -> (&Groups, &Groups) {
        (&self.resources, &self.scopes)
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
        let mut seen: HashSet<_, RandomState> = HashSet::default();
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
pub(super) struct Groups {
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
    pub(super) fn len_of(&self, group: u32) -> u32 {
        self.ends[group as usize].1
    }

    /// Appends a group's own fields.
    pub(super) fn write(&self, group: u32, bytes: &[u8], to: &mut Vec<u8>) {
        let start = group
            .checked_sub(1)
            .map_or(0, |before| self.ends[before as usize].0);
        let end = self.ends[group as usize].0;
        for field in &self.fields[start as usize..end as usize] {
            to.extend_from_slice(&bytes[field.start as usize..field.end as usize]);
        }
    }
}

/// Refuses what [`index`] could not point into.
pub(super) fn check_size(bytes: &[u8]) -> Result<(), WireError> {
    if u32::try_from(bytes.len()).is_err() {
        let limit_bytes = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        return Err(WireError::TooLarge {
            n_bytes: bytes.len(),
            limit_bytes,
        });
    }
    Ok(())
}

/// Positions and counts in a request, which is no larger than 4 GiB.
pub(super) fn index(at: usize) -> u32 {
    u32::try_from(at).expect("a request is no larger than 4 GiB")
}
