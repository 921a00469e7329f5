//! Blooms: what says of a block that no span in it has some attribute value, without reading it.
//!
//! An *item* is an attribute's key with the text of its value. A bloom is a split block Bloom filter
//! as Parquet defines it (<https://parquet.apache.org/docs/file-format/bloomfilter/>): eight bits of
//! one 32-byte lane are set for each item, so that a question touches one cache line. Stored as
//! `CRC-32C u32 | lanes` (little-endian); without a lane it knows nothing, and may have everything.
//!
//! What never changes, because blooms are kept on disk: an item's hash is XXH3-64 of the value, with
//! XXH3-64 of the key (seed 0) as its seed. The item of a key alone has the byte 255 for a value.

use longpole_analysis::query::canonical_texts;
use twox_hash::XxHash3_64;

use super::block::Value;
use crate::StorageError;
use crate::sled::checked::{with_crc, without_crc};

/// The least bits for each item. The lanes are rounded up, so that there are up to half as many more: one
/// in four hundred to one in three thousand other items passes.
const BITS_PER_ITEM: usize = 14;

/// The bytes of a lane: one word for each of an item's bits.
pub(super) const LANE_BYTES: usize = 32;

/// A lane as stored.
pub(super) type Lane = [u8; LANE_BYTES];

/// Spread an item's hash over the words of its lane; Parquet's.
const SALTS: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// An attribute's key: makes the items with its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key(u64);

impl Key {
    /// The key with this name.
    pub(super) fn new(key: &[u8]) -> Self {
        Self(XxHash3_64::oneshot(key))
    }

    /// The item that says the key is there, whatever its value.
    pub(super) fn alone(self) -> Item {
        // No text has this byte.
        self.item(&[0xff])
    }

    /// The item with this value.
    pub(super) fn item(self, value: &[u8]) -> Item {
        Item(XxHash3_64::oneshot_with_seed(self.0, value))
    }
}

/// An attribute's key and value, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Item(u64);

impl Item {
    /// Whether a lane that may have it does.
    pub(super) fn may_be_in(self, lane: &Lane) -> bool {
        let (words, _) = lane.as_chunks();
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        self.bits()
            .iter()
            .all(|bit| words.next().is_some_and(|word| word & bit != 0))
    }

    /// Which of `n_lanes` it is in.
    pub(super) fn lane(self, n_lanes: usize) -> usize {
        let scaled = u128::from(self.0 >> 32) * n_lanes as u128;
        usize::try_from(scaled >> 32).expect("less than the lanes in memory")
    }

    /// Its bit in each word of the lane.
    fn bits(self) -> [u32; 8] {
        let low = u32::try_from(self.0 & u64::from(u32::MAX)).expect("half of 64 bits");
        SALTS.map(|salt| 1 << (low.wrapping_mul(salt) >> 27))
    }
}

/// Calls `each` with the items of a key and some of its values.
pub(super) fn items_of(
    key: &str,
    values: &mut dyn Iterator<Item = Value<'_>>,
    each: &mut dyn FnMut(Item),
) {
    let key = Key::new(key.as_bytes());
    each(key.alone());
    for value in values {
        match value {
            Value::Text(text) => each(key.item(text.as_bytes())),
            Value::Any(value) => {
                canonical_texts(&value, |text| each(key.item(text.as_bytes())));
            }
        }
    }
}

/// How many lanes a bloom has, of the few numbers there can be: of a power of two its logarithm
/// doubled, of three times a power of two that power's logarithm doubled and 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(u8);

impl Size {
    /// That of the largest bloom, of 256 KiB: more than a block of real spans has. Of a block with more
    /// items more questions pass.
    const MAX: Self = Self(26);

    /// All of them, smallest first.
    fn all() -> impl Iterator<Item = Self> {
        // There is no one lane and a half.
        (0..=Self::MAX.0).filter(|&size| size != 1).map(Self)
    }

    /// The least with so many lanes, if there is one.
    fn for_lanes(n_lanes: usize) -> Self {
        let mut all = Self::all();
        all.find(|size| size.n_lanes() >= n_lanes)
            .unwrap_or(Self::MAX)
    }

    /// That of a bloom with so many lanes; `None` when no builder makes such.
    pub(super) fn of(n_lanes: usize) -> Option<Self> {
        let mut all = Self::all();
        all.find(|size| size.n_lanes() == n_lanes)
    }

    /// What is stored for it.
    pub(super) fn number(self) -> u8 {
        self.0
    }

    /// That of which this is stored.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        let mut all = Self::all();
        all.find(|size| size.0 == number)
    }

    /// How many lanes it is.
    pub(super) fn n_lanes(self) -> usize {
        (2 + usize::from(self.0 % 2)) << (self.0 / 2) >> 1
    }
}

/// Gathers a block's items.
#[derive(Debug, Default)]
pub(super) struct BloomBuilder(Vec<Item>);

impl BloomBuilder {
    /// Adds an item. One that was added before does no harm, but its place is lost.
    pub(super) fn insert(&mut self, item: Item) {
        self.0.push(item);
    }

    /// The value to store.
    pub(super) fn finish(&self) -> Vec<u8> {
        let wanted = (self.0.len() * BITS_PER_ITEM).div_ceil(8 * LANE_BYTES);
        let n_lanes = Size::for_lanes(wanted).n_lanes();
        let mut lanes = vec![[0_u32; 8]; n_lanes];
        for item in &self.0 {
            let lane = &mut lanes[item.lane(n_lanes)];
            for (word, bit) in lane.iter_mut().zip(item.bits()) {
                *word |= bit;
            }
        }
        let words = lanes.iter().flatten().flat_map(|word| word.to_le_bytes());
        with_crc(words)
    }
}

/// A block's bloom as read back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bloom<'a>(&'a [Lane]);

