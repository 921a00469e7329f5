//! Traces of which some was sealed before: their entry is of all of it, and what they counted is counted
//! anew.

use longpole_analysis::Analysis;

use crate::StorageError;
use crate::sled::digest::DigestBuilder;
use crate::sled::entry::{self, Made};
use crate::sled::live::LiveTrace;
use crate::sled::traces::TraceBuilder;
use crate::sled::view::FragmentRef;

/// Makes the entry of a trace of which `before` is in these fragments, and says whether it was counted
/// anew.
///
/// # Errors
/// When what is sealed of it cannot be read.
pub(super) fn entry_of(
    digest: &mut DigestBuilder,
    live: &LiveTrace,
    mut before: TraceBuilder,
    fragments: &[FragmentRef],
) -> Result<(Made, bool), StorageError> {
    let counted_in = counted_in(fragments);
    let was = counted_in.map(|_| before.outline()).transpose()?;
    before.push_chunks(&live.chunks)?;
    let trace = before.outline()?;
    let analysis = Analysis::of_outline(&trace);
    let is_counted = counted_in
        .zip(was)
        .is_some_and(|(partition, was)| digest.recount(&trace, &analysis, &was, partition));
    Ok((entry::encode(&trace, analysis.summary(&trace)), is_counted))
}

/// The partition in which a trace counts that has these fragments and no more: the newest's, when it
/// was made of all of them and of nothing that is gone by now. Else what it counts is not known.
fn counted_in(fragments: &[FragmentRef]) -> Option<u32> {
    let mut end = 0;
    for fragment in fragments {
        if fragment.after != end || !fragment.is_counted {
            return None;
        }
        end = fragment.seq;
    }
    Some(fragments.last()?.partition.number())
}
