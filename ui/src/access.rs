//! Who may use the pages and query APIs: a token in a header, or a session that a login began.
//!
//! What tokens and sessions are is not known here. What is: that nobody gets past without one, that a
//! page of another site cannot use a browser's session, and that after a login nobody ends elsewhere.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Uri, header};

use crate::error::UiError;
use crate::site::Site;
use crate::urls::ErrorShape;

/// Decides who is let in.
pub trait Access: Send + Sync {
    /// What a request carries that lets it in.
    ///
    /// # Errors
    /// When it carries nothing, or what lets nobody in.
    fn admit(&self, request: &Parts) -> Result<Credential, Denied>;

    /// Begins a session for who has a token; gives the `Set-Cookie` of it.
    ///
    /// # Errors
    /// When the token lets nobody in, or the client tried too often.
    fn log_in(&self, request: &Parts, token: &str) -> Result<HeaderValue, LoginError>;

    /// Ends a request's session; gives the `Set-Cookie` that makes the browser forget it.
    fn log_out(&self, request: &Parts) -> HeaderValue;
}

/// What lets a request in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A token in `Authorization`, which no other site can make a browser send.
    Bearer,
    /// A session's cookie, which browsers send by themselves.
    Session,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It carries nothing, or a session that ended.
    Missing,
    /// It carries a token that lets nobody in.
    Wrong,
}

/// Why a login begins no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginError {
    /// The token lets nobody in.
    Wrong,
    /// There were too many wrong ones.
    TooOften {
        /// How long to wait.
        wait: Duration,
    },
    /// The system gave no random bytes for a session.
    NoRandomness,
}

/// Answers who is not let in, and lets the rest through. Everybody is let in where no access is
/// configured.
pub(crate) async fn guard(State(site): State<Site>, request: Request, next: Next) -> Response {
    let Some(access) = &site.state.access else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let changes = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let admitted = access.admit(&parts);
    if changes && admitted != Ok(Credential::Bearer) && !is_same_origin(&parts) {
        return UiError::OtherSite.into_response();
    }
    if let Err(denied) = admitted
        && !site.urls().is_open(path)
    {
        return deny(&site, &parts, denied);
    }
    let is_asset = site.urls().is_asset(path);
    let response = next.run(Request::from_parts(parts, body)).await;
    if is_asset {
        return response;
    }
    unkept(response)
}

/// A response that nobody keeps: nor does the browser show it again after a logout.
fn unkept(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

fn deny(site: &Site, parts: &Parts, denied: Denied) -> Response {
    let is_page = site.urls().error_shape(parts.uri.path()) == ErrorShape::Page;
    let mode = parts.headers.get("sec-fetch-mode");
    let is_navigation = mode.is_none_or(|mode| mode == "navigate");
    if denied == Denied::Missing && is_page && is_navigation && parts.method == Method::GET {
        let asked = parts
            .uri
            .path_and_query()
            .map_or("", |asked| asked.as_str());
        return unkept(Redirect::to(&site.urls().login_for(asked)).into_response());
    }
    UiError::Denied(denied).into_response()
}

/// Whether a request comes from one of our own pages, as the browser says. Programs that are no
/// browser say nothing, and are asked for a token in a header.
fn is_same_origin(parts: &Parts) -> bool {
    if let Some(site) = parts.headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    // Browsers leave that out where there is no TLS.
    let origin = parts.headers.get(header::ORIGIN);
    let origin: Option<Uri> = origin.and_then(|origin| origin.to_str().ok()?.parse().ok());
    match (origin.as_ref().and_then(Uri::authority), host(parts)) {
        (Some(origin), Some(host)) => *origin == host,
        _ => false,
    }
}

/// Which host was asked for.
fn host(parts: &Parts) -> Option<Authority> {
    let of_headers = |headers: &HeaderMap| headers.get(header::HOST)?.to_str().ok()?.parse().ok();
    parts
        .uri
        .authority()
        .cloned()
        .or_else(|| of_headers(&parts.headers))
}

#[cfg(test)]
pub(crate) mod tests;
