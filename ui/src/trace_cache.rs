//! Traces as pages need them, kept while they stay the same: what opens a trace asks for it again and
//! again, its page, its drawer, its rows, its JSON.
//!
//! A trace is given from here only when the store says, at the time of the request, that it is of the
//! version it was read at. So nothing is missed that arrived, and nothing shown that is gone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, OnceLock};

use longpole_analysis::Analysis;
use longpole_proto::{Trace, TraceId, UnixNanos};
use longpole_storage::TraceVersion;
use parking_lot::Mutex;

use crate::error::UiError;

/// How many bytes all of it may take, and one trace: a trace of 100,000 spans with four attributes each
/// takes 84 MiB. Under full load the process stays about that much below the default of `--memory-limit`.
const BYTES_MAX: u64 = 96 << 20;

/// How many traces it keeps at the most, so that the one that was not asked for longest is found by
/// looking at all.
const TRACES_MAX: usize = 256;

/// What a span of an analysis takes, at the most about: its place in the lists by span, a section of
/// the critical path, and a hop.
const ANALYSIS_SPAN_BYTES: usize = 128;

/// A trace, decoded; and analysed, once somebody wants to know what it means.
pub(crate) struct Loaded {
    /// When its newest span was received.
    pub(crate) last_received: UnixNanos,
    pub(crate) trace: Trace,
    analysis: OnceLock<Analysis>,
}

impl Loaded {
    pub(crate) fn new(last_received: UnixNanos, trace: Trace) -> Self {
        Self {
            last_received,
            trace,
            analysis: OnceLock::new(),
        }
    }

    /// What it means.
    pub(crate) fn analysis(&self) -> &Analysis {
        self.analysis.get_or_init(|| Analysis::of(&self.trace))
    }

    /// How much memory it takes, analysed or not, about.
    fn n_bytes(&self) -> u64 {
        (self.trace.memory_bytes() + self.trace.len() * ANALYSIS_SPAN_BYTES) as u64
    }
}

/// The traces that were asked for of late.
pub(crate) struct TraceCache {
    bytes_max: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    places: HashMap<TraceId, Place>,
    n_bytes: u64,
    /// How often one was asked for.
    n_uses: u64,
}

/// Where a trace is kept.
struct Place {
    slot: Arc<Slot>,
    n_bytes: u64,
    last_use: u64,
}

/// A trace of a version, once somebody loaded it; who wants it meanwhile waits.
struct Slot {
    version: TraceVersion,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

impl Default for TraceCache {
    fn default() -> Self {
        Self::new(BYTES_MAX)
    }
}

impl TraceCache {
    /// An empty cache of so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            kept: Mutex::default(),
        }
    }

    /// A trace that was of this version when it was asked for: as it was kept, or as `load` gives it.
    /// Who asks for what is just being loaded waits for it.
    ///
    /// # Errors
    /// As `load`.
    pub(crate) fn get(
        &self,
        trace_id: TraceId,
        version: TraceVersion,
        load: impl FnOnce() -> Result<Loaded, UiError>,
    ) -> Result<Arc<Loaded>, UiError> {
        let slot = {
            let mut kept = self.kept.lock();
            let slot = kept.slot(trace_id, version);
            // Those that could not be loaded left places behind.
            kept.shrink(self.bytes_max);
            slot
        };
        let mut place = slot.loaded.lock();
        if let Some(loaded) = &*place {
            return Ok(Arc::clone(loaded));
        }
        let loaded = Arc::new(load()?);
        *place = Some(Arc::clone(&loaded));
        drop(place);
        let n_bytes = loaded.n_bytes();
        let mut kept = self.kept.lock();
        if n_bytes > self.bytes_max {
            // Those who wait for it get it nevertheless.
            kept.forget(trace_id, |place| Arc::ptr_eq(&place.slot, &slot));
        } else {
            kept.fill(trace_id, &slot, n_bytes);
            kept.shrink(self.bytes_max);
        }
        Ok(loaded)
    }

    /// Lets a trace go that is not stored any more.
    pub(crate) fn forget(&self, trace_id: TraceId) {
        self.kept.lock().forget(trace_id, |_| true);
    }
}

impl Kept {
    /// A trace's slot: the one there is, if it is of this version.
    fn slot(&mut self, trace_id: TraceId, version: TraceVersion) -> Arc<Slot> {
        self.n_uses += 1;
        self.forget(trace_id, |place| place.slot.version != version);
        let place = self.places.entry(trace_id).or_insert_with(|| Place {
            slot: Arc::new(Slot {
                version,
                loaded: Mutex::default(),
            }),
            n_bytes: 0,
            last_use: 0,
        });
        place.last_use = self.n_uses;
        Arc::clone(&place.slot)
    }

    /// Counts what is in a slot, if it still is the trace's.
    fn fill(&mut self, trace_id: TraceId, slot: &Arc<Slot>, n_bytes: u64) {
        if let Some(place) = self.places.get_mut(&trace_id)
            && Arc::ptr_eq(&place.slot, slot)
        {
            place.n_bytes = n_bytes;
            self.n_bytes += n_bytes;
        }
    }

    /// Lets those go that were asked for least recently, until the rest is within the bounds.
    fn shrink(&mut self, bytes_max: u64) {
        while self.n_bytes > bytes_max || self.places.len() > TRACES_MAX {
            let oldest = self.places.iter().min_by_key(|(_, place)| place.last_use);
            let Some((&trace_id, _)) = oldest else {
                return;
            };
            self.forget(trace_id, |_| true);
        }
    }

    fn forget(&mut self, trace_id: TraceId, is_meant: impl FnOnce(&Place) -> bool) {
        if let Entry::Occupied(entry) = self.places.entry(trace_id)
            && is_meant(entry.get())
        {
            self.n_bytes -= entry.remove().n_bytes;
        }
    }
}

#[cfg(test)]
mod tests;
