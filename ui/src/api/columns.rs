//! `/api/v1/traces/{id}/columns`: every span of a trace as arrays a browser reads in place, for the
//! list of all spans; and what URLs call the spans of some rows. `docs/columns.md` has the bytes.

mod encode;
#[cfg(test)]
mod tests;

use std::io::Write as _;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::answer;
use crate::assets::{fnv1a, is_known};
use crate::error::{BadParameter, UiError};
use crate::extract::{Pairs, TraceIdPath};
use crate::pages::trace::filter::matching;
use crate::site::Site;
use crate::trace_view::{SpanRef, SpanRefs};

/// How many spans a trace may have to be given so: at 24 px a row, browsers still scroll a list of them.
const SPANS_MAX: usize = 250_000;
/// How hard columns are compressed: in a third of the usual time to about a tenth more.
const ZIP_LEVEL: u32 = 3;
/// How many rows are named at once.
const NAMES: usize = 512;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    /// Of the columns in which the rows have these places.
    version: String,
    /// The first row named.
    from: usize,
    /// What URLs call it and those behind it.
    spans: Vec<String>,
}

/// The columns of a trace, with the spans marked that have the words of `q`.
pub(crate) async fn columns(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
    pairs: Pairs,
    headers: HeaderMap,
) -> Result<Response, UiError> {
    let pairs = pairs.only(&["q"])?;
    let words = pairs.last().map_or("", |(_, value)| value.trim());
    let words = words.to_owned();
    let is_zipped = takes_gzip(&headers);
    let answer = site.read(move |site| {
        let loaded = site.trace(trace_id)?;
        check(loaded.trace.len())?;
        let matching = matching(&loaded, &words).map_err(|bad| UiError::Parameters(vec![bad]))?;
        let bytes = encode::encode(&loaded, &words, &matching)
            .map_err(|error| UiError::Page(Box::new(error)))?;
        let tag = format!("\"{:016x}\"", fnv1a(&bytes));
        if is_known(&headers, &tag) {
            return Ok((tag, None));
        }
        let body = if is_zipped {
            zipped(&bytes).map_err(|error| UiError::Page(Box::new(error)))?
        } else {
            bytes
        };
        Ok((tag, Some(body)))
    });
    let (tag, body) = answer.await?;
    let is_known = body.is_none();
    let mut response = Response::new(body.map_or_else(Body::empty, Body::from));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    if is_zipped && !is_known {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Weak: it is the same compressed and not.
    headers.insert(
        header::ETAG,
        HeaderValue::from_str(&format!("W/{tag}")).expect("hex digits in quotes are ASCII"),
    );
    Ok(response)
}

/// Whether who asks takes gzip.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = codings
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=");
        let weight = weight.and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// The bytes compressed: here and not with all other answers, as that takes long for so many and is
/// not for a thread that serves others, too.
fn zipped(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let room = Vec::with_capacity(bytes.len() / 2);
    let mut zip = GzEncoder::new(room, Compression::new(ZIP_LEVEL));
    zip.write_all(bytes)?;
    zip.finish()
}

/// What URLs call the spans of the rows around one, which `row` or `span` names.
pub(crate) async fn spans(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
    Pairs(pairs): Pairs,
) -> Result<Response, UiError> {
    let asked = Asked::read(&pairs)?;
    site.read(move |site| {
        let loaded = site.trace(trace_id)?;
        let trace = &loaded.trace;
        let refs = SpanRefs::of(trace);
        let row = match asked {
            Asked::Row(row) => row,
            Asked::Span(span) => refs.find(span).ok_or(UiError::NoSpan { trace_id, span })?,
        };
        let from = (row - row % NAMES).min(trace.len());
        let rows = from..trace.len().min(from.saturating_add(NAMES));
        answer(&Names {
            version: encode::version(trace),
            from,
            spans: rows.map(|row| refs.name(row).to_string()).collect(),
        })
    })
    .await
}

/// Whose names are asked for.
enum Asked {
    Row(usize),
    Span(SpanRef),
}

impl Asked {
    fn read(pairs: &[(String, String)]) -> Result<Self, UiError> {
        let mut asked = Self::Row(0);
        for (name, value) in pairs {
            asked = match name.as_str() {
                "row" => Self::Row(value.parse().map_err(|_| {
                    let expected = "a row's number, from 0";
                    UiError::Parameters(vec![BadParameter::new(name, value, expected)])
                })?),
                "span" => Self::Span(value.parse().map_err(|_| UiError::span(value))?),
                _ => return Err(UiError::unknown_parameter(name, &["row", "span"])),
            };
        }
        Ok(asked)
    }
}

/// Refuses more spans than are given at once.
pub(crate) fn check(n_spans: usize) -> Result<(), UiError> {
    if n_spans > SPANS_MAX {
        return Err(UiError::TooManySpans {
            n_spans,
            spans_max: SPANS_MAX,
        });
    }
    Ok(())
}
