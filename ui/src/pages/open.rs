//! Where the box above every page leads: to the trace whose ID is in it, or that has it as a request's ID;
//! else to a search.

use std::ops::RangeInclusive;

use axum::extract::State;
use axum::response::Redirect;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use longpole_analysis::query::{Field, Op, Query, Scope};
use longpole_proto::TraceId;
use longpole_storage::{Cancel, SearchRequest};

use crate::error::UiError;
use crate::extract::Pairs;
use crate::search_form::SearchForm;
use crate::site::Site;

/// Where the digits of a UUID are cut by dashes.
const UUID_PARTS: [usize; 5] = [8, 4, 4, 4, 12];

/// What attributes are called that have the ID of a request.
const REQUEST_ID_KEYS: [&str; 16] = [
    "request.id",
    "request_id",
    "requestId",
    "x-request-id",
    "http.request.id",
    "http.request_id",
    "http.request.header.x-request-id",
    "http.request.header.x-correlation-id",
    "http.response.header.x-request-id",
    "correlation.id",
    "correlation_id",
    "correlationId",
    "x-correlation-id",
    "transaction.id",
    "aws.request_id",
    "faas.invocation_id",
];

/// How long a request's ID is.
const REQUEST_ID_BYTES: RangeInclusive<usize> = 8..=128;

/// Leads from what names a trace to its page, from anything else to a search for it.
pub(crate) async fn redirect(State(site): State<Site>, pairs: Pairs) -> Result<Redirect, UiError> {
    let pairs = pairs.only(&["id"])?;
    let text = pairs
        .last()
        .map_or("", |(_, value)| value.trim())
        .to_owned();
    site.read_while_wanted(move |site, cancel| {
        let named = named(site, &text, cancel)?.or_else(|| trace_id_in(&text));
        let urls = site.urls();
        Ok(Redirect::to(&match named {
            Some(trace_id) => urls.trace(trace_id),
            None => urls.search_for(&SearchForm {
                q: text,
                ..SearchForm::default()
            }),
        }))
    })
    .await
}

/// The trace that a text names and nothing else: by its own ID, or by one that an attribute of a single
/// request has. Blocks.
///
/// # Errors
/// When the store cannot answer.
pub(crate) fn named(site: &Site, text: &str, cancel: Cancel) -> Result<Option<TraceId>, UiError> {
    let store = &site.state.store;
    let trace_id = trace_id(text);
    if let Some(trace_id) = trace_id
        && store.trace_version(trace_id)?.is_some()
    {
        return Ok(Some(trace_id));
    }
    if !may_be_request_id(text) {
        return Ok(trace_id);
    }
    let of_key = |key| Query::compare(Field::attribute(Scope::Any, key), Op::Eq, text);
    let found = store.search(&SearchRequest {
        query: Query::any_of(REQUEST_ID_KEYS.map(of_key)),
        limit: 2,
        cancel,
        ..SearchRequest::default()
    })?;
    Ok(match &found.requests[..] {
        [only] => Some(only.trace_id),
        _ => trace_id,
    })
}

/// Whether a text is as IDs are: one word, not all letters.
fn may_be_request_id(text: &str) -> bool {
    REQUEST_ID_BYTES.contains(&text.len())
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(&byte))
}

/// The trace that a text names and nothing else: by 16 or 32 hex digits in any case, those of a UUID, a W3C
/// `traceparent` (`00-<trace ID>-<span ID>-<flags>`), or the ID's bytes in base64.
pub(crate) fn trace_id(text: &str) -> Option<TraceId> {
    let parts: Vec<&str> = text.split('-').collect();
    let lens: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    if lens == UUID_PARTS {
        return parts.concat().parse().ok();
    }
    if let [2, 32, 16, 2, ..] = lens[..] {
        return parts[1].parse().ok();
    }
    if let Ok(trace_id) = text.parse() {
        return Some(trace_id);
    }
    // 16 bytes always end so.
    let encoded = Some(text).filter(|text| text.len() == 24 && text.ends_with("=="))?;
    let bytes = STANDARD
        .decode(encoded)
        .or_else(|_| URL_SAFE.decode(encoded));
    TraceId::from_slice(&bytes.ok()?).ok()
}

/// The first trace ID of 32 digits in a text, such as a line of a log.
fn trace_id_in(text: &str) -> Option<TraceId> {
    let is_inside = |ch: char| ch.is_ascii_hexdigit() || ch == '-';
    text.split(|ch| !is_inside(ch)).find_map(|run| {
        let whole = run.trim_matches('-');
        let of_parts = || run.split('-').find_map(of_32_digits);
        of_32_digits(whole)
            .or_else(|| trace_id(whole).filter(|_| whole.len() > 32))
            .or_else(of_parts)
    })
}

fn of_32_digits(text: &str) -> Option<TraceId> {
    text.parse().ok().filter(|_| text.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "b7ad6b7169203331a1b2c3d4e5f60709";

    fn found(text: &str) -> Option<String> {
        let found = trace_id(text).or_else(|| trace_id_in(text));
        found.map(|id| id.to_string())
    }

    #[test]
    fn whatever_names_a_trace_leads_to_it() {
        for text in [
            ID,
            "B7AD6B7169203331A1B2C3D4E5F60709",
            "b7ad6b71-6920-3331-a1b2-c3d4e5f60709",
            "00-b7ad6b7169203331a1b2c3d4e5f60709-00f067aa0ba902b7-01",
            "cc-b7ad6b7169203331a1b2c3d4e5f60709-00f067aa0ba902b7-01-more",
            "t61rcWkgMzGhssPU5fYHCQ==",
            "2026-11-22T10:00:00Z ERROR checkout trace_id=b7ad6b7169203331a1b2c3d4e5f60709 span_id=00f067aa0ba902b7 failed",
            r#"{"level":"error","traceId":"b7ad6b7169203331a1b2c3d4e5f60709"}"#,
            "traceparent: 00-b7ad6b7169203331a1b2c3d4e5f60709-00f067aa0ba902b7-01",
            "id b7ad6b71-6920-3331-a1b2-c3d4e5f60709, failed",
        ] {
            assert_eq!(found(text).as_deref(), Some(ID), "{text}");
        }
        assert_eq!(
            found("00f067aa0ba902b7").as_deref(),
            Some("000000000000000000f067aa0ba902b7")
        );
    }

    #[test]
    fn anything_else_is_searched_for() {
        for text in [
            "",
            "checkout",
            "service = checkout and duration > 300ms",
            "00-xyz-00f067aa0ba902b7-01",
            "00000000000000000000000000000000",
            "request 00f067aa0ba902b7 failed",
            "sha b7ad6b7169203331a1b2c3d4e5f607090011223344556677",
            "bm90IGFuIGlk",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
