//! Digests: the numbers of a block's traces, or of all blocks of a partition, ready to be added up.
//!
//! A trace counts in the block that has its newest fragment, with all that is known of it by then. What it
//! counted before is in exactly one earlier block: the newer one has it once more as a *correction*,
//! tagged with that block's partition. Whoever adds up takes out the corrections of those partitions
//! that are still there; so a trace counts once, and a partition that is removed takes nothing with it
//! that others need. `docs/adr/007-aggregates.md` has the reasons.
//!
//! Everything is bounded: what is too much goes to a cell without a name, minute by minute, what is at
//! too many minutes to one without a minute. Taking out goes the same way: what is not in the cell it
//! should be in is in one of those.

mod attributes;
mod builder;
mod format;
mod names;
mod peer;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use zstd::bulk::Compressor;

pub(super) use self::attributes::{AttributeCounts, AttributeLimits, OF_PARTITION, of_block};
pub(super) use self::builder::DigestBuilder;
use self::format::StoredTally;
pub(super) use self::format::{Stored, attributes, unpack};
use self::names::Names;
pub(super) use self::table::{Cell, Key, Kind, NO_MINUTE};
use self::table::{KINDS, NO_NAME, Tally};

/// How hard zstd tries.
const ZSTD_LEVEL: i32 = 1;

/// How much a digest may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of each kind, how many cells have names.
    pub(super) cells: usize,
    /// Of each kind, at how many minutes they are.
    pub(super) minutes: usize,
    /// How many bytes of names.
    pub(super) name_bytes: usize,
}

/// Of a block.
const BLOCK: Limits = Limits {
    cells: 4_096,
    minutes: 1_024,
    name_bytes: 1 << 20,
};

/// Of a partition.
pub(super) const PARTITION: Limits = Limits {
    cells: 65_536,
    minutes: 8_192,
    name_bytes: 8 << 20,
};

/// Numbers that are being added up.
#[derive(Debug)]
pub(super) struct Digest {
    limits: Limits,
    names: Names,
    counted: Tally,
    /// By partition: what is in it and counts no more.
    corrections: BTreeMap<u32, Tally>,
}

/// Which cells to take in, and as what.
pub(super) struct Selection<'a> {
    /// The minute a cell's minute becomes; `None` leaves it out.
    pub(super) minute: &'a dyn Fn(u32) -> Option<u32>,
    /// Only what this service has a part in.
    pub(super) service: Option<&'a str>,
}

impl Digest {
    /// A digest of nothing.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            names: Names::new(limits.name_bytes),
            counted: Tally::new(limits),
            corrections: BTreeMap::new(),
        }
    }

    /// Adds all of another.
    pub(super) fn add_all(&mut self, stored: &Stored<'_>) {
        self.add(
            stored,
            &Selection {
                minute: &Some,
                service: None,
            },
        );
    }

    /// Adds what is selected of another.
    pub(super) fn add(&mut self, stored: &Stored<'_>, selection: &Selection<'_>) {
        let mut adding = Adding {
            names: &mut self.names,
            stored,
            numbers: vec![None; stored.names().len()],
            selection,
            service: selection.service.map(|service| {
                let found = (0..)
                    .zip(stored.names())
                    .find(|(_, name)| **name == service);
                found.map_or(NO_NAME, |(number, _)| number)
            }),
        };
        adding.add(&stored.counted, &mut self.counted);
        for (partition, corrected) in &stored.corrections {
            let correction = self.corrections.entry(*partition);
            let limits = self.limits;
            adding.add(corrected, correction.or_insert_with(|| Tally::new(limits)));
        }
    }

    /// Takes out the corrections of a partition, all of which was added.
    pub(super) fn settle(&mut self, partition: u32) {
        if let Some(correction) = self.corrections.remove(&partition) {
            self.counted.subtract(&correction);
        }
    }

    /// The partitions it has corrections of.
    pub(super) fn corrected(&self) -> Vec<u32> {
        self.corrections.keys().copied().collect()
    }

    /// About how much memory its sketches take, in buckets.
    pub(super) fn n_buckets(&self) -> usize {
        let all = [&self.counted].into_iter().chain(self.corrections.values());
        all.map(Tally::n_buckets).sum()
    }

    /// Whether there was no room for another minute.
    pub(super) fn is_out_of_minutes(&self) -> bool {
        self.counted.is_out_of_minutes()
    }

    /// The cells of a kind, in no order; those that count nothing are left out.
    pub(super) fn cells(&self, kind: Kind) -> impl Iterator<Item = (Key, &Cell)> {
        self.counted.cells(kind)
    }

    /// The minutes it has anything of, corrections included: the first, and one behind the last.
    pub(super) fn minutes(&self) -> Range<u32> {
        let all = [&self.counted].into_iter().chain(self.corrections.values());
        let minutes = all.filter_map(Tally::minutes);
        let joined = minutes.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
        joined.unwrap_or_default()
    }

    /// A name.
    pub(super) fn name(&self, number: u32) -> &str {
        self.names.get(number)
    }

    /// The bytes to store, with those of the attributes.
    pub(super) fn pack(&self, attributes: &[u8], zstd: &mut Compressor<'_>) -> Vec<u8> {
        format::pack(
            attributes,
            &self.names,
            &self.counted,
            &self.corrections,
            zstd,
        )
    }
}

/// A stored digest being added.
struct Adding<'a> {
    names: &'a mut Names,
    stored: &'a Stored<'a>,
    /// By number in the stored digest: the number here, once it was asked for and there was room for it.
    numbers: Vec<Option<u32>>,
    selection: &'a Selection<'a>,
    /// The number of the service asked for; one that no name has when the stored digest lacks it.
    service: Option<u32>,
}

impl Adding<'_> {
    fn add(&mut self, from: &StoredTally, to: &mut Tally) {
        for kind in KINDS {
            from.cells(kind, |cell| {
                if self.is_wanted(kind, &cell.key)
                    && let Some(minute) = self.minute(cell.key.minute)
                {
                    let key = self.key(kind, &cell.key, minute);
                    let table = to.table(kind);
                    table.add(key, cell.n, cell.n_errors, cell.durations);
                }
            });
        }
    }

    /// Whether the service asked for has a part in a cell. What has no names may be of any.
    fn is_wanted(&self, kind: Kind, key: &Key) -> bool {
        let Some(service) = self.service else {
            return true;
        };
        let mut services = kind.service_places().iter().map(|&at| key.names[at]);
        key.is_other() || services.any(|of| of == service)
    }

    fn minute(&self, minute: u32) -> Option<u32> {
        match minute {
            NO_MINUTE => Some(NO_MINUTE),
            minute => (self.selection.minute)(minute),
        }
    }

    /// The cell here that is the stored one's.
    fn key(&mut self, kind: Kind, stored: &Key, minute: u32) -> Key {
        let mut key = Key::other(minute);
        if stored.is_other() {
            return key;
        }
        for at in 0..kind.n_names() {
            let number = stored.names[at] as usize;
            if self.numbers[number].is_none() {
                self.numbers[number] = self.names.number(self.stored.names()[number]);
            }
            let Some(here) = self.numbers[number] else {
                return Key::other(minute);
            };
            key.names[at] = here;
        }
        key
    }
}

/// What packs digests.
pub(super) fn compressor() -> Compressor<'static> {
    Compressor::new(ZSTD_LEVEL).expect("zstd has this level")
}
