//! What a walk over all that may match is for.

use super::plan::Plan;
use crate::sled::cursor::Position;
use crate::sled::entries::Snapshot;
use crate::sled::partition::{Partition, Rows};
use crate::{Order, StorageError};

/// Takes in what matches. What is not said otherwise is how one does that wants all of it.
pub(in crate::sled) trait Sink {
    /// What comes first.
    fn order(&self) -> Order;

    /// Takes in a request that matches.
    ///
    /// # Errors
    /// When its entry is damaged; then it is as if it were not there.
    fn add(&mut self, position: Position, entry: &[u8]) -> Result<(), StorageError>;

    /// Notes that something was left out that may match.
    fn leave_out(&mut self);

    /// Whether it matters that a request at this place matches.
    fn wants(&self, _: Position) -> bool {
        true
    }

    /// Whether it matters that a request matches whose key is none of these and lies between them.
    fn wants_between(&self, _least: u64, _greatest: u64) -> bool {
        true
    }

    /// Counts so many requests that match and whose keys lie between these; `false` when they must be
    /// looked at.
    fn count_between(&mut self, _least: u64, _greatest: u64, _n_matches: u64) -> bool {
        false
    }

    /// Begins a block of which it is known how many requests match: they need not be counted.
    fn begin_counted(&mut self) {}

    /// Whether it is in such a block and does not look at what it does not want.
    fn is_counted(&self) -> bool {
        false
    }

    /// Ends it: so many match.
    fn end_counted(&mut self, _n_matches: u64) {}

    /// From now on wants only what it has a place for.
    fn stop_counting(&mut self) {}

    /// Takes in what of a block matches, if it is known without its rows; says whether it was.
    fn recall(&mut self, _: &Plan, _: &Snapshot, _partition: &Partition, _block: u32) -> bool {
        false
    }

    /// Sees the rows of a block that are about to be looked at.
    fn see(&mut self, _: &Rows, _partition: &Partition, _block: u32) {}
}
