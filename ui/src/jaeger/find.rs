//! Runs searches and reads what they found.

use longpole_analysis::TraceSummary;
use longpole_proto::{Trace, TraceId};
use longpole_storage::{Cancel, StorageError};

use super::ANSWER_BYTES_MAX;
use super::query::TraceQuery;
use crate::error::UiError;
use crate::search_report;
use crate::site::{Site, decoded};

/// What a search found.
pub(super) struct Found {
    /// Newest first.
    pub(super) requests: Vec<TraceSummary>,
    /// What it did not see, a sentence each.
    pub(super) missing: Vec<String>,
}

/// Searches, as many pages as it takes. Blocks.
pub(super) fn find(site: &Site, query: &TraceQuery, cancel: &Cancel) -> Result<Found, UiError> {
    let mut found = Found {
        requests: Vec::new(),
        missing: Vec::new(),
    };
    let mut request = query.request(cancel.clone());
    loop {
        let mut result = site.state.store.search(&request)?;
        for sentence in search_report::unseen(&request, &result) {
            if !found.missing.contains(&sentence) {
                found.missing.push(sentence);
            }
        }
        let is_empty = result.requests.is_empty();
        found.requests.append(&mut result.requests);
        let wanted = query.limit.saturating_sub(found.requests.len());
        match result.next {
            Some(next) if wanted > 0 && !is_empty => {
                request.after = Some(next);
                request.limit = wanted;
            }
            _ => return Ok(found),
        }
    }
}

/// Many whole traces as text, with what is said of those that are not there.
#[derive(Default)]
pub(super) struct Written {
    /// As many as there are, with commas between.
    pub(super) text: String,
    /// How many.
    pub(super) n_traces: usize,
    /// Those asked for that are not stored.
    pub(super) unknown: Vec<TraceId>,
    /// What else is not there, a sentence each.
    pub(super) missing: Vec<String>,
}

/// Searches, and writes what is found; that some of it went since is no fault of who asks. Blocks.
pub(super) fn write_found(
    site: &Site,
    query: &TraceQuery,
    cancel: &Cancel,
    write: impl FnMut(&Trace) -> String,
) -> Result<Written, UiError> {
    let found = find(site, query, cancel)?;
    let trace_ids: Vec<_> = found.requests.iter().map(|of| of.trace_id).collect();
    let mut written = write_traces(site, &trace_ids, cancel, write)?;
    // They were not asked for by name.
    written.unknown.clear();
    written.missing.splice(0..0, found.missing);
    Ok(written)
}

/// Reads traces one at a time and writes each, until the answer is as large as it may be. Blocks.
pub(super) fn write_traces(
    site: &Site,
    trace_ids: &[TraceId],
    cancel: &Cancel,
    mut write: impl FnMut(&Trace) -> String,
) -> Result<Written, UiError> {
    let mut written = Written::default();
    for (at, &trace_id) in trace_ids.iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(StorageError::Cancelled.into());
        }
        if written.text.len() >= ANSWER_BYTES_MAX {
            let n_left = trace_ids.len() - at;
            written.missing.push(format!(
                "{n_left} more of the traces left out: the answer has {} MiB already, which is the most; ask for fewer",
                ANSWER_BYTES_MAX >> 20
            ));
            break;
        }
        let trace = match read(site, trace_id) {
            Ok(Some(trace)) => trace,
            Ok(None) => {
                written.unknown.push(trace_id);
                continue;
            }
            // The others can be read.
            Err(UiError::Damaged { .. }) => {
                written
                    .missing
                    .push(format!("trace {trace_id} is stored but cannot be read"));
                continue;
            }
            Err(error) => return Err(error),
        };
        let text = write(&trace);
        if !(written.text.is_empty() || text.is_empty()) {
            written.text.push(',');
        }
        written.text.push_str(&text);
        written.n_traces += 1;
    }
    Ok(written)
}

/// A trace, past the cache: who lists many does not open them.
fn read(site: &Site, trace_id: TraceId) -> Result<Option<Trace>, UiError> {
    match site.state.store.trace(trace_id)? {
        Some(stored) => decoded(&stored),
        None => Ok(None),
    }
}
