//! The digest of a block while its traces are added one by one.
//!
//! Nearly every span costs two array look-ups, a count, and four bytes that are sorted with all others at
//! the end; names are looked at once for each operation of the block.

use std::borrow::Cow;
use std::ops::Range;

use longpole_analysis::aggregate::{Fact, Sketch, facts, minute_of};
use longpole_analysis::{Analysis, PEER_KEYS};
use longpole_proto::wire::SpanSlice;
use longpole_proto::{Trace, UnixNanos};
use zstd::bulk::Compressor;

use super::attributes::of_block;
use super::peer::peer_of;
use super::table::{Key, Kind, NO_MINUTE, Table, Tally};
use super::{BLOCK, Digest, compressor};
use crate::sled::block::BlockBuilder;
use crate::sled::entry::cut;

/// How many facts may be corrected in one block.
const CORRECTED_FACTS_MAX: usize = 65_536;

/// How many of the low bits of what is staged are the bucket.
const BUCKET_BITS: u32 = 12;

/// The kinds whose durations are staged.
const STAGED: [Kind; 3] = [Kind::Operation, Kind::Edge, Kind::PeerEdge];

/// Digests, built one after the other.
pub(in crate::sled) struct DigestBuilder {
    digest: Digest,
    /// By the sealer's number of the operation.
    operations: Vec<OperationMemo>,
    /// By kind: the place of a cell, and the bucket a duration adds to it.
    staged: [Vec<u32>; STAGED.len()],
    /// How many facts are corrected.
    n_corrected: usize,
    zstd: Compressor<'static>,
}

/// What is known of an operation.
#[derive(Debug, Clone, Copy)]
struct OperationMemo {
    /// Service and name; none when they are too much.
    names: Option<[u32; 2]>,
    /// The cell it was last counted in.
    minute: u32,
    place: u32,
    /// The peer its last span named.
    peer: Option<u32>,
}

/// A finished digest.
pub(in crate::sled) struct PackedDigest {
    pub(in crate::sled) value: Vec<u8>,
    /// The minutes it has anything of, the first and one behind the last.
    pub(in crate::sled) minutes: Range<u32>,
}

/// A span in the bytes it came in, and the number of its operation.
pub(in crate::sled) type Source<'a> = (&'a [u8], &'a SpanSlice, u32);

impl Default for DigestBuilder {
    fn default() -> Self {
        Self {
            digest: Digest::new(BLOCK),
            operations: Vec::new(),
            staged: Default::default(),
            n_corrected: 0,
            zstd: compressor(),
        }
    }
}

impl DigestBuilder {
    /// Forgets everything, for another block.
    pub(in crate::sled) fn clear(&mut self) {
        self.digest.names.clear();
        self.digest.counted.clear();
        self.digest.corrections.clear();
        self.operations.clear();
        self.staged.iter_mut().for_each(Vec::clear);
        self.n_corrected = 0;
    }

