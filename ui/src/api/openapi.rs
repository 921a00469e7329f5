//! `/api/openapi.json`: every API here, for programs. Written by hand; the tests hold it against the router.

#[cfg(test)]
pub(crate) mod tests;

use axum::response::Response;

use crate::error::UiError;
use crate::extract::Pairs;
use crate::site::json;

/// The document.
const DOCUMENT: &str = include_str!("../../../docs/api/openapi.json");

/// The document, as it is in `docs/api`.
pub(crate) async fn document(pairs: Pairs) -> Result<Response, UiError> {
    pairs.only(&[])?;
    Ok(json(DOCUMENT.to_owned()))
}
