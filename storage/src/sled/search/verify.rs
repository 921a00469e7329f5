//! Decodes traces of which their summaries do not say whether they match.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use longpole_analysis::query::{Needs, Values};
use longpole_proto::wire::decode_traces;
use longpole_proto::{Trace, TraceId};

use super::blooms::Blooms;
use super::page::Candidate;
use super::plan::{AskedOf, OfItems};
use super::sink::Sink;
use super::{BlockRef, Search};
use crate::StorageError;
use crate::sled::block::{Block, Damage, Value};
use crate::sled::bloom::{self, Item};
use crate::sled::core::read_trace;
use crate::sled::traces::{TraceBuilder, outline};

/// Of a block with more, some sender's names are without number: its values take long themselves.
const N_COLUMNS_MAX: usize = 4_096;

/// So many traces take longer to decode than the values of a block do.
const N_WANTED_MANY: usize = 32;

/// The spans of traces, or nothing of those that do not match.
type Decoded = HashMap<TraceId, Option<Vec<u8>>>;

impl<S: Sink> Search<'_, S> {
    /// Takes in those of the traces in memory that match.
    ///
    /// # Errors
    /// When a partition cannot be read or the search was cancelled.
    pub(super) fn verify_live(&mut self, mut open: Vec<Candidate>) -> Result<(), StorageError> {
        open.sort_unstable();
        for candidate in &open {
            if self.must_stop(None)? {
                return Ok(());
            }
            if !self.wants(candidate) {
                continue;
            }
            let trace_id = candidate.position.trace_id();
            // What came since may be in it: then the answer is a newer one.
            let (chunks, view) = {
                let state = self.core.state.lock();
                (state.chunks(trace_id), state.view.clone())
            };
            let read = read_trace(trace_id, &chunks, &view);
            self.verify_read(candidate, read)?;
        }
        Ok(())
    }

    /// Takes in those of a block's traces that match.
    ///
    /// # Errors
    /// When a partition cannot be read or the search was cancelled.
    pub(super) fn verify_block(
        &mut self,
        of: &BlockRef<'_>,
        mut open: Vec<Candidate>,
    ) -> Result<(), StorageError> {
        open.sort_unstable();
        open.retain(|candidate| self.wants(candidate));
        let greatest = of.keys.1;
        let mut decoded = self.decode_block(of, &open)?;
        for candidate in &open {
            if self.must_stop(Some(greatest))? {
                return Ok(());
            }
            let trace_id = candidate.position.trace_id();
            if !self.wants(candidate) {
                continue;
            }
            if of.view.zone.late(trace_id).is_some() {
                if self.fragments_may_match(trace_id)? {
                    let read = read_trace(trace_id, &[], &self.snapshot.view);
                    self.verify_read(candidate, read)?;
                }
            } else if let Some(decoded) = &mut decoded {
                match decoded.remove(&trace_id) {
                    Some(Some(spans)) => self.verify(candidate, &spans),
                    Some(None) => {}
                    None => self.unseen.n_unreadable += 1,
                }
            }
        }
        Ok(())
    }

    /// Whether it still matters that a candidate matches; if not, that is noted.
    fn wants(&mut self, candidate: &Candidate) -> bool {
        let wants = self.sink.wants(candidate.position);
        if !wants {
            self.sink.leave_out();
        }
        wants
    }

    /// The spans of those candidates that are in this block only, or nothing of those that do not match;
    /// `None` when it cannot be read.
    fn decode_block(
        &mut self,
        of: &BlockRef<'_>,
        open: &[Candidate],
    ) -> Result<Option<Decoded>, StorageError> {
        let mut wanted: Vec<TraceId> = open
            .iter()
            .map(|candidate| candidate.position.trace_id())
            .filter(|&trace_id| of.view.zone.late(trace_id).is_none())
            .collect();
        if wanted.is_empty() {
            return Ok(Some(HashMap::new()));
        }
        wanted.sort_unstable();
        let read = of.partition.block(of.block);
        let Some(bytes) = self.unless_damaged(of.partition, read)? else {
            return Ok(None);
        };
        let decoded = Block::open(&bytes).and_then(|block| {
            let mut decoded = HashMap::new();
            if wanted.len() >= N_WANTED_MANY {
                let ruled_out = self.ruled_out(of, &block)?;
                wanted.retain(|trace_id| !ruled_out.contains(trace_id));
                decoded.extend(ruled_out.into_iter().map(|trace_id| (trace_id, None)));
            }
            if !wanted.is_empty() {
                let traces = block.traces_of(|trace_id| wanted.binary_search(&trace_id).is_ok())?;
                let traces = traces.into_iter();
                decoded.extend(traces.map(|(trace_id, spans)| (trace_id, Some(spans))));
            }
            Ok(decoded)
        });
        match decoded {
            Ok(decoded) => Ok(Some(decoded)),
            Err(error) => {
                tracing::warn!(%error, block = of.block, "a block cannot be read");
                self.unseen.n_unreadable += 1;
                Ok(None)
            }
        }
    }

    /// The traces that, if they are in this block only, do not match as far as their attributes tell. A
    /// bloom lets some values pass that no span has, of those that some span has it does not say whose,
    /// and of numbers in a range and texts with a pattern it says nothing.
    fn ruled_out(&self, of: &BlockRef<'_>, block: &Block<'_>) -> Result<HashSet<TraceId>, Damage> {
        let asked = self.plan.asked();
        if asked.n_bits() == 0 || asked.n_bits() > 64 || block.n_columns()? > N_COLUMNS_MAX {
            return Ok(HashSet::new());
        }
        let marks = block.attribute_marks(&mut |key, values| asked.marks(key, values))?;
        let fragments = block.fragments().iter().zip(marks);
        let ruled_out = fragments.filter(|&(_, marks)| {
            // What was not asked for nobody knows.
            let has = |bit: Option<usize>| bit.is_none_or(|bit| marks >> bit & 1 == 1);
            !self.plan.may_match(&OfItems {
                zone: Some(of.view.zone),
                may_have: &|item| has(asked.bit_of(item)),
                may_have_one: Some(&|values| has(asked.bit_of_values(values))),
            })
        });
        Ok(ruled_out.map(|(fragment, _)| fragment.trace_id).collect())
    }

    /// Whether a trace may match as far as the blooms of its blocks tell together.
    fn fragments_may_match(&self, trace_id: TraceId) -> Result<bool, StorageError> {
        if !self.plan.asks_blooms {
            return Ok(true);
        }
        let fragments = self.snapshot.view.fragments(trace_id)?;
        let places = fragments.iter().map(|of| (of.partition.as_ref(), of.block));
        Blooms::new(&self.asked, places).may_match(&self.plan, None)
    }

    fn verify_read(
        &mut self,
        candidate: &Candidate,
        read: Result<TraceBuilder, StorageError>,
    ) -> Result<(), StorageError> {
        match read.map(TraceBuilder::finish) {
            Ok(Some(trace)) => self.verify(candidate, &trace.otlp),
            // It was removed meanwhile.
            Ok(None) => {}
            Err(StorageError::Damaged { .. } | StorageError::TooLarge { .. }) => {
                self.unseen.n_unreadable += 1;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes a candidate with these spans in if it matches.
    fn verify(&mut self, candidate: &Candidate, spans: &[u8]) {
        self.scanned.traces_verified += 1;
        self.scanned.bytes += spans.len() as u64;
        let trace_id = candidate.position.trace_id();
        let matcher = &self.plan.matcher;
        let trace = match matcher.needs() {
            Needs::Summary | Needs::Outline => outline(trace_id, spans).ok(),
            Needs::Trace => decode_traces(trace_id, spans)
                .ok()
                .and_then(|parts| Trace::new(trace_id, parts)),
        };
        match trace {
            None => self.unseen.n_unreadable += 1,
            Some(trace) if matcher.is_match_unanalysed(&trace) => {
                self.add(candidate.position, &candidate.entry);
            }
            Some(_) => {}
        }
    }
}

/// What is asked, each a bit: the items first.
impl AskedOf<'_> {
    fn n_bits(&self) -> usize {
        self.items.len() + self.values.len()
    }

    fn bit_of(&self, item: Item) -> Option<usize> {
        self.items.iter().position(|&asked| asked == item)
    }

    fn bit_of_values(&self, values: &Values) -> Option<usize> {
        let mut asked = self.values.iter();
        let at = asked.position(|(_, asked)| std::ptr::eq(*asked, values));
        at.map(|at| self.items.len() + at)
    }

    /// The bits of what a key with some values answers.
    fn marks(&self, key: &str, values: &mut dyn Iterator<Item = Value<'_>>) -> u64 {
        if !self.keys.contains(&key) {
            return 0;
        }
        let marks = Cell::new(0_u64);
        let mark = |bit: usize| marks.set(marks.get() | 1 << bit);
        let mut values = values.inspect(|value| {
            for (bit, (keys, values)) in (self.items.len()..).zip(&self.values) {
                let is_one = match value {
                    Value::Text(text) => values.has_text(text),
                    Value::Any(value) => values.has(value),
                };
                if is_one && keys.iter().any(|of| of == key) {
                    mark(bit);
                }
            }
        });
        bloom::items_of(key, &mut values, &mut |item| {
            if let Some(bit) = self.bit_of(item) {
                mark(bit);
            }
        });
        marks.get()
    }
}
