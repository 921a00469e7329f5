//! Spans that are in some relation to others; each relation is one pass over the pre-order.

use fixedbitset::FixedBitSet;
use longpole_proto::Trace;

use super::Relation;

/// Those of `spans` that are in `relation` to one of `others`.
pub(super) fn related(
    trace: &Trace,
    others: &FixedBitSet,
    relation: Relation,
    spans: &FixedBitSet,
) -> FixedBitSet {
    let mut found = FixedBitSet::with_capacity(trace.len());
    match relation {
        Relation::Child => {
            found.extend(spans.ones().filter(|&at| {
                trace
                    .parent(at)
                    .is_some_and(|parent| others.contains(parent))
            }));
        }
        Relation::Parent => {
            found.extend(others.ones().filter_map(|other| trace.parent(other)));
            found.intersect_with(spans);
        }
        Relation::Descendant => {
            // Subtrees lie within or beside each other: what is before the furthest end so far of an
            // earlier one is in one of them.
            let mut end = 0;
            let mut others = others.ones().peekable();
            for at in spans.ones() {
                while let Some(other) = others.next_if(|&other| other < at) {
                    end = end.max(trace.subtree(other).end);
                }
                found.set(at, at < end);
            }
        }
        Relation::Ancestor => {
            // The first one behind a span is in its subtree, or none is.
            let mut others = others.ones().peekable();
            for at in spans.ones() {
                while others.next_if(|&other| other <= at).is_some() {}
                let Some(&next) = others.peek() else { break };
                found.set(at, next < trace.subtree(at).end);
            }
        }
        Relation::Sibling => {
            // By span: how many of its children are among the others, up to two.
            let mut n_children = vec![0_u8; trace.len()];
            for parent in others.ones().filter_map(|other| trace.parent(other)) {
                n_children[parent] = n_children[parent].saturating_add(1).min(2);
            }
            found.extend(spans.ones().filter(|&at| {
                trace
                    .parent(at)
                    .is_some_and(|parent| n_children[parent] > u8::from(others.contains(at)))
            }));
        }
    }
    found
}