impl<'a> Bloom<'a> {
    /// A builder without items.
    pub(super) fn builder() -> BloomBuilder {
        BloomBuilder::default()
    }

    /// What to store of a block whose items are not known.
    #[cfg(test)]
    pub(super) fn unknown() -> Vec<u8> {
        with_crc([])
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// When it is damaged.
    pub(super) fn read(value: &'a [u8]) -> Result<Self, StorageError> {
        without_crc(value)
            .map(<[u8]>::as_chunks)
            .filter(|(_, rest)| rest.is_empty())
            .map(|(lanes, _)| Self(lanes))
            .ok_or_else(|| StorageError::Damaged {
                what: "the bloom of a block".to_owned(),
            })
    }

    /// Whether the block may have an item; it does not have one of which this says no.
    pub(super) fn may_have(&self, item: Item) -> bool {
        self.0.is_empty() || item.may_be_in(&self.0[item.lane(self.0.len())])
    }

    /// Its lanes, in order.
    pub(super) fn lanes(self) -> &'a [Lane] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bloom_of(items: impl IntoIterator<Item = (String, String)>) -> Vec<u8> {
        let mut builder = Bloom::builder();
        for (key, value) in items {
            builder.insert(Key::new(key.as_bytes()).item(value.as_bytes()));
        }
        builder.finish()
    }

    fn may_have(stored: &[u8], key: &str, value: &str) -> bool {
        let bloom = Bloom::read(stored).expect("intact");
        bloom.may_have(Key::new(key.as_bytes()).item(value.as_bytes()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_in_it_always_passes(
            items in prop::collection::btree_set((".{0,12}", ".{0,300}"), 0..200),
        ) {
            let stored = bloom_of(items.iter().cloned());
            for (key, value) in &items {
                prop_assert!(may_have(&stored, key, value), "{}={}", key, value);
            }
        }
    }

    #[test]
    fn what_is_not_in_it_seldom_passes() {
        for n_items in [1, 100, 10_000] {
            let items = (0..n_items).map(|n| ("order.id".to_owned(), n.to_string()));
            let stored = bloom_of(items);
            let n_lanes = (stored.len() - 4) / LANE_BYTES;
            assert_eq!(Size::of(n_lanes), Some(Size::for_lanes(n_lanes)));
            assert!(stored.len() < n_items * 3 + 64, "{} bytes", stored.len());
            let asked = n_items..n_items + 20_000;
            let n_wrong = asked
                .filter(|n| may_have(&stored, "order.id", &n.to_string()))
                .count();
            assert!(n_wrong < 80, "{n_wrong} of 20,000 beside {n_items}");
            // A value belongs to its key.
            let others = (0..n_items).filter(|n| may_have(&stored, "user.id", &n.to_string()));
            assert!(others.count() < n_items.div_ceil(200));
        }
    }

    #[test]
    fn sizes_are_half_steps() {
        let n_lanes: Vec<usize> = Size::all().map(Size::n_lanes).collect();
        assert_eq!(n_lanes[..9], [1, 2, 3, 4, 6, 8, 12, 16, 24]);
        assert_eq!(n_lanes.last(), Some(&((256 << 10) / LANE_BYTES)));
        for size in Size::all() {
            assert_eq!(Size::of(size.n_lanes()), Some(size));
            assert_eq!(Size::from_number(size.number()), Some(size));
        }
        assert_eq!(Size::for_lanes(13).n_lanes(), 16);
        assert_eq!(Size::for_lanes(usize::MAX), Size::MAX);
        assert_eq!(Size::of(0), None);
        assert_eq!(Size::of(5), None);
        assert_eq!(Size::from_number(1), None);
    }

    #[test]
    fn a_block_of_too_many_items_costs_no_more_memory_and_loses_none() {
        let mut builder = Bloom::builder();
        let key = Key::new(b"id");
        let items = || (0..400_000_u32).map(|n| key.item(&n.to_le_bytes()));
        items().for_each(|item| builder.insert(item));
        let stored = builder.finish();
        assert_eq!(stored.len(), 4 + (256 << 10));
        let bloom = Bloom::read(&stored).expect("intact");
        assert!(items().all(|item| bloom.may_have(item)));
        let others = (0..1_000_u32).filter(|n| bloom.may_have(key.item(&n.to_be_bytes())));
        assert!(others.count() < 500);
    }

    #[test]
    fn an_unknown_one_may_have_everything_and_an_empty_one_has_nothing() {
        assert!(may_have(&Bloom::unknown(), "user.id", "7"));
        assert!(!may_have(&Bloom::builder().finish(), "user.id", "7"));
    }

    #[test]
    fn damage_is_noticed() {
        let stored = bloom_of([("user.id".to_owned(), "7".to_owned())]);
        for at in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[at] ^= 4;
            assert!(Bloom::read(&damaged).is_err(), "byte {at}");
            assert!(Bloom::read(&stored[..at]).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn the_bytes_are_the_documented_ones() {
        // As the xxHash library by its author gives them.
        let long = "SELECT ".repeat(50);
        let item = Key::new(b"db.query.text").item(long.as_bytes());
        assert_eq!(item, Item(0x15dc_b0ae_020f_e6a8));
        let (key, value) = ("http.route", "/orders/{id}");
        let item = Key::new(key.as_bytes()).item(value.as_bytes());
        assert_eq!(item, Item(0x9086_11e7_2769_23cb));
        let stored = bloom_of([(key.to_owned(), value.to_owned())]);
        let bits: Vec<usize> = (0..256)
            .filter(|bit| stored[4 + bit / 8] & (1 << (bit % 8)) != 0)
            .collect();
        assert_eq!(bits, [15, 63, 94, 116, 140, 161, 205, 241]);
    }
}
