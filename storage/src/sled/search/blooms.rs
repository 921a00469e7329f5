//! Asks blocks for attributes: many at once where a partition has lanes, else each block's bloom.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use super::is_damage;
use super::plan::{OfItems, Plan};
use crate::StorageError;
use crate::sled::bloom::{Bloom, Item};
use crate::sled::partition::{Answers, GROUP_BLOCKS, Partition, Zone};

/// How many answers are remembered: some megabytes of them.
const ANSWERS_MAX: usize = 1 << 15;

/// What a search was told of items so far.
#[derive(Default)]
pub(super) struct Asked {
    /// By partition, group and item.
    answers: RefCell<HashMap<(u32, u32, Item), Answers>>,
}

/// The blooms of the blocks that have some traces' spans, of which each may have what others lack.
pub(super) struct Blooms<'a> {
    asked: &'a Asked,
    blocks: Vec<OfBlock<'a>>,
    /// What could not be read, other than for damage.
    failed: RefCell<Option<StorageError>>,
}

/// What is asked of one block.
struct OfBlock<'a> {
    partition: &'a Partition,
    block: u32,
    /// Its own bloom as stored, once it is needed; empty when it is damaged.
    own: OnceCell<Vec<u8>>,
}

impl<'a> Blooms<'a> {
    /// Those of these blocks.
    pub(super) fn new(
        asked: &'a Asked,
        blocks: impl IntoIterator<Item = (&'a Partition, u32)>,
    ) -> Self {
        let of_block = |(partition, block)| OfBlock {
            partition,
            block,
            own: OnceCell::new(),
        };
        Self {
            asked,
            blocks: blocks.into_iter().map(of_block).collect(),
            failed: RefCell::default(),
        }
    }

    /// Whether one of them may have an item. What no bloom says the blocks themselves tell.
    fn may_have(&self, item: Item) -> bool {
        let mut blocks = self.blocks.iter();
        blocks.any(|of| match self.asked.ask(of, item) {
            Ok(may_have) => may_have,
            Err(error) if is_damage(of.partition, &error) => true,
            Err(error) => {
                self.failed.replace(Some(error));
                true
            }
        })
    }

    /// Whether traces with no other attributes may match.
    ///
    /// # Errors
    /// When reading failed, not for damage.
    pub(super) fn may_match(self, plan: &Plan, zone: Option<&Zone>) -> Result<bool, StorageError> {
        let may_match = plan.may_match(&OfItems {
            zone,
            may_have: &|item| self.may_have(item),
            may_have_one: None,
        });
        self.failed.into_inner().map_or(Ok(may_match), Err)
    }
}

impl Asked {
    fn ask(&self, of: &OfBlock<'_>, item: Item) -> Result<bool, StorageError> {
        let group = of.block / GROUP_BLOCKS;
        let key = (of.partition.number(), group, item);
        let mut all = self.answers.borrow_mut();
        if all.len() >= ANSWERS_MAX {
            all.clear();
        }
        let answers = all.entry(key).or_insert_with(|| {
            // What cannot be read here the block's own bloom says, or why not.
            let told = of.partition.ask_lanes(group, item);
            let mut answers = told.unwrap_or_default();
            answers.resize(GROUP_BLOCKS as usize, None);
            answers
        });
        let answer = &mut answers[(of.block % GROUP_BLOCKS) as usize];
        if let Some(may_have) = *answer {
            return Ok(may_have);
        }
        if of.own.get().is_none() {
            let own = of.partition.bloom(of.block)?;
            of.own.get_or_init(|| own);
        }
        let own = of.own.get().map_or(&[][..], Vec::as_slice);
        Ok(*answer.insert(Bloom::read(own)?.may_have(item)))
    }
}
