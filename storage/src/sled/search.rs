//! Finds requests: one pass over all entries that keeps the best.

use std::collections::BinaryHeap;

use longpole_proto::wire::decode_traces;
use longpole_proto::{Trace, TraceId};
use sled::IVec;

use super::chunks;
use super::cursor::{self, Position};
use super::db::{Db, guarded};
use super::entry::{self, Head, Names};
use crate::{Order, SearchRequest, SearchResult, StorageError};

/// The most requests one search gives.
pub(super) const LIMIT_MAX: usize = 1_000;

/// A request that matches; the greatest is the one that comes last.
struct Candidate {
    position: Position,
    entry: IVec,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.position.cmp(&other.position)
    }
}

/// Searches the entries, which are up to date with the chunks up to `applied`. Says that it is
/// complete when `is_complete` and every entry could be read.
///
/// # Errors
/// When sled fails or the cursor is none of a search in this order.
pub(super) fn search(
    db: &Db,
    request: &SearchRequest,
    applied: u64,
    is_complete: bool,
) -> Result<SearchResult, StorageError> {
    let after = match &request.after {
        None => None,
        Some(text) => {
            Some(
                cursor::decode(text, request.order).ok_or_else(|| StorageError::Cursor {
                    cursor: text.clone(),
                })?,
            )
        }
    };
    let names = Names::new(request.service.as_deref(), request.operation.as_deref());
    let limit = request.limit.clamp(1, LIMIT_MAX);
    let mut page = BinaryHeap::with_capacity(limit + 1);
    let mut matched = 0;
    let mut is_last_page = true;
    let mut is_complete = is_complete;

    let mut entries = db.summaries.iter();
    while let Some((key, entry)) = guarded(|| entries.next().transpose())? {
        let read = TraceId::from_slice(&key).ok().zip(entry::head(&entry).ok());
        let Some((trace_id, (head, behind_head))) = read else {
            is_complete = false;
            continue;
        };
        if !is_in_range(&head, request) {
            continue;
        }
        if let Some(names) = &names {
            match has_names(db, trace_id, behind_head, names, applied) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(StorageError::Damaged { .. } | StorageError::TooLarge { .. }) => {
                    is_complete = false;
                    continue;
                }
                Err(error) => return Err(error),
            }
        }
        matched += 1;
        let position = Position::new(key_of(&head, request.order), trace_id);
        if after.is_some_and(|after| position <= after) {
            continue;
        }
        page.push(Candidate { position, entry });
        if page.len() > limit {
            page.pop();
            is_last_page = false;
        }
    }

    let page = page.into_sorted_vec();
    let last = page.last().map(|candidate| candidate.position);
    Ok(SearchResult {
        requests: page
            .iter()
            .map(|candidate| entry::summary(&candidate.entry))
            .collect::<Result<_, _>>()?,
        matched: Some(matched),
        complete: is_complete,
        next: last
            .filter(|_| !is_last_page)
            .map(|last| cursor::encode(last, request.order)),
    })
}

fn key_of(head: &Head, order: Order) -> u64 {
    match order {
        Order::Slowest => head.duration_nanos,
        Order::Newest => head.start.0,
        Order::Spans => head.n_spans,
        Order::Errors => head.n_errors,
    }
}

fn is_in_range(head: &Head, request: &SearchRequest) -> bool {
    request
        .min_nanos
        .is_none_or(|min| head.duration_nanos >= min)
        && request
            .max_nanos
            .is_none_or(|max| head.duration_nanos <= max)
        && request.from.is_none_or(|from| head.start >= from)
        && request.to.is_none_or(|to| head.start < to)
}

fn has_names(
    db: &Db,
    trace_id: TraceId,
    behind_head: &[u8],
    names: &Names<'_>,
    applied: u64,
) -> Result<bool, StorageError> {
    if let Some(has) = entry::take_labels(behind_head)?.0.has(names) {
        return Ok(has);
    }
    let Some(stored) = chunks::read(&db.chunks, trace_id, applied)? else {
        return Ok(false);
    };
    let trace = decode_traces(trace_id, &stored.otlp)
        .ok()
        .and_then(|parts| Trace::new(trace_id, parts));
    Ok(trace.is_some_and(|trace| names.is_in(&trace)))
}
