//! Hops: the visits of a request to services.
//!
//! ```text
//! gateway   POST /checkout     [--------------------]   hop 1: entry
//! gateway     GET inventory       [-----------]         hop 2: its client, whose own time is network
//! inventory     GET /stock          [-------]           hop 2: entry
//! inventory       SELECT              [--]              hop 2, labelled with its peer
//! ```

use longpole_proto::{Attachment, SpanKind, Trace};

use crate::Hop;

/// Whether a span begins a visit to a service.
fn is_entry(trace: &Trace, span_idx: usize) -> bool {
    matches!(
        trace.span(span_idx).kind,
        SpanKind::Server | SpanKind::Consumer
    ) || trace
        .parent(span_idx)
        .is_none_or(|parent| trace.service_idx(parent) != trace.service_idx(span_idx))
}

/// Whether a span is a callee of the client or producer span it hangs under.
pub(crate) fn is_callee(trace: &Trace, span_idx: usize) -> bool {
    trace.attachment(span_idx) == Attachment::Child && is_entry(trace, span_idx)
}

/// The entry span a client span belongs to: its only stored child, when that is one.
pub(crate) fn entry_of_client(trace: &Trace, span_idx: usize) -> Option<usize> {
    if trace.span(span_idx).kind != SpanKind::Client || is_entry(trace, span_idx) {
        return None;
    }
    let mut children = trace.children(span_idx);
    match (children.next(), children.next()) {
        (Some(child), None) if is_entry(trace, child) => Some(child),
        _ => None,
    }
}

/// All hops by their first span in pre-order, and each span's hop.
pub(crate) fn hops(trace: &Trace, critical_nanos: &[u64]) -> (Vec<Hop>, Vec<u32>) {
    let mut hops: Vec<Hop> = Vec::new();
    let mut hop_of: Vec<u32> = Vec::with_capacity(trace.len());
    for (at, &nanos) in critical_nanos.iter().enumerate() {
        let parent_hop = trace.parent(at).map(|parent| hop_of[parent]);
        let client_of = entry_of_client(trace, at);
        let begins = match client_of {
            Some(_) => true,
            // A client before it may have begun its hop.
            None => {
                is_entry(trace, at)
                    && parent_hop.is_none_or(|hop| hops[hop as usize].entry_idx != at)
            }
        };
        let hop = if begins {
            hops.push(Hop {
                entry_idx: client_of.unwrap_or(at),
                client_idx: client_of.map(|_| at),
                parent: parent_hop.map(|hop| hop as usize),
                nanos: 0,
                network_nanos: client_of.map_or(0, |_| nanos),
                n_spans: 0,
                n_errors: 0,
            });
            u32::try_from(hops.len() - 1).expect("no more hops than spans")
        } else {
            parent_hop.expect("a span that begins no hop has a parent")
        };
        hop_of.push(hop);
        let hop = &mut hops[hop as usize];
        hop.nanos += nanos;
        hop.n_spans += 1;
        hop.n_errors += usize::from(trace.span(at).is_error());
    }
    (hops, hop_of)
}

/// The hop with most time (ties: the earlier); the root's when none has any.
pub(crate) fn slowest(trace: &Trace, hops: &[Hop], hop_of: &[u32]) -> usize {
    (0..hops.len())
        .filter(|&hop| hops[hop].nanos > 0)
        .min_by_key(|&hop| {
            let entry = hops[hop].entry_idx;
            (
                std::cmp::Reverse(hops[hop].nanos),
                trace.span(entry).start,
                hop,
            )
        })
        .unwrap_or(hop_of[trace.request_root()] as usize)
}
