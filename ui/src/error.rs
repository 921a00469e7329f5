//! What can go wrong with a request, and how each shape of answer says it.
//!
//! A handler gives a [`UiError`]; as a response that is a bare status which carries the error along,
//! and [`render`](crate::pages::message::render) gives it the shape its path asks for.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use longpole_analysis::format::count;
use longpole_analysis::query::{ParseError, QueryError};
use longpole_proto::wire::WireError;
use longpole_proto::{IdError, TraceId};
use longpole_storage::StorageError;
use serde_json::{Value, json};

use crate::access::Denied;
use crate::trace_view::SpanRef;

/// Of a value that means nothing, how many characters are said back.
const VALUE_CHARS_MAX: usize = 80;

/// A parameter that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadParameter {
    /// Its name.
    pub(crate) name: String,
    /// What was given, cut when long; empty when the name alone is wrong.
    pub(crate) value: String,
    /// What is wrong with it and what would mean something, behind name and value.
    pub(crate) problem: String,
}

impl BadParameter {
    pub(crate) fn new(name: &str, value: &str, expected: impl Display) -> Self {
        Self::with_problem(
            name,
            value,
            format!("is not understood: expected {expected}"),
        )
    }

    pub(crate) fn unknown(name: &str, known: &[&str]) -> Self {
        let expected = match known {
            [] => "none".to_owned(),
            known => format!("one of the parameters {}", known.join(", ")),
        };
        let problem = format!("is not a parameter here: expected {expected}");
        Self::with_problem(name, "", problem)
    }

    pub(crate) fn query(name: &str, text: &str, error: &ParseError) -> Self {
        Self::with_problem(name, text, format!("is wrong {error}"))
    }

