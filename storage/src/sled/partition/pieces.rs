//! Values in numbered pieces that sled writes once.
//!
//! sled writes a leaf of its tree again, whole, with its tenth update, and when it gets a seventeenth
//! key: then it is cut in two. A tree that is filled from one end is so written three times, and up
//! to half of the file stays dead for good, because sled cleans only what is mostly dead. So the keys
//! come first, without values and some way ahead: a leaf was cut already, to nine keys, when its first
//! value comes, and its nine values are nine updates. Each stays where it was written.
//!
//! sled's cache is bounded only where pages are used often: it counts uses in queues of 64, each for
//! one page in 256, and looks at a queue when it is full. So a leaf that was read or filled is asked
//! for until its queue is.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sled::Tree;

use super::db::guarded;
use crate::StorageError;

/// The largest piece. The last page of each of the 256 queues stays in memory: pages are to be small.
const PIECE_BYTES_MAX: usize = 8 << 10;

/// How many keys are made ahead of the last value at least: as many as a leaf has at most. So no leaf
/// that has values can get more keys.
const N_KEYS_AHEAD: u32 = 16;

/// How many keys the leaves have that were cut, when keys only come in order.
const LEAF_KEYS: u32 = 9;

/// How often a leaf is asked for, so that sled looks at its queue.
const N_USES: u32 = 64;

/// Where a value's pieces are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    first: u32,
    n_pieces: u32,
}

impl Place {
    /// The piece behind the last.
    pub(super) fn end(self) -> u32 {
        self.first.saturating_add(self.n_pieces)
    }

    /// A piece of each leaf that this value reaches into.
    fn leaves(self) -> impl Iterator<Item = u32> {
        (self.first / LEAF_KEYS..self.end().div_ceil(LEAF_KEYS))
            .map(move |leaf| (leaf * LEAF_KEYS).max(self.first))
    }

    /// A piece of each leaf that this value fills.
    fn filled_leaves(self) -> impl Iterator<Item = u32> {
        (self.first / LEAF_KEYS..self.end() / LEAF_KEYS).map(|leaf| leaf * LEAF_KEYS)
    }
}

/// A tree of pieces, by number.
#[derive(Debug)]
pub(super) struct Pieces {
    tree: Tree,
    /// How many keys there are; `None` until somebody writes.
    n_keys: Mutex<Option<u32>>,
}

impl Pieces {
    /// The pieces in this tree.
    pub(super) fn new(tree: Tree) -> Self {
        Self {
            tree,
            n_keys: Mutex::new(None),
        }
    }

    /// Writes a value from the piece `first` on, over what may be left there of one that was not
    /// finished.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn put(&self, first: u32, value: &[u8]) -> Result<Place, StorageError> {
        let n_pieces = value.len().div_ceil(PIECE_BYTES_MAX).max(1);
        let piece_bytes = value.len().div_ceil(n_pieces).max(1);
        let place = Place {
            first,
            n_pieces: u32::try_from(n_pieces).expect("a value is far below 2^32 pieces"),
        };
        self.make_keys(place.end() + N_KEYS_AHEAD)?;
        for (piece, bytes) in (first..).zip(value.chunks(piece_bytes)) {
            guarded(|| self.tree.insert(piece.to_be_bytes(), bytes))?;
        }
        self.let_go(place.filled_leaves())?;
        Ok(place)
    }

    fn make_keys(&self, n_wanted: u32) -> Result<(), StorageError> {
        let mut n_keys = self.n_keys.lock();
        let mut n_made = match *n_keys {
            Some(n_made) => n_made,
            None => self.count_keys()?,
        };
        while n_made < n_wanted {
            guarded(|| self.tree.insert(n_made.to_be_bytes(), &[]))?;
            n_made += 1;
        }
        *n_keys = Some(n_made);
        Ok(())
    }

    fn count_keys(&self) -> Result<u32, StorageError> {
        let last = guarded(|| self.tree.last())?;
        let last =
            last.and_then(|(key, _)| Some(u32::from_be_bytes(key.as_ref().try_into().ok()?)));
        Ok(last.map_or(0, |last| last.saturating_add(1)))
    }

    /// Reads a value; what is missing of it shows in its own checksum.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn get(&self, place: Place) -> Result<Vec<u8>, StorageError> {
        let mut value = Vec::new();
        for piece in place.first..place.end() {
            match guarded(|| self.tree.get(piece.to_be_bytes()))? {
                Some(bytes) => value.extend_from_slice(&bytes),
                None => break,
            }
        }
        self.let_go(place.leaves())?;
        Ok(value)
    }

    /// Reads all pieces from `first` on, which belong to no value.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn check_behind(&self, first: u32) -> Result<(), StorageError> {
        read_all(self.tree.range(first.to_be_bytes()..))
    }

    /// Makes sled's cache look at the leaves of these pieces, so that it lets others go.
    fn let_go(&self, leaves: impl Iterator<Item = u32>) -> Result<(), StorageError> {
        for piece in leaves {
            let key = piece.to_be_bytes();
            guarded(|| (0..N_USES).try_for_each(|_| self.tree.contains_key(key).map(drop)))?;
        }
        Ok(())
    }
}

