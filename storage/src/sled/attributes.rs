//! Lists of attributes: what the partitions have of them, and what is in memory, added up.

use std::sync::atomic::Ordering;

use super::core::{Core, State};
use super::digest::{AttributeCounts, AttributeLimits};
use super::live::LiveTrace;
use super::seal;
use super::view::PartitionView;
use crate::{MostFrequent, StorageError};

/// How much is kept while partitions are added up.
const ANSWER: AttributeLimits = AttributeLimits {
    names: 4_096,
    values: 1_024,
};

/// How many of the spans in memory are counted: some milliseconds of work.
pub(super) const MEMORY_SPANS_MAX: usize = 8_192;

/// How many bytes of them.
const MEMORY_BYTES_MAX: u64 = 8 << 20;

/// The longest list that is given.
const LIST_MAX: usize = 1_000;

impl Core {
    /// The names of attributes that are most often there.
    ///
    /// # Errors
    /// When a partition cannot be read.
    pub(super) fn attribute_names(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<MostFrequent, StorageError> {
        let (counts, is_whole) = self.attributes(|_| false)?;
        let most = counts.most(|name| name.starts_with(prefix), limit.min(LIST_MAX));
        Ok(list(most, is_whole))
    }

    /// The values that an attribute most often has.
    ///
    /// # Errors
    /// When a partition cannot be read.
    pub(super) fn attribute_values(
        &self,
        name: &str,
        prefix: &str,
        limit: usize,
    ) -> Result<MostFrequent, StorageError> {
        let (counts, is_whole) = self.attributes(|of| of == name)?;
        let passes = |value: &str| value.starts_with(prefix);
        let most = counts.most_values(name, passes, limit.min(LIST_MAX));
        Ok(list(most, is_whole))
    }

    /// All names, with the values of those that are wanted; and whether all could be read.
    fn attributes(
        &self,
        wants: impl Fn(&str) -> bool,
    ) -> Result<(AttributeCounts, bool), StorageError> {
        let (view, (in_memory, is_all)) = {
            let state = self.state.lock();
            (state.view.clone(), some_in_memory(&state))
        };
        let mut sum = AttributeCounts::new(ANSWER);
        let mut is_whole = is_all && self.n_lost_partitions.load(Ordering::Relaxed) == 0;
        sum.add(&seal::attributes_of(&in_memory)?, &wants)?;
        drop(in_memory);
        for of in view.partitions() {
            let added = self
                .attributes_of(of)
                .and_then(|stored| sum.add(&stored, &wants));
            match added {
                Ok(()) => {}
                Err(StorageError::Damaged { .. }) => is_whole = false,
                Err(_) if of.partition.is_broken() => is_whole = false,
                Err(error) => return Err(error),
            }
        }
        Ok((sum, is_whole))
    }

    fn attributes_of(&self, of: &PartitionView) -> Result<Vec<u8>, StorageError> {
        let PartitionView { partition, zones } = of;
        match partition.attributes(&*self.files) {
            Ok(Some(stored)) => return Ok(stored),
            Ok(None) => {}
            Err(error @ StorageError::Damaged { .. }) => {
                self.note_damaged_sum(partition, &partition.attributes_path(), &error);
            }
            Err(error) => return Err(error),
        }
        partition.add_up_attributes(zones.len())
    }
}

/// Traces in memory, as many as are counted, and whether they are all.
fn some_in_memory(state: &State) -> (Vec<LiveTrace>, bool) {
    let (mut spans_left, mut bytes_left) = (MEMORY_SPANS_MAX, MEMORY_BYTES_MAX);
    let mut some = Vec::new();
    for trace in state.in_memory() {
        let Some(counted) = trace.beginning(spans_left, bytes_left) else {
            return (some, false);
        };
        spans_left -= counted.n_spans;
        bytes_left -= counted.n_bytes;
        let is_all = counted.chunks.len() == trace.chunks.len();
        some.push(counted);
        if !is_all {
            return (some, false);
        }
    }
    (some, true)
}

fn list((most, is_cut): (Vec<(&str, u64)>, bool), is_whole: bool) -> MostFrequent {
    let texts = most.into_iter().map(|(text, n)| (text.to_owned(), n));
    MostFrequent {
        texts: texts.collect(),
        is_exact: is_whole && !is_cut,
    }
}