    fn with_problem(name: &str, value: &str, problem: String) -> Self {
        Self {
            name: cut(name),
            value: cut(value),
            problem,
        }
    }
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(VALUE_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UiError {
    #[error("there is nothing at {path}")]
    NoPage { path: String },
    #[error("{path} does not take {method}")]
    Method { method: String, path: String },
    #[error("trace {trace_id} is not stored")]
    NoTrace {
        trace_id: TraceId,
        /// Why that may be, likeliest first.
        reasons: Vec<String>,
    },
    /// With what the search did not see.
    #[error("No traces found{}", .0.iter().fold(String::new(), |text, missing| format!("{text}; {missing}")))]
    NoMatch(Vec<String>),
    /// What is not here, in words.
    #[error("{0}")]
    NotHere(&'static str),
    #[error("{what} is over the limit of {bytes_max} bytes")]
    TooLarge {
        what: &'static str,
        bytes_max: usize,
    },
    #[error("the body cannot be used: {0}")]
    Body(String),
    #[error("trace {trace_id} has no span {span}")]
    NoSpan { trace_id: TraceId, span: SpanRef },
    #[error("{text:?} is not a trace ID")]
    TraceId {
        text: String,
        #[source]
        source: IdError,
    },
    #[error("{text:?} is not a span ID")]
    Span { text: String },
    #[error("{}", said(.0))]
    Parameters(Vec<BadParameter>),
    #[error("the query cannot be used: {}", causes(.0))]
    Query(QueryError),
    #[error("a single span is not given as protobuf")]
    SpanAsProtobuf,
    #[error(
        "{} spans are shown in pages only: one list of all has no more than {}",
        count(*n_spans as u64),
        count(*spans_max as u64)
    )]
    TooManySpans { n_spans: usize, spans_max: usize },
    #[error("{}", match .0 {
        Denied::Missing => "a token is needed here",
        Denied::Wrong => "the token is none of this server's for the pages and query APIs",
    })]
    Denied(Denied),
    #[error("nothing is changed here, because nobody needs a token")]
    NoTokens,
    #[error("{0}")]
    Limit(#[source] StorageError),
    #[error("the request comes from a page of another site")]
    OtherSite,
    #[error("the form cannot be read")]
    Form,
    #[error("the store cannot answer now")]
    Busy(#[source] StorageError),
    #[error("the store cannot be read")]
    Store(#[source] StorageError),
    #[error("trace {trace_id} is stored but cannot be read")]
    Damaged {
        trace_id: TraceId,
        #[source]
        source: WireError,
    },
    #[error("the page could not be made")]
    Page(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn said(parameters: &[BadParameter]) -> String {
    let said = parameters.iter().map(|bad| {
        let BadParameter {
            name,
            value,
            problem,
        } = bad;
        let mark = if value.is_empty() { "" } else { "=" };
        format!("{name}{mark}{value} {problem}")
    });
    said.collect::<Vec<_>>().join("; ")
}

impl UiError {
    pub(crate) fn unknown_parameter(name: &str, known: &[&str]) -> Self {
        Self::Parameters(vec![BadParameter::unknown(name, known)])
    }

    pub(crate) fn trace_id(text: &str, source: IdError) -> Self {
        Self::TraceId {
            text: cut(text),
            source,
        }
    }

    pub(crate) fn span(text: &str) -> Self {
        Self::Span { text: cut(text) }
    }

    pub(crate) fn no_page(path: &str) -> Self {
        Self::NoPage { path: cut(path) }
    }

    pub(crate) fn wrong_method(method: &Method, path: &str) -> Self {
        Self::Method {
            method: cut(method.as_str()),
            path: cut(path),
        }
    }

    /// Why a trace was not deleted or pinned.
    pub(crate) fn of_change(error: StorageError) -> Self {
        match error {
            StorageError::TooMany { .. } | StorageError::TooLarge { .. } => Self::Limit(error),
            error => error.into(),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoPage { .. } | Self::NoTrace { .. } | Self::NoSpan { .. } | Self::NoMatch(_) => {
                StatusCode::NOT_FOUND
            }
            Self::NotHere(_) => StatusCode::NOT_IMPLEMENTED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TraceId { .. }
            | Self::Span { .. }
            | Self::Parameters(_)
            | Self::Query(_)
            | Self::Body(_)
            | Self::Form => StatusCode::BAD_REQUEST,
            Self::SpanAsProtobuf => StatusCode::NOT_ACCEPTABLE,
            Self::TooManySpans { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Denied(_) => StatusCode::UNAUTHORIZED,
            Self::OtherSite | Self::NoTokens => StatusCode::FORBIDDEN,
            Self::Limit(_) => StatusCode::CONFLICT,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Damaged { .. } | Self::Page(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The name of the error in JSON.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoPage { .. } => "not_found",
            Self::Method { .. } => "method_not_allowed",
            Self::NoTrace { .. } => "trace_not_found",
            Self::NoSpan { .. } => "span_not_found",
            Self::NoMatch(_) => "no_match",
            Self::NotHere(_) => "not_implemented",
            Self::TooLarge { .. } => "too_large",
            Self::Body(_) => "invalid_body",
            Self::TraceId { .. } => "invalid_trace_id",
            Self::Span { .. } => "invalid_span_id",
            Self::Parameters(_) => "invalid_parameter",
            Self::Query(_) => "invalid_query",
            Self::SpanAsProtobuf => "not_acceptable",
            Self::TooManySpans { .. } => "too_many_spans",
            Self::Denied(_) => "unauthenticated",
            Self::OtherSite => "other_site",
            Self::NoTokens => "no_tokens",
            Self::Limit(_) => "limit_reached",
            Self::Form => "invalid_form",
            Self::Busy(_) => "unavailable",
            Self::Store(_) | Self::Damaged { .. } | Self::Page(_) => "internal",
        }
    }

    /// Why what was asked for may not be there; mostly nothing is known of that.
    pub(crate) fn reasons(&self) -> &[String] {
        match self {
            Self::NoTrace { reasons, .. } => reasons,
            _ => &[],
        }
    }

    /// The next step.
    pub(crate) fn hint(&self) -> Cow<'_, str> {
        if let [first, rest @ ..] = self.reasons() {
            let join = |text: String, more: &String| format!("{text} {more}");
            return rest.iter().fold(first.clone(), join).into();
        }
        let hint = match self {
            Self::NoPage { .. } => {
                "Requests are listed on the search page; as JSON they are at /api/v1/search."
            }
            Self::Method { .. } => "Nearly everything here is read with GET.",
            Self::NoTrace { .. } => "Reload in a moment.",
            Self::NoSpan { .. } => {
                "The trace is stored, this span of it is not. It may still be on the way: reload in a moment."
            }
            Self::TraceId { .. } => {
                "A trace ID is 32 hex digits that are not all zero, such as \
                 b7ad6b7169203331a1b2c3d4e5f60709; 16 digits are an ID of 64 bits."
            }
            Self::Span { .. } => {
                "A span ID is 16 hex digits that are not all zero, such as 00f067aa0ba902b7."
            }
            Self::NoMatch(_) => "Look over a longer time, or ask for less to hold.",
            Self::NotHere(_) => "docs/jaeger.md says what there is.",
            Self::TooLarge { .. } => "Send less at once.",
            Self::Body(_) => "Send OTLP JSON: {\"resourceSpans\":[…]}.",
            Self::Parameters(_) => "Correct the value or leave the parameter out.",
            Self::Query(_) => "Correct the query, or ask for less at once.",
            Self::SpanAsProtobuf => "Ask for JSON, or for the whole trace.",
            Self::TooManySpans { .. } => "Its page shows them in parts; as OTLP it is given whole.",
            Self::Denied(_) => {
                "Send a token of the token file as the header Authorization: Bearer TOKEN."
            }
            Self::OtherSite => {
                "Send a token as the header Authorization: Bearer TOKEN, or use the form on this server's page."
            }
            Self::NoTokens => {
                "Start longpole with --token-file: who has a token of it for the pages may delete and pin traces."
            }
            Self::Limit(_) => {
                "Pin others no more first; what is deleted is forgotten as what was received then goes."
            }
            Self::Form => "Go back to the form and try again.",
            Self::Busy(_) => "Try again in a moment.",
            Self::Store(_) | Self::Damaged { .. } => {
                "The log says why. What was acknowledged stays on disk; other traces may be readable."
            }
            Self::Page(_) => "Reload; if it happens again, the log says why.",
        };
        hint.into()
    }

    /// The error in longpole's own JSON.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "error": { "code": self.code(), "message": self.to_string(), "hint": self.hint() } })
    }

    /// The error as Jaeger's query API says it.
    pub(crate) fn to_jaeger_json(&self) -> Value {
        let mut error = json!({ "code": self.status().as_u16(), "msg": self.to_string() });
        if let Self::NoTrace { trace_id, .. } = self {
            error["msg"] = "trace not found".into();
            error["traceID"] = trace_id.to_string().into();
        }
        json!({ "data": null, "total": 0, "limit": 0, "offset": 0, "errors": [error] })
    }

    /// The error as Jaeger's `/api/v3` says it.
    pub(crate) fn to_jaeger_v3_json(&self) -> Value {
        let message = match self {
            Self::NoTrace { .. } => "trace not found".to_owned(),
            error => error.to_string(),
        };
        json!({ "error": { "httpCode": self.status().as_u16(), "message": message } })
    }
}

impl From<StorageError> for UiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Busy { .. } | StorageError::Closed | StorageError::Cancelled => {
                Self::Busy(error)
            }
            StorageError::Cursor { cursor } => Self::Parameters(vec![BadParameter::new(
                "after",
                &cursor,
                "the `next` of a search with the same parameters",
            )]),
            StorageError::Query(error) => Self::Query(error),
            error => Self::Store(error),
        }
    }
}

impl From<BadParameter> for UiError {
    fn from(bad: BadParameter) -> Self {
        Self::Parameters(vec![bad])
    }
}

impl From<askama::Error> for UiError {
    fn from(error: askama::Error) -> Self {
        Self::Page(Box::new(error))
    }
}

/// An error on its way to the layer that gives it its shape.
#[derive(Debug, Clone)]
pub(crate) struct Carried(pub(crate) Arc<UiError>);

impl IntoResponse for UiError {
    fn into_response(self) -> Response {
        if self.status().is_server_error() && !matches!(self, Self::NotHere(_)) {
            let cause = std::error::Error::source(&self).map(causes);
            tracing::error!(error = %self, cause = cause.unwrap_or_default(), "request failed");
        }
        let mut response = self.status().into_response();
        if matches!(self, Self::Busy(_)) {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        let challenge = match self {
            Self::Denied(Denied::Missing) => Some("Bearer"),
            // As RFC 6750 has it.
            Self::Denied(Denied::Wrong) => Some("Bearer error=\"invalid_token\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            let headers = response.headers_mut();
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        response.extensions_mut().insert(Carried(Arc::new(self)));
        response
    }
}

/// An error and what it comes from, as one text.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
