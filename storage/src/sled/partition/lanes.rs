//! The blooms of a closed partition once more, transposed: what one item is asked of many blocks is
//! together, so that a search reads a value or two and not the bloom of every block.
//!
//! A *group* is 256 blocks, one behind the other. Of those blooms in it that have as many lanes, the
//! lanes are a table: a row for each place of a lane, in it that lane of each block. A value is as many
//! whole rows as fit, so that blooms of few blocks do not make many small values. The *sizes* of a group
//! say how many lanes each block's bloom has. What is not here, or damaged, the block's own bloom has.

use sled::Tree;

use super::db::{Db, guarded};
use crate::StorageError;
use crate::sled::bloom::{Bloom, Item, LANE_BYTES, Lane, Size};
use crate::sled::checked::{with_crc, without_crc};

/// How many blocks a group has: a row of them is no longer than a page should be (see `pieces`).
pub(in crate::sled) const GROUP_BLOCKS: u32 = 256;

/// The same.
const GROUP_LEN: usize = GROUP_BLOCKS as usize;

/// The most lanes in a value. A row is never longer.
const VALUE_LANES_MAX: usize = GROUP_LEN;

/// In the place of the size of a bloom that is not here: no size has this number.
const NOT_HERE: u8 = u8::MAX;

/// `group 4 | 0 1 | 0 2` of a group's sizes, `group 4 | 1 + size 1 | number 2` of its values.
type Key = [u8; 7];

/// What is known of an item, by block of a group: whether the block may have it; `None` where only
/// its own bloom can say.
pub(in crate::sled) type Answers = Vec<Option<bool>>;

/// The blocks of a group.
pub(super) fn of_group<T>(group: u32, blocks: &[T]) -> &[T] {
    let mut groups = blocks.chunks(GROUP_LEN);
    groups.nth(group as usize).unwrap_or_default()
}

/// How many groups so many blocks are.
pub(super) fn n_groups(n_blocks: usize) -> u32 {
    u32::try_from(n_blocks.div_ceil(GROUP_LEN)).expect("far fewer than 2^32 blocks")
}

/// Writes a group of blooms, given as they are stored.
///
/// # Errors
/// When sled fails.
pub(super) fn write(db: &Db, group: u32, blooms: &[Vec<u8>]) -> Result<(), StorageError> {
    let group = Group::new(group, blooms);
    // The keys first: see `pieces`.
    for key in group.keys() {
        guarded(|| db.lanes.insert(key, &[]))?;
    }
    for key in group.keys() {
        guarded(|| db.lanes.insert(key, group.value(key)))?;
    }
    Ok(())
}

