//! Blooms: what says of a block that no span in it has some attribute value, without reading it.
//!
//! An *item* is an attribute's key with the text of its value. A bloom is a split block Bloom filter
//! as Parquet defines it (<https://parquet.apache.org/docs/file-format/bloomfilter/>): eight bits of
//! one 32-byte lane are set for each item, so that a question touches one cache line. Stored as
//! `CRC-32C u32 | lanes` (little-endian); without a lane it knows nothing, and may have everything.
//!
//! What never changes, because blooms are kept on disk: an item's hash is XXH3-64 of the value, with
//! XXH3-64 of the key (seed 0) as its seed. The item of a key alone has the byte 255 for a value.

use twox_hash::XxHash3_64;

use crate::StorageError;

/// Bits for each item: one in two hundred other items passes.
const BITS_PER_ITEM: usize = 12;

/// The bytes of a lane: one word for each of an item's bits.
const LANE_BYTES: usize = 32;

/// More than a block of real spans has. Of a block with more items more questions pass.
const BYTES_MAX: usize = 256 << 10;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item(u64);

impl Item {
    /// Which of `n_lanes` it is in.
    fn lane(self, n_lanes: usize) -> usize {
        let scaled = u128::from(self.0 >> 32) * n_lanes as u128;
        usize::try_from(scaled >> 32).expect("less than the lanes in memory")
    }

    /// Its bit in each word of the lane.
    fn bits(self) -> [u32; 8] {
        let low = u32::try_from(self.0 & u64::from(u32::MAX)).expect("half of 64 bits");
        SALTS.map(|salt| 1 << (low.wrapping_mul(salt) >> 27))
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
        let n_lanes = (self.0.len() * BITS_PER_ITEM)
            .div_ceil(8 * LANE_BYTES)
            .clamp(1, BYTES_MAX / LANE_BYTES);
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
pub(super) struct Bloom<'a>(&'a [[u8; LANE_BYTES]]);

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
        value
            .split_first_chunk()
            .filter(|(crc, lanes)| u32::from_le_bytes(**crc) == crc32c::crc32c(lanes))
            .map(|(_, lanes)| lanes.as_chunks())
            .filter(|(_, rest)| rest.is_empty())
            .map(|(lanes, _)| Self(lanes))
            .ok_or_else(|| StorageError::Damaged {
                what: "the bloom of a block".to_owned(),
            })
    }

    /// Whether the block may have an item; it does not have one of which this says no.
    pub(super) fn may_have(&self, item: Item) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let lane = &self.0[item.lane(self.0.len())];
        let (words, _) = lane.as_chunks();
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        item.bits()
            .iter()
            .all(|bit| words.next().is_some_and(|word| word & bit != 0))
    }
}

fn with_crc(lanes: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut value = vec![0; 4];
    value.extend(lanes);
    let crc = crc32c::crc32c(&value[4..]);
    value[..4].copy_from_slice(&crc.to_le_bytes());
    value
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
            assert!(stored.len() < n_items * 2 + 64, "{} bytes", stored.len());
            let asked = n_items..n_items + 20_000;
            let n_wrong = asked
                .filter(|n| may_have(&stored, "order.id", &n.to_string()))
                .count();
            assert!(n_wrong < 200, "{n_wrong} of 20,000 beside {n_items}");
            // A value belongs to its key.
            let others = (0..n_items).filter(|n| may_have(&stored, "user.id", &n.to_string()));
            assert!(others.count() < n_items.div_ceil(50));
        }
    }

    #[test]
    fn a_block_of_too_many_items_costs_no_more_memory_and_loses_none() {
        let mut builder = Bloom::builder();
        let key = Key::new(b"id");
        let items = || (0..400_000_u32).map(|n| key.item(&n.to_le_bytes()));
        items().for_each(|item| builder.insert(item));
        let stored = builder.finish();
        assert_eq!(stored.len(), 4 + BYTES_MAX);
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
