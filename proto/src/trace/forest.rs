//! The forest's shape: who hangs under whom, and the pre-order.

use super::Attachment;
use crate::{Span, SpanId, SpanKind};

/// The shape of the forest; `order` maps pre-order positions to the given spans, duplicates left
/// out, the rest are in pre-order themselves.
pub(super) struct Forest {
    pub(super) order: Vec<u32>,
    pub(super) parents: Vec<u32>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) ends: Vec<u32>,
    pub(super) depths: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Forest {
    pub(super) fn of(spans: &[Span]) -> Option<Self> {
        let n_given = u32::try_from(spans.len()).ok().filter(|&n| n > 0)?;
        // Ranks: positions by (start, ID), so that comparing ranks is comparing spans.
        let mut by_rank: Vec<u32> = (0..n_given).collect();
        let key = |at: u32| {
            let span = &spans[at as usize];
            (span.start, span.span_id, span.kind)
        };
        by_rank.sort_unstable_by_key(|&at| (key(at), at));
        // Duplicates stand together, the first stored in front.
        by_rank.dedup_by_key(|at| key(*at));
        let ranked: Vec<&Span> = by_rank.iter().map(|&at| &spans[at as usize]).collect();
        let n_spans = by_rank.len();

        let (mut parents, mut attachments) = parents_by_rank(&ranked);
        cut_cycles(&mut parents, &mut attachments);

        // Children of each span in rank order, as one list with offsets.
        let mut first_child = vec![0_u32; n_spans + 1];
        for &parent in parents.iter().filter(|&&parent| parent != NONE) {
            first_child[parent as usize + 1] += 1;
        }
        for at in 1..first_child.len() {
            first_child[at] += first_child[at - 1];
        }
        let mut fill = first_child.clone();
        let mut children = vec![0_u32; first_child[n_spans] as usize];
        for (rank, &parent) in (0..).zip(&parents) {
            if parent != NONE {
                children[fill[parent as usize] as usize] = rank;
                fill[parent as usize] += 1;
            }
        }

        let mut forest = Self {
            order: Vec::with_capacity(n_spans),
            parents: Vec::with_capacity(n_spans),
            attachments: Vec::with_capacity(n_spans),
            ends: vec![0; n_spans],
            depths: Vec::with_capacity(n_spans),
        };
        // (rank, position of the parent, depth), the next to visit on top.
        let mut stack: Vec<(u32, u32, u32)> = (0..)
            .zip(&parents)
            .filter(|&(_, &parent)| parent == NONE)
            .map(|(rank, _)| (rank, NONE, 0))
            .collect();
        stack.reverse();
        while let Some((rank, parent, depth)) = stack.pop() {
            let position = u32::try_from(forest.order.len()).expect("no more than spans");
            forest.order.push(by_rank[rank as usize]);
            forest
                .parents
                .push(if parent == NONE { position } else { parent });
            forest.attachments.push(attachments[rank as usize]);
            forest.depths.push(depth);
            let range =
                first_child[rank as usize] as usize..first_child[rank as usize + 1] as usize;
            stack.extend(
                children[range]
                    .iter()
                    .rev()
                    .map(|&child| (child, position, depth + 1)),
            );
        }
        debug_assert_eq!(
            forest.order.len(),
            n_spans,
            "a forest without cycles is reached from its roots"
        );
        for at in (0..n_spans).rev() {
            forest.ends[at] = forest.ends[at].max(u32::try_from(at + 1).expect("checked above"));
            if forest.attachments[at] == Attachment::Child {
                let (end, parent) = (forest.ends[at], forest.parents[at] as usize);
                forest.ends[parent] = forest.ends[parent].max(end);
            }
        }
        Some(forest)
    }
}

/// Who answers to an ID, by rank.
struct Owner {
    span_id: SpanId,
    /// Its server if there is one, else the earliest.
    first: u32,
    /// Its earliest client.
    client: u32,
}

/// The owners of all IDs, by ID.
fn owners(ranked: &[&Span]) -> Vec<Owner> {
    let mut by_id: Vec<(SpanId, bool, u32)> = (0..)
        .zip(ranked)
        .map(|(rank, span)| (span.span_id, span.kind != SpanKind::Server, rank))
        .collect();
    by_id.sort_unstable();
    let mut owners: Vec<Owner> = Vec::with_capacity(by_id.len());
    for (span_id, _, rank) in by_id {
        let is_client = ranked[rank as usize].kind == SpanKind::Client;
        match owners.last_mut() {
            Some(last) if last.span_id == span_id => {
                if is_client && last.client == NONE {
                    last.client = rank;
                }
            }
            _ => owners.push(Owner {
                span_id,
                first: rank,
                client: if is_client { rank } else { NONE },
            }),
        }
    }
    owners
}

/// Each span's parent (by rank, [`NONE`] for none) and how it hangs, cycles not yet cut.
fn parents_by_rank(ranked: &[&Span]) -> (Vec<u32>, Vec<Attachment>) {
    let owners = owners(ranked);
    let find = |span_id: SpanId| {
        owners
            .binary_search_by_key(&span_id, |owner| owner.span_id)
            .ok()
            .map(|at| &owners[at])
    };
    ranked
        .iter()
        .map(|span| {
            if span.kind == SpanKind::Server
                && let Some(owner) = find(span.span_id)
                && owner.client != NONE
            {
                return (owner.client, Attachment::Child);
            }
            match span.parent_id {
                None => (NONE, Attachment::Root),
                Some(parent_id) => match find(parent_id) {
                    Some(parent) => (parent.first, Attachment::Child),
                    None => (NONE, Attachment::Orphan),
                },
            }
        })
        .unzip()
}

/// Cuts every cycle at its earliest span, which is its smallest rank.
fn cut_cycles(parents: &mut [u32], attachments: &mut [Attachment]) {
    // 0: not visited; otherwise the number of the walk that visited it first.
    let mut visited = vec![0_u32; parents.len()];
    for (walk, start) in (1_u32..).zip(0..parents.len()) {
        let mut at = start;
        while visited[at] == 0 && parents[at] != NONE {
            visited[at] = walk;
            at = parents[at] as usize;
        }
        if visited[at] == walk {
            // The walk met itself: `at` is on a cycle.
            let mut earliest = at;
            let mut next = parents[at] as usize;
            while next != at {
                earliest = earliest.min(next);
                next = parents[next] as usize;
            }
            parents[earliest] = NONE;
            attachments[earliest] = Attachment::CycleCut;
        }
        visited[at] = walk;
    }
}