/// Whether these blooms were written and nothing of them is damaged.
///
/// # Errors
/// When sled fails.
pub(super) fn is_as_written(db: &Db, group: u32, blooms: &[Vec<u8>]) -> Result<bool, StorageError> {
    let group = Group::new(group, blooms);
    for key in group.keys() {
        let stored = guarded(|| db.lanes.get(key))?;
        if stored.is_none_or(|stored| *stored != group.value(key)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Asks a group for an item. Of what is damaged or was never written nothing is known.
///
/// # Errors
/// When sled fails.
pub(super) fn ask(db: &Db, group: u32, item: Item) -> Result<Answers, StorageError> {
    let mut answers = vec![None; GROUP_LEN];
    let Some(sizes) = read(&db.lanes, sizes_key(group))? else {
        return Ok(answers);
    };
    for size in sizes_in(&sizes) {
        let table = Table::new(&sizes, size);
        let (number, rows_before) = table.value_of(item.lane(size.n_lanes()));
        let Some(lanes) = read(&db.lanes, key(group, size, number))? else {
            continue;
        };
        let (lanes, _) = lanes.as_chunks();
        let row = lanes.iter().skip(rows_before * table.blocks.len());
        for (lane, &block) in row.zip(&table.blocks) {
            if let Some(answer) = answers.get_mut(block) {
                *answer = Some(item.may_be_in(lane));
            }
        }
    }
    Ok(answers)
}

/// What a key has, without its checksum; `None` when it is not there or damaged.
fn read(lanes: &Tree, key: Key) -> Result<Option<Vec<u8>>, StorageError> {
    let stored = guarded(|| lanes.get(key))?;
    Ok(stored.and_then(|stored| {
        let value = without_crc(&stored)?;
        Some(value.to_vec())
    }))
}

fn key(group: u32, size: Size, number: u16) -> Key {
    let mut key = sizes_key(group);
    key[4] = size.number() + 1;
    key[5..].copy_from_slice(&number.to_be_bytes());
    key
}

fn sizes_key(group: u32) -> Key {
    let mut key = [0; 7];
    key[..4].copy_from_slice(&group.to_be_bytes());
    key
}

/// Each size that some block has, once.
fn sizes_in(sizes: &[u8]) -> Vec<Size> {
    let sizes = sizes.iter().copied().filter_map(Size::from_number);
    let mut sizes: Vec<Size> = sizes.collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The blooms of one size: where their lanes are.
struct Table {
    size: Size,
    /// By place in the group.
    blocks: Vec<usize>,
    rows_in_value: usize,
}

impl Table {
    fn new(sizes: &[u8], size: Size) -> Self {
        let blocks = (0..).zip(sizes).filter(|(_, of)| **of == size.number());
        let blocks: Vec<usize> = blocks.map(|(block, _)| block).collect();
        let rows = (VALUE_LANES_MAX / blocks.len().max(1)).max(1);
        Self {
            size,
            blocks,
            rows_in_value: rows.min(size.n_lanes()),
        }
    }

    /// The value with a lane, and how many rows it has before.
    fn value_of(&self, lane: usize) -> (u16, usize) {
        let number = u16::try_from(lane / self.rows_in_value).expect("a bloom has far fewer lanes");
        (number, lane % self.rows_in_value)
    }

    fn n_values(&self) -> u16 {
        let n_values = self.size.n_lanes().div_ceil(self.rows_in_value);
        u16::try_from(n_values).expect("a bloom has far fewer lanes")
    }
}

/// A group to be written, or as it should have been.
struct Group<'a> {
    number: u32,
    /// By block; empty of those that are not here.
    blooms: Vec<&'a [Lane]>,
    sizes: Vec<u8>,
    tables: Vec<Table>,
}

impl<'a> Group<'a> {
    fn new(number: u32, blooms: &'a [Vec<u8>]) -> Self {
        // What cannot be read, or not be laid in a table, its block is asked for.
        let blooms = blooms.iter().map(|bloom| Bloom::read(bloom));
        let blooms: Vec<&[Lane]> = blooms
            .map(|bloom| bloom.map_or(&[][..], Bloom::lanes))
            .collect();
        let sizes: Vec<u8> = blooms
            .iter()
            .map(|lanes| Size::of(lanes.len()).map_or(NOT_HERE, Size::number))
            .collect();
        let tables = sizes_in(&sizes).into_iter();
        Self {
            number,
            tables: tables.map(|size| Table::new(&sizes, size)).collect(),
            blooms,
            sizes,
        }
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let of_tables = self.tables.iter().flat_map(|table| {
            (0..table.n_values()).map(|number| key(self.number, table.size, number))
        });
        std::iter::once(sizes_key(self.number)).chain(of_tables)
    }

    fn value(&self, key: Key) -> Vec<u8> {
        let number = usize::from(u16::from_be_bytes([key[5], key[6]]));
        let tables = &mut self.tables.iter();
        let Some(table) = tables.find(|table| table.size.number() + 1 == key[4]) else {
            return with_crc(self.sizes.iter().copied());
        };
        let first = number * table.rows_in_value;
        let rows = first..(first + table.rows_in_value).min(table.size.n_lanes());
        let mut lanes = Vec::with_capacity(rows.len() * table.blocks.len() * LANE_BYTES);
        for row in rows {
            for &block in &table.blocks {
                lanes.extend_from_slice(&self.blooms[block][row]);
            }
        }
        with_crc(lanes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use tempfile::TempDir;

    use super::*;
    use crate::sled::bloom;

    fn item(n: u32) -> Item {
        bloom::Key::new(b"id").item(&n.to_le_bytes())
    }

    fn bloom_of(items: impl IntoIterator<Item = u32>) -> Vec<u8> {
        let mut builder = Bloom::builder();
        items.into_iter().for_each(|n| builder.insert(item(n)));
        builder.finish()
    }

    /// Blocks with so many items each; none of the one without.
    fn blooms_of(n_items: &[u32]) -> Vec<Vec<u8>> {
        let all = (0..).step_by(5_000).zip(n_items);
        all.map(|(first, &n)| match n {
            0 => Bloom::unknown(),
            n => bloom_of(first..first + n),
        })
        .collect()
    }

    fn any_n_items() -> impl Strategy<Value = Vec<u32>> {
        let n_items = prop_oneof![
            1 => Just(0),
            2 => 1..40_u32,
            4 => 300..600_u32,
            1 => 1_000..5_000_u32,
        ];
        let lens = prop_oneof![3 => 1..80_usize, 1 => 250..300_usize];
        lens.prop_flat_map(move |len| prop::collection::vec(n_items.clone(), len))
    }

    fn written(blooms: &[Vec<u8>]) -> (TempDir, Db) {
        let dir = TempDir::new().expect("a directory");
        let db = Db::open(dir.path()).expect("a database");
        for group in 0..n_groups(blooms.len()) {
            write(&db, group, of_group(group, blooms)).expect("sled works");
        }
        (dir, db)
    }

    /// Asks all blocks for an item, and compares what is known with what their own blooms say. How
    /// many are known.
    fn check(db: &Db, blooms: &[Vec<u8>], item: Item) -> Result<usize, TestCaseError> {
        let mut n_known = 0;
        for group in 0..n_groups(blooms.len()) {
            let answers = ask(db, group, item).expect("sled works");
            let blooms = of_group(group, blooms);
            prop_assert!(answers[blooms.len()..].iter().all(Option::is_none));
            for (answer, bloom) in answers.iter().zip(blooms) {
                let own = Bloom::read(bloom).expect("intact").may_have(item);
                prop_assert!(answer.is_none_or(|answer| answer == own));
                n_known += usize::from(answer.is_some());
            }
        }
        Ok(n_known)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn lanes_say_what_each_bloom_says(
            n_items in any_n_items(),
            asked in prop::collection::vec(any::<Index>(), 20),
        ) {
            let blooms = blooms_of(&n_items);
            let (_dir, db) = written(&blooms);
            let n_here = n_items.iter().filter(|n| **n > 0).count();
            for asked in asked {
                // Some of them nobody has.
                let asked = asked.index(n_items.len() * 5_000);
                let asked = item(u32::try_from(asked).expect("few"));
                prop_assert_eq!(check(&db, &blooms, asked)?, n_here);
            }
            for group in 0..n_groups(blooms.len()) {
                let blooms = of_group(group, &blooms);
                prop_assert!(is_as_written(&db, group, blooms).expect("sled works"));
            }
        }

        #[test]
        fn of_what_is_damaged_nothing_is_known_and_the_rest_is_right(
            n_items in any_n_items(),
            value in any::<Index>(),
            byte in any::<Index>(),
            bit in 0..8_u32,
        ) {
            let blooms = blooms_of(&n_items);
            let (_dir, db) = written(&blooms);
            let entries = db.lanes.iter().map(|entry| entry.expect("sled works"));
            let entries: Vec<_> = entries.collect();
            let (key, value) = &entries[value.index(entries.len())];
            let mut value = value.to_vec();
            let byte = byte.index(value.len());
            value[byte] ^= 1_u8 << bit;
            db.lanes.insert(key, value).expect("sled works");
            let group = u32::from_be_bytes(*key.first_chunk().expect("a key"));
            let is_whole = is_as_written(&db, group, of_group(group, &blooms));
            prop_assert!(!is_whole.expect("sled works"));
            let mut n_unknown = 0;
            let n_here = n_items.iter().filter(|n| **n > 0).count();
            for n in 0..50 {
                n_unknown += n_here - check(&db, &blooms, item(n * 5_000 + n))?;
            }
            prop_assert!(key[4] > 0 || n_here == 0 || n_unknown > 0, "the sizes are damaged");
        }
    }

    #[test]
    fn values_are_pages_however_many_blocks_there_are() {
        for n_blocks in [1, 2, 100, 255, 256, 300] {
            let blooms = vec![bloom_of(0..3_000); n_blocks];
            let (_dir, db) = written(&blooms);
            let values = db.lanes.iter().values();
            let lens = values.map(|value| value.expect("sled works").len());
            let lens: Vec<usize> = lens.collect();
            let n_bytes = lens.iter().sum::<usize>();
            assert!(lens.iter().all(|&len| len <= 8_196), "{lens:?}");
            let stored = blooms.iter().map(Vec::len).sum::<usize>();
            assert!(n_bytes <= stored + 2_048, "{n_bytes} of {stored}");
            assert!(lens.len() <= n_bytes / 4_096 + 6, "{lens:?}");
        }
    }

    #[test]
    fn what_an_earlier_attempt_left_does_no_harm() {
        let (before, after) = (blooms_of(&[40, 400, 40]), blooms_of(&[0, 40, 400, 3]));
        let (_dir, db) = written(&before);
        assert!(!is_as_written(&db, 0, &after).expect("sled works"));
        write(&db, 0, &after).expect("sled works");
        for n in (0..20_000).step_by(31) {
            let n_known = check(&db, &after, item(n)).expect("as the blooms");
            assert_eq!(n_known, 3, "{n}");
        }
    }

    #[test]
    fn nothing_is_known_where_nothing_was_written() {
        let (_dir, db) = written(&[]);
        let answers = ask(&db, 0, item(1)).expect("sled works");
        assert!(answers.iter().all(Option::is_none));
    }
}
