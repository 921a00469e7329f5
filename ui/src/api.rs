//! The pages as JSON. Names are lowerCamelCase, ids hex, points in time
//! strings of nanoseconds, durations numbers of nanoseconds.

pub(crate) mod analysis;
pub(crate) mod columns;
pub(crate) mod keep;
pub(crate) mod names;
pub(crate) mod openapi;
pub(crate) mod overview;
pub(crate) mod search;
pub(crate) mod shared;
pub(crate) mod status;
pub(crate) mod suggest;
#[cfg(test)]
mod tests;
pub(crate) mod trace;

use axum::response::Response;
use serde::Serialize;

use crate::error::UiError;
use crate::site;

/// A document of our own as an answer.
fn answer(document: &impl Serialize) -> Result<Response, UiError> {
    let text = serde_json::to_string(document).map_err(|error| UiError::Page(Box::new(error)))?;
    Ok(site::json(text))
}