    /// Takes the names of operations in that were not seen before: all from [`Self::n_operations`] on.
    pub(in crate::sled) fn add_operations<'a>(
        &mut self,
        operations: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        for (service, name) in operations {
            let names = &mut self.digest.names;
            let service = names.number(cut(service));
            let name = names.number(cut(name));
            self.operations.push(OperationMemo {
                names: service.zip(name).map(<[u32; 2]>::from),
                minute: NO_MINUTE,
                place: 0,
                peer: None,
            });
        }
    }

    /// How many operations were taken in.
    pub(in crate::sled) fn n_operations(&self) -> usize {
        self.operations.len()
    }

    /// Counts a trace that had no earlier fragments; `source` gives its spans, whose operations were
    /// all taken in.
    pub(in crate::sled) fn count<'a>(
        &mut self,
        trace: &Trace,
        analysis: &Analysis,
        source: impl Fn(usize) -> Source<'a>,
    ) {
        facts(trace, analysis, |fact| {
            let timed = trace.span(fact.timed_idx());
            let minute = minute_of(timed.start);
            let staged = match fact {
                Fact::Call {
                    span_idx,
                    is_request,
                } => {
                    let (_, _, operation) = source(span_idx);
                    let place = self.place_of(operation, minute);
                    let cell = self.digest.counted.table(Kind::Operation).cell(place);
                    cell.n += u64::from(is_request);
                    cell.n_errors += u64::from(timed.is_error());
                    (0, place)
                }
                Fact::Edge {
                    caller_idx,
                    callee_idx,
                    ..
                } => {
                    let service = |at| self.names_of(source(at).2).map(|[service, _]| service);
                    let names = service(caller_idx).zip(service(callee_idx));
                    (
                        1,
                        self.count_edge(Kind::Edge, names, minute, timed.is_error()),
                    )
                }
                Fact::PeerEdge { span_idx } => {
                    let (bytes, span, operation) = source(span_idx);
                    let Some(peer) = peer_of(span, bytes) else {
                        return;
                    };
                    let service = self.names_of(operation).map(|[service, _]| service);
                    let peer = self.peer(operation, cut(&peer));
                    let names = service.zip(peer);
                    (
                        2,
                        self.count_edge(Kind::PeerEdge, names, minute, timed.is_error()),
                    )
                }
                Fact::SlowestHop {
                    root_idx,
                    entry_idx,
                } => {
                    let names = |at| self.names_of(source(at).2);
                    let names = names(root_idx).zip(names(entry_idx));
                    self.count_hop(names, minute);
                    return;
                }
            };
            let (kind, place) = staged;
            let bucket = Sketch::bucket(timed.duration_nanos());
            self.staged[kind].push(place << BUCKET_BITS | u32::from(bucket));
        });
    }

    #[inline]
    fn place_of(&mut self, operation: u32, minute: u32) -> u32 {
        let memo = &mut self.operations[operation as usize];
        if memo.minute != minute {
            let key = memo
                .names
                .map_or(Key::other(minute), |names| Key::of_two(names, minute));
            memo.place = self.digest.counted.table(Kind::Operation).place(key);
            memo.minute = minute;
        }
        memo.place
    }

    fn names_of(&self, operation: u32) -> Option<[u32; 2]> {
        self.operations[operation as usize].names
    }

    /// The number of a peer's name; most often it is that of the operation's last.
    fn peer(&mut self, operation: u32, peer: &str) -> Option<u32> {
        let memo = &mut self.operations[operation as usize];
        let names = &mut self.digest.names;
        if memo.peer.is_none_or(|last| names.get(last) != peer) {
            memo.peer = names.number(peer);
        }
        memo.peer
    }

    fn count_edge(
        &mut self,
        kind: Kind,
        names: Option<(u32, u32)>,
        minute: u32,
        is_error: bool,
    ) -> u32 {
        let key = names.map_or(Key::other(minute), |names| {
            Key::of_two(names.into(), minute)
        });
        let table = self.digest.counted.table(kind);
        let place = table.place(key);
        table.cell(place).n_errors += u64::from(is_error);
        place
    }

    fn count_hop(&mut self, names: Option<([u32; 2], [u32; 2])>, minute: u32) {
        let key = names.map_or(Key::other(minute), |(root, hop)| Key {
            minute,
            names: [root[0], root[1], hop[0], hop[1]],
        });
        let table = self.digest.counted.table(Kind::SlowestHop);
        let place = table.place(key);
        table.cell(place).n += 1;
    }

    /// Counts a trace anew that counted as `was` in a partition. Says whether there was room for it: if
    /// not, nothing was done, and it goes on counting as it did.
    pub(in crate::sled) fn recount(
        &mut self,
        trace: &Trace,
        analysis: &Analysis,
        was: &Trace,
        partition: u32,
    ) -> bool {
        let was_facts = facts_of(was, &Analysis::without_words(was, &|_| None));
        let names = &mut self.digest.names;
        let name_bytes: usize = was_facts
            .iter()
            .flat_map(|of| of.names.iter().map(|name| name.len()))
            .sum();
        let has_room =
            self.n_corrected + was_facts.len() <= CORRECTED_FACTS_MAX && name_bytes <= names.room();
        if !has_room {
            return false;
        }
        self.n_corrected += was_facts.len();
        let limits = super::Limits {
            cells: usize::MAX,
            minutes: usize::MAX,
            ..BLOCK
        };
        let corrections = &mut self.digest.corrections;
        let correction = corrections
            .entry(partition)
            .or_insert_with(|| Tally::new(limits));
        for fact in &was_facts {
            fact.add(names, correction);
        }
        for fact in facts_of(trace, analysis) {
            fact.add(names, &mut self.digest.counted);
        }
        true
    }

    /// Notes spans that count for nothing, by when they began.
    pub(in crate::sled) fn leave_out(&mut self, starts: impl Iterator<Item = UnixNanos>) {
        let table = self.digest.counted.table(Kind::Uncounted);
        for start in starts {
            let place = table.place(Key::other(minute_of(start)));
            table.cell(place).n += 1;
        }
    }

    /// The digest of all that was added, and of the attributes of its spans, which are in this block.
    pub(in crate::sled) fn finish(&mut self, block: &BlockBuilder) -> PackedDigest {
        for (kind, staged) in STAGED.into_iter().zip(&self.staged) {
            add_staged(self.digest.counted.table(kind), staged);
        }
        PackedDigest {
            value: self.digest.pack(&of_block(block), &mut self.zstd),
            minutes: self.digest.minutes(),
        }
    }
}

