//! Errors, in the shape their path asks for: a page that helps, longpole's JSON, or Jaeger's.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::Uri;

use crate::error::UiError;
use crate::site::{Frame, Site, html, json};
use crate::urls::ErrorShape;

#[derive(Template)]
#[template(path = "pages/message.html")]
struct MessagePage<'a> {
    frame: Frame<'a>,
    heading: &'static str,
    error: &'a UiError,
    /// The same URL, when asking again may help.
    reload: Option<String>,
}

/// The answer for an error.
pub(crate) fn render(site: &Site, uri: &Uri, error: &UiError) -> Response {
    match site.urls().error_shape(uri.path()) {
        ErrorShape::Api => return json(error.to_json().to_string()),
        ErrorShape::Jaeger => return json(error.to_jaeger_json().to_string()),
        ErrorShape::JaegerV3 => return json(error.to_jaeger_v3_json().to_string()),
        ErrorShape::Page => {}
    }
    let heading = match error {
        UiError::NoPage { .. } => "There is no such page",
        UiError::Method { .. } => "This page is only read",
        UiError::NoTrace { .. } => "This trace is not stored",
        UiError::NoMatch(_) => "No traces found",
        UiError::NotHere(_) => "Not here",
        UiError::TooLarge { .. } => "Too large",
        UiError::Body(_) => "The body cannot be read",
        UiError::NoSpan { .. } | UiError::Span { .. } => "There is no such span",
        UiError::TraceId { .. } => "That is not a trace ID",
        UiError::Parameters(_) => "A parameter is not understood",
        UiError::Query(_) => "The query cannot be used",
        UiError::SpanAsProtobuf => "Not in this format",
        UiError::Busy(_) => "The store is busy",
        UiError::Denied(_) => "A token is needed",
        UiError::OtherSite => "Only this server's own pages may do that",
        UiError::NoTokens => "Nothing is changed here",
        UiError::Limit(_) => "There is a limit",
        UiError::Form => "The form cannot be read",
        UiError::Store(_) | UiError::Damaged { .. } => "The store cannot be read",
        UiError::TooManySpans { .. } => "Too many spans",
        UiError::Page(_) => "The page could not be made",
    };
    let may_come = matches!(
        error,
        UiError::NoTrace { .. } | UiError::NoSpan { .. } | UiError::Busy(_)
    );
    let mut frame = Frame::new(site, heading);
    if let UiError::TraceId { text, .. } = error {
        frame.id.clone_from(text);
    }
    let page = MessagePage {
        frame,
        heading,
        error,
        reload: may_come.then(|| uri.to_string()),
    };
    match page.render() {
        Ok(page) => html(page),
        Err(_) => format!("{heading}: {error}").into_response(),
    }
}
