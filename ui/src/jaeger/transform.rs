//! `POST /api/transform`: OTLP JSON in, Jaeger's JSON out; Jaeger's UI uploads files with it.

use std::fmt::Display;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use longpole_proto::formats::jaeger;
use longpole_proto::formats::otlp_json::read_export_request;
use longpole_proto::{Trace, wire};

use tokio::sync::Semaphore;

use super::params::Params;
use super::{
    ANSWER_BYTES_MAX, Envelope, LIMIT_MAX, Problem, answer, errors, large_answer, pretty, to_json,
};
use crate::error::UiError;
use crate::extract::Pairs;
use crate::site::Site;

/// How large what is sent may be.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Of why a body cannot be used, how many characters are said.
const REASON_CHARS_MAX: usize = 300;

/// Bodies are read two at a time, apart from what is made of them: who sends slowly holds up no search.
static UPLOADS: Semaphore = Semaphore::const_new(2);

/// Every trace of what was sent. Nothing is stored.
pub(super) async fn transform(
    State(site): State<Site>,
    pairs: Pairs,
    body: Body,
) -> Result<Response, UiError> {
    let params = Params::read(pairs, &["prettyPrint"])?;
    let upload = UPLOADS
        .acquire()
        .await
        .map_err(|error| UiError::Page(Box::new(error)))?;
    let body = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| UiError::TooLarge {
            what: "the body",
            bytes_max: BODY_BYTES_MAX,
        })?;
    let turn = large_answer().await?;
    let document = site.read(move |_| {
        let _turns = (upload, turn);
        transformed(&body)
    });
    let document = document.await?;
    Ok(answer(pretty(&params, document), []))
}

/// That the body cannot be used; the reason may quote all of it.
fn unusable(error: impl Display) -> UiError {
    let reason = error.to_string();
    UiError::Body(reason.chars().take(REASON_CHARS_MAX).collect())
}

fn transformed(body: &[u8]) -> Result<String, UiError> {
    let request = read_export_request(body).map_err(unusable)?;
    let refused = request.rejections().message();
    let refused = Some(refused.as_str()).filter(|refused| !refused.is_empty());
    let problems: Vec<Problem> = refused.map(Problem::from).into_iter().collect();
    let by_trace = request.by_trace();
    if by_trace.n_traces() > LIMIT_MAX {
        return Err(UiError::Body(format!(
            "it has spans of {} traces, over the limit of {LIMIT_MAX}",
            by_trace.n_traces()
        )));
    }
    let mut traces = Vec::new();
    let mut n_bytes = 0;
    for (trace_id, message) in by_trace.messages() {
        let parts = wire::decode_traces(trace_id, &message).map_err(unusable)?;
        let Some(trace) = Trace::new(trace_id, parts) else {
            continue;
        };
        let text = jaeger::write_bare_trace(&trace);
        n_bytes += text.len();
        if n_bytes > ANSWER_BYTES_MAX {
            return Err(UiError::TooLarge {
                what: "what it becomes in Jaeger's JSON",
                bytes_max: ANSWER_BYTES_MAX,
            });
        }
        let raw = serde_json::value::RawValue::from_string(text);
        traces.push(raw.map_err(|error| UiError::Page(Box::new(error)))?);
    }
    to_json(&Envelope {
        total: traces.len(),
        data: traces,
        limit: 0,
        offset: 0,
        errors: errors(&problems),
    })
}
