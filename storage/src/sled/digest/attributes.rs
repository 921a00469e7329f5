//! How often attributes and their values are there: lists of the most frequent, added up.
//!
//! What is stored of a block are its most frequent names and values, of a partition those of the sum. So
//! a count is what was certainly seen: of something that was among the less frequent somewhere it
//! lacks that. What is frequent nowhere is missing, however often it is there in all.

use std::cmp::Reverse;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::StorageError;
use crate::sled::block::{BlockBuilder, Cursor, put_varint};

/// How many names and values are kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::sled) struct AttributeLimits {
    /// How many names.
    pub(in crate::sled) names: usize,
    /// How many values of each.
    pub(in crate::sled) values: usize,
}

/// Of a partition. Texts are at most 128 bytes.
pub(in crate::sled) const OF_PARTITION: AttributeLimits = AttributeLimits {
    names: 512,
    values: 32,
};

/// Names and values with how often they are there.
#[derive(Debug, Clone)]
pub(in crate::sled) struct AttributeCounts {
    limits: AttributeLimits,
    /// Up to twice as many as are kept, so that the least frequent are not sought each time.
    names: HashMap<Box<str>, NameCounts, RandomState>,
    is_cut: bool,
}

#[derive(Debug, Clone, Default)]
struct NameCounts {
    n: u64,
    values: HashMap<Box<str>, u64, RandomState>,
    is_cut: bool,
}

/// The bytes of a block's.
pub(in crate::sled) fn of_block(builder: &BlockBuilder) -> Vec<u8> {
    let (names, is_cut) = builder.frequent_attributes();
    let mut to = vec![u8::from(is_cut)];
    put_varint(&mut to, names.len() as u64);
    for of in names {
        put_name(&mut to, &of.name, of.n, of.is_cut, of.values.len());
        for (value, n) in of.values {
            put_text(&mut to, &value);
            put_varint(&mut to, n);
        }
    }
    to
}

fn put_name(to: &mut Vec<u8>, name: &str, n: u64, is_cut: bool, n_values: usize) {
    put_text(to, name);
    put_varint(to, n);
    to.push(u8::from(is_cut));
    put_varint(to, n_values as u64);
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    put_varint(to, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}

fn text<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let len = cursor.count().ok()?;
    str::from_utf8(cursor.take(len).ok()?).ok()
}

impl AttributeCounts {
    /// None.
    pub(in crate::sled) fn new(limits: AttributeLimits) -> Self {
        Self {
            limits,
            names: HashMap::default(),
            is_cut: false,
        }
    }

    /// Adds what is stored: all names, and the values of those that `wants` names.
    ///
    /// # Errors
    /// When it is damaged.
    pub(in crate::sled) fn add(
        &mut self,
        stored: &[u8],
        wants: impl Fn(&str) -> bool,
    ) -> Result<(), StorageError> {
        self.parse(stored, wants)
            .ok_or_else(|| StorageError::Damaged {
                what: "the attributes of some traces".to_owned(),
            })
    }

    fn parse(&mut self, stored: &[u8], wants: impl Fn(&str) -> bool) -> Option<()> {
        let mut cursor = Cursor::new(stored);
        self.is_cut |= cursor.array::<1>().ok()? != [0];
        for _ in 0..cursor.count().ok()? {
            let name = text(&mut cursor)?;
            let n = cursor.varint().ok()?;
            let is_cut = cursor.array::<1>().ok()? != [0];
            let n_values = cursor.count().ok()?;
            let wanted = wants(name);
            let counts = self.names.entry_ref(name).or_default();
            counts.n = counts.n.saturating_add(n);
            counts.is_cut |= is_cut;
            for _ in 0..n_values {
                let value = text(&mut cursor)?;
                let n = cursor.varint().ok()?;
                if wanted {
                    let slot = counts.values.entry_ref(value).or_default();
                    *slot = slot.saturating_add(n);
                }
            }
            counts.is_cut |= cut_to(&mut counts.values, self.limits.values, |n| *n);
        }
        self.is_cut |= cut_to(&mut self.names, self.limits.names, |counts| counts.n);
        cursor.is_empty().then_some(())
    }

    /// The bytes of the most frequent.
    pub(in crate::sled) fn put(&self) -> Vec<u8> {
        let (names, is_cut) = self.most(|_| true, self.limits.names);
        let mut to = vec![u8::from(is_cut)];
        put_varint(&mut to, names.len() as u64);
        for (name, n) in names {
            let (values, is_cut) = self.most_values(name, |_| true, self.limits.values);
            put_name(&mut to, name, n, is_cut, values.len());
            for (value, n) in values {
                put_text(&mut to, value);
                put_varint(&mut to, n);
            }
        }
        to
    }

    /// The most frequent of the names that pass, most first (ties: by name), and whether anything may
    /// be missing.
    pub(in crate::sled) fn most(
        &self,
        passes: impl Fn(&str) -> bool,
        limit: usize,
    ) -> (Vec<(&str, u64)>, bool) {
        let all = self.names.iter().map(|(name, counts)| (&**name, counts.n));
        let (most, is_cut) = most(all, passes, limit);
        (most, is_cut || self.is_cut)
    }

    /// Likewise the values of a name.
    pub(in crate::sled) fn most_values(
        &self,
        name: &str,
        passes: impl Fn(&str) -> bool,
        limit: usize,
    ) -> (Vec<(&str, u64)>, bool) {
        let Some(counts) = self.names.get(name) else {
            return (Vec::new(), self.is_cut);
        };
        let all = counts.values.iter().map(|(value, n)| (&**value, *n));
        let (most, is_cut) = most(all, passes, limit);
        (most, is_cut || counts.is_cut || self.is_cut)
    }
}

fn most<'a>(
    all: impl Iterator<Item = (&'a str, u64)>,
    passes: impl Fn(&str) -> bool,
    limit: usize,
) -> (Vec<(&'a str, u64)>, bool) {
    let mut most: Vec<_> = all.filter(|(text, _)| passes(text)).collect();
    most.sort_unstable_by_key(|&(text, n)| (Reverse(n), text));
    let is_cut = most.len() > limit;
    most.truncate(limit);
    (most, is_cut)
}

/// Keeps the most frequent once there are twice as many; whether it left any out.
fn cut_to<T>(
    all: &mut HashMap<Box<str>, T, RandomState>,
    n_max: usize,
    n_of: impl Fn(&T) -> u64,
) -> bool {
    if all.len() <= 2 * n_max {
        return false;
    }
    let mut counts: Vec<u64> = all.values().map(&n_of).collect();
    let (_, &mut least, _) = counts.select_nth_unstable_by_key(n_max - 1, |n| Reverse(*n));
    let mut n_kept = 0;
    // Of those that are as frequent as the last any are kept.
    all.retain(|_, of| {
        let keeps = n_of(of) > least;
        n_kept += usize::from(keeps);
        keeps || n_of(of) == least
    });
    all.retain(|_, of| {
        n_of(of) > least || {
            n_kept += 1;
            n_kept <= n_max
        }
    });
    true
}
