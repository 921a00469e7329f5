//! What overviews remember of the blocks they read, which never change: of each trace what is counted,
//! 48 bytes of it, and of all traces together the different labels and ends they have.
//!
//! It is bounded: the newest blocks are remembered, others are read again. Whatever cannot be said so
//! exactly as the block's own rows say it is not remembered.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use longpole_proto::{TraceId, UnixNanos};
use parking_lot::Mutex;

use super::super::entry::{self, Ends};
use super::super::partition::{Numbers, Rows};
use super::super::view::View;
use crate::StorageError;

/// What a name takes beside its bytes, about: its place in a list and in a map.
const NAME_BYTES: usize = 64;

/// Partition and block.
type Place = (u32, u32);

/// A trace as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) trace_id: TraceId,
    start: u64,
    duration_nanos: u64,
    n_spans: u32,
    n_errors: u32,
    /// Its labels, by number.
    pub(super) labels: u16,
    /// Its ends, likewise.
    pub(super) ends: u16,
}

impl Head {
    /// What plans judge.
    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            duration_nanos: self.duration_nanos,
            start: self.start,
            n_spans: self.n_spans.into(),
            n_errors: self.n_errors.into(),
        }
    }

    /// When it began.
    pub(super) fn start(&self) -> UnixNanos {
        UnixNanos(self.start)
    }
}

/// The traces of a block.
#[derive(Debug)]
pub(super) struct Heads {
    pub(super) all: Box<[Head]>,
    /// What their numbers stand for.
    pub(super) names: Arc<Names>,
}

impl Heads {
    fn n_bytes(&self) -> usize {
        size_of_val(&*self.all) + NAME_BYTES
    }
}

/// Texts by number; once given, a number stands for the same.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Numbered>);

#[derive(Debug, Default)]
struct Numbered {
    all: Vec<Arc<[u8]>>,
    numbers: HashMap<Arc<[u8]>, u16>,
    n_bytes: usize,
}

impl Names {
    /// What a number stands for.
    pub(super) fn get(&self, number: u16) -> Option<Arc<[u8]>> {
        self.0.lock().all.get(usize::from(number)).cloned()
    }

    /// The number of a text; `None` when there are too many, or they take more than so many bytes.
    fn number(&self, text: &[u8], bytes_max: usize) -> Option<u16> {
        let mut of = self.0.lock();
        if let Some(&number) = of.numbers.get(text) {
            return Some(number);
        }
        let number = u16::try_from(of.all.len()).ok()?;
        let n_bytes = of.n_bytes + text.len() + NAME_BYTES;
        if n_bytes > bytes_max {
            return None;
        }
        let text: Arc<[u8]> = text.into();
        of.n_bytes = n_bytes;
        of.all.push(Arc::clone(&text));
        of.numbers.insert(text, number);
        Some(number)
    }

    fn n_bytes(&self) -> usize {
        self.0.lock().n_bytes
    }
}

/// The blocks that are remembered.
#[derive(Debug, Default)]
pub(in crate::sled) struct Remembered(Mutex<Blocks>);

#[derive(Debug, Default)]
struct Blocks {
    by_place: BTreeMap<Place, Arc<Heads>>,
    /// What those take, without their names.
    n_bytes: usize,
    names: Arc<Names>,
    /// Whether some block had names for which there was no room.
    lacks_names: bool,
}

impl Remembered {
    /// A block.
    pub(super) fn get(&self, place: Place) -> Option<Arc<Heads>> {
        self.0.lock().by_place.get(&place).cloned()
    }

    /// Forgets the blocks that are not in a view any more and, if there was no room for some names, all
    /// of them then: many of the names may be theirs.
    pub(super) fn keep(&self, view: &View) {
        let mut blocks = self.0.lock();
        let before = blocks.by_place.len();
        let mut gone_bytes = 0;
        let partitions = view.partitions();
        blocks.by_place.retain(|(number, _), heads| {
            let is_there = partitions
                .binary_search_by_key(number, |of| of.partition.number())
                .is_ok();
            gone_bytes += if is_there { 0 } else { heads.n_bytes() };
            is_there
        });
        blocks.n_bytes -= gone_bytes;
        if blocks.lacks_names && blocks.by_place.len() < before {
            *blocks = Blocks::default();
        }
    }

    /// Remembers a block with these rows, if there is room for it: at most so many bytes in all, a quarter
    /// of them for names. Older blocks make room for newer ones. Says whether it was new and there was.
    pub(super) fn add(&self, place: Place, rows: &Rows, bytes_max: usize) -> bool {
        let names = {
            let blocks = self.0.lock();
            if blocks.by_place.contains_key(&place) {
                return false;
            }
            let oldest = blocks.by_place.first_key_value();
            let is_full = blocks.n_bytes + blocks.names.n_bytes() >= bytes_max;
            if is_full && oldest.is_none_or(|(oldest, _)| place < *oldest) {
                return false;
            }
            Arc::clone(&blocks.names)
        };
        let heads = heads_of(rows, &names, bytes_max / 4);
        let mut blocks = self.0.lock();
        let Ok(Some(all)) = heads else {
            blocks.lacks_names = true;
            return false;
        };
        if !Arc::ptr_eq(&names, &blocks.names) {
            return false;
        }
        let heads = Arc::new(Heads { all, names });
        blocks.n_bytes += heads.n_bytes();
        if let Some(before) = blocks.by_place.insert(place, heads) {
            blocks.n_bytes -= before.n_bytes();
        }
        while blocks.n_bytes + blocks.names.n_bytes() > bytes_max
            && let Some((_, oldest)) = blocks.by_place.pop_first()
        {
            blocks.n_bytes -= oldest.n_bytes();
        }
        blocks.by_place.contains_key(&place)
    }

    /// Forgets all.
    #[cfg(test)]
    pub(in crate::sled) fn forget(&self) {
        *self.0.lock() = Blocks::default();
    }

    /// How much memory it takes, in bytes, about.
    #[cfg(test)]
    pub(in crate::sled) fn n_bytes(&self) -> usize {
        let blocks = self.0.lock();
        blocks.n_bytes + blocks.names.n_bytes()
    }
}

/// The heads of a block; `None` when they cannot say all that its rows do.
///
/// # Errors
/// When an entry is damaged.
fn heads_of(
    rows: &Rows,
    names: &Names,
    name_bytes_max: usize,
) -> Result<Option<Box<[Head]>>, StorageError> {
    let mut all = Vec::new();
    let mut text = Vec::new();
    for row in rows.iter() {
        if row.entry.is_empty() {
            return Ok(None);
        }
        let entry::Parts { head, labels, ends } = entry::parts(row.entry)?;
        text.clear();
        text = postcard::to_extend(&ends, text).expect("texts can be written");
        let number = |text: &[u8]| names.number(text, name_bytes_max);
        let (Some(labels), Some(ends)) = (number(labels), number(&text)) else {
            return Ok(None);
        };
        let small = |number: u64| u32::try_from(number).ok();
        let (Some(n_spans), Some(n_errors)) = (small(head.n_spans), small(head.n_errors)) else {
            return Ok(None);
        };
        all.push(Head {
            trace_id: row.trace_id,
            start: head.start.0,
            duration_nanos: head.duration_nanos,
            n_spans,
            n_errors,
            labels,
            ends,
        });
    }
    Ok(Some(all.into()))
}

/// The ends that a number's text says.
pub(super) fn read_ends(text: &[u8]) -> Option<Ends<'_>> {
    postcard::from_bytes(text).ok()
}
