//! `POST /api/archive/{id}`: keeps a trace whatever its age, which is what Jaeger's archive is for. Here that is
//! [pinning](crate::api::keep) it.

use axum::extract::State;
use axum::response::Response;

use super::id::JaegerIdPath;
use super::params::Params;
use super::{Envelope, answer, to_json};
use crate::api::keep::Change;
use crate::error::UiError;
use crate::extract::Pairs;
use crate::site::Site;

/// Pins a trace: `{"data":[],…,"errors":[]}`.
pub(super) async fn archive(
    State(site): State<Site>,
    JaegerIdPath(trace_id): JaegerIdPath,
    pairs: Pairs,
) -> Result<Response, UiError> {
    Params::read(pairs, &["prettyPrint"])?;
    site.read(move |site| Change::Pin.apply(site, trace_id))
        .await?;
    let nothing: [(); 0] = [];
    let document = to_json(&Envelope {
        data: nothing,
        total: 0,
        limit: 0,
        offset: 0,
        errors: Some(&[]),
    })?;
    Ok(answer(document, []))
}
