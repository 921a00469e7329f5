//! What a search found and what it did not see, in words. Nothing is said to have been looked at that
//! was not: what must be rounded is rounded away from it.

use longpole_analysis::format::duration;
use longpole_proto::UnixNanos;
use longpole_storage::{Matched, Order, SearchLimit, SearchRequest, SearchResult, Stopped, Unseen};

use crate::format::{Count, bytes, duration_up, utc};

/// How many requests are shown, and of how many.
pub(crate) fn heading(request: &SearchRequest, result: &SearchResult) -> String {
    let shown = Count::from(result.requests.len());
    let of = |matched: u64| Some(Count(matched)).filter(|matched| *matched > shown);
    if shown.is_zero() {
        let text = match (request.after.is_some(), result.complete) {
            (true, true) => "No more requests",
            (false, true) => "No request matches",
            (_, false) => "No request was found in what was looked at",
        };
        return text.to_owned();
    }
    match result.matched {
        Matched::Exactly(matched) if let Some(matched) = of(matched) => {
            format!("{shown} of {matched} requests")
        }
        Matched::AtLeast(matched) if let Some(matched) = of(matched) => {
            format!("{shown} of at least {matched} requests")
        }
        _ => format!("{shown} request{}", shown.s()),
    }
}

/// What was not seen and what was, a sentence each; none when all was.
pub(crate) fn unseen(request: &SearchRequest, result: &SearchResult) -> Vec<String> {
    let Unseen {
        stopped,
        n_unreadable,
        n_set_aside,
    } = result.unseen;
    let mut said = Vec::new();
    if let Some(Stopped { limit, seen_beyond }) = stopped {
        let after = match limit {
            SearchLimit::Time(time) => duration(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            SearchLimit::Bytes(n_bytes) => format!("{} of spans", bytes(n_bytes)),
        };
        said.push(format!("stopped after {after}"));
        if result.complete {
            said.push("these are the first, only their number is not known".to_owned());
        } else if let Some(key) = seen_beyond {
            said.push(seen(request, key));
        } else {
            said.push("what was looked at is in no order".to_owned());
        }
    }
    if n_unreadable > 0 {
        let n_unreadable = Count(n_unreadable);
        let s = n_unreadable.s();
        said.push(format!("{n_unreadable} stored piece{s} could not be read"));
    }
    if n_set_aside > 0 {
        let n_set_aside = Count(n_set_aside);
        let s = n_set_aside.s();
        said.push(format!(
            "{n_set_aside} damaged partition{s} set aside, not looked at"
        ));
    }
    said
}

/// That all beyond a key was looked at.
fn seen(request: &SearchRequest, key: u64) -> String {
    let what = match request.order {
        Order::Slowest => format!("that took more than {}", duration_up(key)),
        Order::Newest => {
            const MS: u64 = 1_000_000;
            let time = UnixNanos(key.div_ceil(MS).saturating_mul(MS));
            format!("that began after {} UTC", utc(time))
        }
        Order::Spans => format!("with more than {} span{}", Count(key), Count(key).s()),
        Order::Errors => format!("with more than {} error{}", Count(key), Count(key).s()),
    };
    let but = match request.after {
        None => "",
        Some(_) => ", save what is on earlier pages",
    };
    format!("everything {what} was looked at{but}")
}

#[cfg(test)]
mod tests;
