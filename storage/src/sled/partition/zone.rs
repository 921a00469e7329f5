//! Zones: what of a block is always in memory, so that reads and searches know which to look into.

use std::ops::Range;

use longpole_proto::{TraceId, UnixNanos};
use serde::{Deserialize, Serialize};

use crate::sled::entry::{self, Made};

/// How many services a zone knows; of blocks with more it knows nothing.
const SERVICES_MAX: usize = 64;

/// What one block holds, by its extremes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sled) struct Zone {
    /// Everything of its traces that the log had up to here is in this block or an earlier one.
    pub(in crate::sled) seq: u64,
    /// No span in it came with a smaller sequence.
    pub(in crate::sled) seq_min: u64,
    /// How many spans, duplicates included.
    pub(in crate::sled) n_spans: u64,
    /// How many traces.
    pub(in crate::sled) n_traces: u64,
    /// When its newest span was received.
    pub(in crate::sled) received_max: UnixNanos,
    /// The least of its summaries' numbers.
    pub(in crate::sled) least: Numbers,
    /// The greatest.
    pub(in crate::sled) greatest: Numbers,
    /// Traces that had fragments before, by ID.
    pub(in crate::sled) late: Vec<LateRow>,
    /// Whether a summary is missing, so that the numbers say too little.
    pub(in crate::sled) is_open: bool,
    /// The minutes of which its digest has anything, the first and one behind the last.
    pub(in crate::sled) minutes: Range<u32>,
    /// What its summaries say of each service, by name; `None` when that is not known.
    pub(in crate::sled) services: Option<Vec<ServiceRow>>,
}

/// What summaries are ordered and filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sled) struct Numbers {
    pub(in crate::sled) duration_nanos: u64,
    pub(in crate::sled) start: u64,
    pub(in crate::sled) n_spans: u64,
    pub(in crate::sled) n_errors: u64,
}

/// The traces that have spans of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sled) struct ServiceRow {
    /// As entries keep it.
    pub(in crate::sled) name: Box<str>,
    /// How many.
    pub(in crate::sled) n_traces: u64,
    /// The longest of them.
    pub(in crate::sled) duration_nanos_max: u64,
}

/// A trace of which an earlier block has spans as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sled) struct LateRow {
    pub(in crate::sled) trace_id: [u8; 16],
    /// The partition with its first fragment.
    pub(in crate::sled) first_partition: u32,
    /// This block has the trace's spans behind this sequence.
    pub(in crate::sled) after: u64,
    /// Whether the block's digest counts the trace anew, and corrects what counted before.
    pub(in crate::sled) is_counted: bool,
    /// Partition and block of the fragment that was the newest before.
    pub(in crate::sled) before: (u32, u32),
}

impl Zone {
    /// A zone of nothing.
    pub(in crate::sled) fn new(seq: u64) -> Self {
        let all = |number| Numbers {
            duration_nanos: number,
            start: number,
            n_spans: number,
            n_errors: number,
        };
        Self {
            seq,
            seq_min: u64::MAX,
            n_spans: 0,
            n_traces: 0,
            received_max: UnixNanos(0),
            least: all(u64::MAX),
            greatest: all(0),
            late: Vec::new(),
            is_open: false,
            minutes: 0..0,
            services: Some(Vec::new()),
        }
    }

    /// Takes in what a summary says.
    pub(in crate::sled) fn add(&mut self, made: &Made) {
        self.add_services(made);
        let head = &made.head;
        let numbers = [
            head.duration_nanos,
            head.start.0,
            head.n_spans,
            head.n_errors,
        ];
        for (to, is_least) in [(&mut self.least, true), (&mut self.greatest, false)] {
            let slots = [
                &mut to.duration_nanos,
                &mut to.start,
                &mut to.n_spans,
                &mut to.n_errors,
            ];
            for (slot, number) in slots.into_iter().zip(numbers) {
                *slot = if is_least {
                    number.min(*slot)
                } else {
                    number.max(*slot)
                };
            }
        }
    }

    /// Says of the row added last whether its trace was counted anew.
    pub(in crate::sled) fn set_counted(&mut self, is_counted: bool) {
        if let Some(row) = self.late.last_mut() {
            row.is_counted = is_counted;
        }
    }

    /// Whether the trace of the row added last was counted anew.
    pub(in crate::sled) fn is_counted(&self) -> bool {
        self.late.last().is_some_and(|row| row.is_counted)
    }

    fn add_services(&mut self, made: &Made) {
        let (Some(rows), Some(services)) = (&mut self.services, &made.services) else {
            self.services = None;
            return;
        };
        let duration_nanos = made.head.duration_nanos;
        for service in services {
            match rows.binary_search_by(|row| (*row.name).cmp(service)) {
                Ok(at) => {
                    let row = &mut rows[at];
                    row.n_traces += 1;
                    row.duration_nanos_max = row.duration_nanos_max.max(duration_nanos);
                }
                Err(at) => rows.insert(
                    at,
                    ServiceRow {
                        name: service.as_str().into(),
                        n_traces: 1,
                        duration_nanos_max: duration_nanos,
                    },
                ),
            }
        }
        if rows.len() > SERVICES_MAX {
            self.services = None;
        }
    }

    /// How many of the traces have spans of a service, and how long the longest of them took; `None`
    /// when that is not known. `at` is where it may be, and then where it was: blocks resemble each
    /// other, and of thousands of zones each name that is looked at is a cache miss.
    pub(in crate::sled) fn service(&self, name: &str, at: &mut usize) -> Option<(u64, u64)> {
        let rows = self.services.as_ref().filter(|_| !self.is_open)?;
        let name = entry::cut(name);
        let is_there = rows.get(*at).is_some_and(|row| *row.name == *name);
        if !is_there {
            match rows.binary_search_by(|row| (*row.name).cmp(name)) {
                Ok(found) => *at = found,
                Err(_) => return Some((0, 0)),
            }
        }
        Some((rows[*at].n_traces, rows[*at].duration_nanos_max))
    }

    /// Whether some trace has spans that only another partition has.
    pub(in crate::sled) fn reaches_out_of(&self, partition: u32) -> bool {
        self.late.iter().any(|row| row.first_partition != partition)
    }

    /// The row of a trace that had fragments before.
    pub(in crate::sled) fn late(&self, trace_id: TraceId) -> Option<&LateRow> {
        self.late
            .binary_search_by_key(trace_id.as_bytes(), |row| row.trace_id)
            .ok()
            .map(|at| &self.late[at])
    }
}
