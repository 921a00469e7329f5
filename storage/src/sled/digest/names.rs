//! The names that the cells of a digest share.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Names, by number in order of appearance.
#[derive(Debug)]
pub(super) struct Names {
    texts: Vec<Box<str>>,
    by_text: HashTable<u32>,
    hasher: RandomState,
    n_bytes: usize,
    bytes_max: usize,
}

impl Names {
    /// No names, and room for so many bytes of them.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            texts: Vec::new(),
            by_text: HashTable::new(),
            hasher: RandomState::default(),
            n_bytes: 0,
            bytes_max,
        }
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.by_text.clear();
        self.n_bytes = 0;
    }

    /// The number of a name; `None` when it is new and there is no room for it.
    pub(super) fn number(&mut self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        let texts = &self.texts;
        let found = self.by_text.find(hash, |&at| *texts[at as usize] == *text);
        if let Some(&number) = found {
            return Some(number);
        }
        if self.n_bytes + text.len() > self.bytes_max {
            return None;
        }
        self.n_bytes += text.len();
        let number = u32::try_from(self.texts.len()).expect("names are far fewer than 2^32");
        self.texts.push(text.into());
        let (texts, hasher) = (&self.texts, &self.hasher);
        self.by_text
            .insert_unique(hash, number, |&at| hasher.hash_one(&*texts[at as usize]));
        Some(number)
    }

    /// A name.
    pub(super) fn get(&self, number: u32) -> &str {
        &self.texts[number as usize]
    }

    /// All of them, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }

    /// How many more bytes there is room for.
    pub(super) fn room(&self) -> usize {
        self.bytes_max - self.n_bytes
    }
}
