//! What requests carry, taken out so that what is wrong gets an answer that helps.

use axum::extract::{FromRequestParts, Query, RawPathParams};
use http::Uri;
use http::request::Parts;
use longpole_proto::TraceId;

use crate::error::UiError;
use crate::trace_view::SpanRef;

/// The text of a route's parameter; empty when it is not UTF-8, which no parameter here is.
pub(crate) async fn path_text<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> String {
    let params = RawPathParams::from_request_parts(parts, state).await;
    params
        .ok()
        .and_then(|params| {
            params
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, text)| text.to_owned())
        })
        .unwrap_or_default()
}

/// The route's `{trace_id}`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceIdPath(pub(crate) TraceId);

impl<S: Send + Sync> FromRequestParts<S> for TraceIdPath {
    type Rejection = UiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, UiError> {
        let text = path_text(parts, state, "trace_id").await;
        text.parse()
            .map(Self)
            .map_err(|error| UiError::trace_id(&text, error))
    }
}

/// The route's `{span}`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpanPath(pub(crate) SpanRef);

impl<S: Send + Sync> FromRequestParts<S> for SpanPath {
    type Rejection = UiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, UiError> {
        let text = path_text(parts, state, "span").await;
        text.parse().map(Self).map_err(|_| UiError::span(&text))
    }
}

/// The route's `{name}` of an attribute.
#[derive(Debug, Clone)]
pub(crate) struct AttributePath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for AttributePath {
    type Rejection = UiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, UiError> {
        Ok(Self(path_text(parts, state, "name").await))
    }
}

/// The route's `{version}` and `{name}` of an embedded file.
#[derive(Debug, Clone)]
pub(crate) struct AssetPath {
    pub(crate) version: String,
    pub(crate) name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for AssetPath {
    type Rejection = UiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, UiError> {
        Ok(Self {
            version: path_text(parts, state, "version").await,
            name: path_text(parts, state, "name").await,
        })
    }
}

/// The parameters behind the `?`, in order, repeated ones included.
#[derive(Debug, Clone)]
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl Pairs {
    /// Refuses the first parameter that is none of the `known`.
    pub(crate) fn only(self, known: &[&str]) -> Result<Vec<(String, String)>, UiError> {
        match self.0.iter().find(|(name, _)| !known.contains(&&**name)) {
            Some((name, _)) => Err(UiError::unknown_parameter(name, known)),
            None => Ok(self.0),
        }
    }
}

impl Pairs {
    /// Those of a request that was taken apart.
    pub(crate) async fn of(parts: &mut Parts) -> Result<Self, UiError> {
        Self::from_request_parts(parts, &()).await
    }
}

/// What a form that was filled in says; `None` when it is none.
pub(crate) fn form_pairs(body: &[u8]) -> Option<Vec<(String, String)>> {
    // A form's body is written as a query is.
    let uri = Uri::builder()
        .path_and_query([b"/?", body].concat())
        .build()
        .ok()?;
    Query::try_from_uri(&uri).ok().map(|Query(pairs)| pairs)
}

impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = UiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, UiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(error) => Err(UiError::Page(Box::new(error))),
        }
    }
}
