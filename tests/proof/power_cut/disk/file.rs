//! A file of the model: what is durable of it, what a reader sees, and the changes between.

use std::sync::Arc;

use super::Fate;

/// What the system writes at once.
const PAGE_BYTES: u64 = 4_096;

/// A change of a file.
#[derive(Debug, Clone)]
pub(super) enum FileChange {
    Write { at: u64, bytes: Arc<[u8]> },
    Truncate(u64),
}

/// A file.
#[derive(Debug, Clone, Default)]
pub(super) struct FileNode {
    durable: Vec<u8>,
    live: Vec<u8>,
    pub(super) changes: Changes<FileChange>,
}

/// Changes that are not durable, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Changes<T> {
    /// How many became durable before.
    n_durable: usize,
    pub(super) pending: Vec<T>,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self {
            n_durable: 0,
            pending: Vec::new(),
        }
    }
}

impl<T> Changes<T> {
    /// How many there were ever.
    pub(super) fn count(&self) -> usize {
        self.n_durable + self.pending.len()
    }

    /// Takes those up to the count `end`: they are durable now.
    pub(super) fn settle(&mut self, end: usize) -> Vec<T> {
        let n = end.saturating_sub(self.n_durable);
        self.n_durable += n;
        self.pending.drain(..n).collect()
    }
}

impl FileNode {
    /// What a reader sees.
    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    /// How long it is for a reader.
    pub(super) fn len(&self) -> u64 {
        self.live.len() as u64
    }

    /// Changes it.
    pub(super) fn change(&mut self, change: FileChange) {
        apply(&mut self.live, &change);
        self.changes.pending.push(change);
    }

    /// Makes its changes up to the count `end` durable.
    pub(super) fn settle(&mut self, end: usize) {
        for change in self.changes.settle(end) {
            apply(&mut self.durable, &change);
        }
    }

    /// What a power cut leaves of it; `begun` are writes that did not end.
    pub(super) fn after_cut(&self, fate: &mut Fate, begun: &[FileChange]) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let Fate::Drawn(rng) = fate else {
            return bytes;
        };
        let percent = [0, 30, 70, 100][rng.usize(0..4)];
        for change in self.changes.pending.iter().chain(begun) {
            match change {
                FileChange::Write { at, bytes: written } => {
                    for (at, page) in pages(*at, written) {
                        if rng.u32(0..100) < percent {
                            write(&mut bytes, at, page);
                        }
                    }
                }
                FileChange::Truncate(_) if rng.u32(0..100) < percent => apply(&mut bytes, change),
                FileChange::Truncate(_) => {}
            }
        }
        // The length can be durable before what is to be there.
        if bytes.len() < self.live.len() && rng.bool() {
            bytes.resize(self.live.len(), 0);
        }
        bytes
    }
}

/// Cuts a write where pages of its file end.
fn pages(mut at: u64, mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut pages = Vec::new();
    while !bytes.is_empty() {
        let left = usize::try_from(PAGE_BYTES - at % PAGE_BYTES).unwrap_or(usize::MAX);
        let (page, rest) = bytes.split_at(left.min(bytes.len()));
        pages.push((at, page));
        at += page.len() as u64;
        bytes = rest;
    }
    pages
}

fn apply(to: &mut Vec<u8>, change: &FileChange) {
    match change {
        FileChange::Write { at, bytes } => write(to, *at, bytes),
        FileChange::Truncate(len) => to.resize(place(*len), 0),
    }
}

fn write(to: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let (from, end) = (place(at), place(at) + bytes.len());
    if to.len() < end {
        to.resize(end, 0);
    }
    to[from..end].copy_from_slice(bytes);
}

fn place(at: u64) -> usize {
    usize::try_from(at).expect("a file is far smaller than memory could be")
}