/// Adds durations, each the place of a cell and a bucket, to the cells.
fn add_staged(table: &mut Table, staged: &[u32]) {
    let place_of = |of: u32| (of >> BUCKET_BITS) as usize;
    // By place: where its buckets begin, and while they are put there where the next goes.
    let mut ends = vec![0; table.n_places() + 1];
    for &of in staged {
        ends[place_of(of) + 1] += 1;
    }
    for at in 1..ends.len() {
        ends[at] += ends[at - 1];
    }
    let mut buckets = vec![0_u16; staged.len()];
    for &of in staged {
        let end = &mut ends[place_of(of)];
        buckets[*end] = u16::try_from(of & ((1 << BUCKET_BITS) - 1)).expect("12 bits");
        *end += 1;
    }
    let mut counts = Vec::new();
    let mut start = 0;
    for (place, &end) in (0..).zip(&ends[..table.n_places()]) {
        let of_cell = &mut buckets[start..end];
        start = end;
        if of_cell.is_empty() {
            continue;
        }
        of_cell.sort_unstable();
        counts.clear();
        counts.extend(of_cell.chunk_by(|a, b| a == b).map(|same| {
            let n = u32::try_from(same.len()).expect("a block is far below 2^32 spans");
            (same[0], n)
        }));
        table.add_durations(place, &counts);
    }
}

/// A fact with its names.
struct NamedFact<'a> {
    kind: Kind,
    minute: u32,
    names: Vec<Cow<'a, str>>,
    n: u64,
    is_error: bool,
    duration: Option<u64>,
}

impl NamedFact<'_> {
    fn add(&self, names: &mut super::names::Names, to: &mut Tally) {
        let mut key = Key::other(self.minute);
        for (slot, name) in key.names.iter_mut().zip(&self.names) {
            let Some(number) = names.number(name) else {
                key = Key::other(self.minute);
                break;
            };
            *slot = number;
        }
        let bucket = self.duration.map(|nanos| (Sketch::bucket(nanos), 1));
        let n_errors = u64::from(self.is_error);
        to.table(self.kind)
            .add(key, self.n, n_errors, bucket.as_slice());
    }
}

/// All that a trace whose spans have their peers' attributes adds, as [`DigestBuilder::count`] adds it.
fn facts_of<'a>(trace: &'a Trace, analysis: &Analysis) -> Vec<NamedFact<'a>> {
    let service = |at: usize| Cow::Borrowed(cut(trace.service(at)));
    let operation = |at: usize| [service(at), Cow::Borrowed(cut(&trace.span(at).name))];
    let mut all = Vec::with_capacity(2 * trace.len());
    facts(trace, analysis, |fact| {
        let timed = trace.span(fact.timed_idx());
        let (kind, names, n) = match fact {
            Fact::Call {
                span_idx,
                is_request,
            } => (
                Kind::Operation,
                operation(span_idx).to_vec(),
                u64::from(is_request),
            ),
            Fact::Edge {
                caller_idx,
                callee_idx,
                ..
            } => (
                Kind::Edge,
                vec![service(caller_idx), service(callee_idx)],
                0,
            ),
            Fact::PeerEdge { span_idx } => {
                let Some(peer) = timed.attributes.text_of_any(&PEER_KEYS) else {
                    return;
                };
                let names = vec![service(span_idx), Cow::Borrowed(cut(peer))];
                (Kind::PeerEdge, names, 0)
            }
            Fact::SlowestHop {
                root_idx: root,
                entry_idx: hop,
            } => (
                Kind::SlowestHop,
                [operation(root), operation(hop)].concat(),
                1,
            ),
        };
        let is_timed = kind != Kind::SlowestHop;
        all.push(NamedFact {
            kind,
            minute: minute_of(timed.start),
            names,
            n,
            is_error: is_timed && timed.is_error(),
            duration: is_timed.then(|| timed.duration_nanos()),
        });
    });
    all
}