/// Reads entries to their end.
///
/// # Errors
/// When sled fails.
pub(super) fn read_all(mut entries: sled::Iter) -> Result<(), StorageError> {
    while guarded(|| entries.next().transpose())?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::db::Db;
    use super::*;
    use crate::sled::keeper::bytes_below;

    fn value(n: usize) -> Vec<u8> {
        let mut state = n as u64 + 1;
        let random = std::iter::repeat_with(|| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            state.to_le_bytes()[7]
        });
        random.take(1 + n * 7_919 % 200_000).collect()
    }

    fn all_there(dir: &Path, places: &[Place]) {
        let db = Db::open(dir).expect("a database");
        for (n, place) in places.iter().enumerate() {
            assert!(
                db.blocks.get(*place).expect("sled works") == value(n),
                "{n}"
            );
        }
    }

    #[test]
    fn the_file_has_little_more_than_the_values() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let mut places = Vec::new();
        let mut n_bytes = 0;
        // Opened anew each time, as after a restart.
        for round in 0..3 {
            let db = Db::open(dir.path()).expect("a database");
            for n in round * 60..(round + 1) * 60 {
                let first = places.last().map_or(0, |place: &Place| place.end());
                places.push(db.blocks.put(first, &value(n)).expect("sled works"));
                n_bytes += value(n).len() as u64;
            }
        }
        let on_disk = bytes_below(dir.path()).expect("readable");
        assert!(
            on_disk < n_bytes * 106 / 100,
            "{on_disk} bytes for {n_bytes}"
        );
        all_there(dir.path(), &places);
    }

    #[test]
    fn what_was_not_finished_is_written_over() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let mut places = Vec::new();
        for n in 0..12 {
            let db = Db::open(dir.path()).expect("a database");
            let first = places.last().map_or(0, |place: &Place| place.end());
            db.blocks.put(first, &value(n + 100)).expect("sled works");
            db.blocks.put(first, &value(n + 7)).expect("sled works");
            places.push(db.blocks.put(first, &value(n)).expect("sled works"));
        }
        all_there(dir.path(), &places);
    }

    #[test]
    fn a_value_of_which_something_is_missing_is_shorter() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let db = Db::open(dir.path()).expect("a database");
        let place = db.blocks.put(3, &vec![7; 20_000]).expect("sled works");
        assert_eq!(db.blocks.get(place).expect("sled works").len(), 20_000);
        db.blocks
            .tree
            .remove(4_u32.to_be_bytes())
            .expect("sled works");
        assert_eq!(db.blocks.get(place).expect("sled works").len(), 6_667);
    }
}
