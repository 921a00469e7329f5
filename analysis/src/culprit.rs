//! The culprit: what in the slowest hop took the time, and whom it was calling.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use longpole_proto::{SpanKind, Trace};

use crate::hop::is_callee;
use crate::{Culprit, Hop};

/// Attributes that name a peer, the current names before the old ones of the same meaning
/// (OpenTelemetry semantic conventions 1.45, FIELD.md 4.5).
pub const PEER_KEYS: [&str; 8] = [
    "db.system.name",
    "db.system",
    "messaging.destination.name",
    "messaging.destination",
    "server.address",
    "net.peer.name",
    "peer.service",
    "http.host",
];

/// Tells the peer a span's attributes name.
pub(crate) type PeerOf<'a> = &'a dyn Fn(usize) -> Option<String>;

/// Whom a CLIENT or PRODUCER span talks to when its callee is not stored.
pub(crate) fn peer(trace: &Trace, span_idx: usize) -> Option<&str> {
    calls_outside(trace, span_idx)
        .then(|| trace.span(span_idx).attributes.text_of_any(&PEER_KEYS))
        .flatten()
}

/// Whether a span is a call whose callee is not stored.
pub(crate) fn calls_outside(trace: &Trace, span_idx: usize) -> bool {
    matches!(
        trace.span(span_idx).kind,
        SpanKind::Client | SpanKind::Producer
    ) && !trace
        .children(span_idx)
        .any(|child| is_callee(trace, child))
}

/// The operation of a hop with the most critical self time (ties: the earlier); the entry span when
/// none has any.
pub(crate) fn culprit(
    trace: &Trace,
    hop_idx: usize,
    hop: &Hop,
    hop_of: &[u32],
    critical_nanos: &[u64],
    peer_of: PeerOf<'_>,
) -> Culprit {
    let first_idx = hop.client_idx.unwrap_or(hop.entry_idx);
    // By operation: time, and the first span.
    let mut operations: HashMap<(usize, &str), (u64, usize), RandomState> = HashMap::default();
    let operation = |at: usize| (trace.service_idx(at), trace.span(at).name.as_ref());
    let spans = || {
        trace
            .subtree(first_idx)
            .filter(|&at| hop_of[at] as usize == hop_idx && critical_nanos[at] > 0)
    };
    for at in spans() {
        operations.entry(operation(at)).or_insert((0, at)).0 += critical_nanos[at];
    }
    let most = operations
        .into_iter()
        .min_by_key(|&(_, (nanos, first))| (std::cmp::Reverse(nanos), first));
    let Some((most, (nanos, _))) = most else {
        return Culprit {
            span_idxs: vec![hop.entry_idx],
            peer: None,
            nanos: 0,
        };
    };
    let span_idxs: Vec<usize> = spans().filter(|&at| operation(at) == most).collect();
    let peer = |at: usize| calls_outside(trace, at).then(|| peer_of(at)).flatten();
    let first_peer = peer(span_idxs[0]);
    let peer = first_peer.filter(|first| {
        span_idxs[1..]
            .iter()
            .all(|&at| peer(at).as_ref() == Some(first))
    });
    Culprit {
        span_idxs,
        peer,
        nanos,
    }
}
