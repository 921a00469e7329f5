//! The login page: a token, exchanged for a session's cookie.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use crate::access::{Access, LoginError};
use crate::error::UiError;
use crate::extract::{Pairs, form_pairs};
use crate::site::{Frame, Site, html};

/// How large a filled in form may be, and how long it may take.
const FORM_BYTES_MAX: usize = 16 << 10;
const FORM_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Template)]
#[template(path = "pages/login.html")]
struct LoginPage<'a> {
    frame: Frame<'a>,
    /// Where to go then.
    next: String,
    /// Why the last try was none.
    fault: Option<String>,
    /// Whether the browser kept a session to itself, as another site's link led here.
    is_from_elsewhere: bool,
}

/// The form.
pub(crate) async fn page(State(site): State<Site>, request: Request) -> Result<Response, UiError> {
    let access = access(&site)?;
    let (mut parts, _) = request.into_parts();
    let pairs = Pairs::of(&mut parts).await?.only(&["next"])?;
    let next = next(&site, &pairs);
    if access.admit(&parts).is_ok() {
        return Ok(Redirect::to(&next).into_response());
    }
    let is_from_elsewhere = parts
        .headers
        .get("sec-fetch-site")
        .is_some_and(|from| from == "cross-site" || from == "same-site");
    let page = LoginPage {
        frame: Frame::bare(&site, "Log in"),
        next,
        fault: None,
        is_from_elsewhere,
    };
    Ok(html(page.render()?))
}

/// The form, filled in.
pub(crate) async fn log_in(
    State(site): State<Site>,
    request: Request,
) -> Result<Response, UiError> {
    let access = access(&site)?;
    let (parts, body) = request.into_parts();
    let pairs = read_form(&parts, body).await?;
    let token = pairs.iter().find(|(name, _)| name == "token");
    let token = token.map_or("", |(_, token)| token.trim());
    let next = next(&site, &pairs);
    let (status, fault, wait) = match access.log_in(&parts, token) {
        Ok(cookie) => {
            let mut response = Redirect::to(&next).into_response();
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            return Ok(response);
        }
        Err(LoginError::Wrong) => {
            let fault = "That is none of this server's tokens for the pages.".to_owned();
            (StatusCode::UNAUTHORIZED, fault, None)
        }
        Err(LoginError::TooOften { wait }) => {
            let seconds = wait.as_secs().max(1);
            let fault = format!("Too many wrong tokens: try again in {seconds} seconds.");
            (StatusCode::TOO_MANY_REQUESTS, fault, Some(seconds))
        }
        Err(LoginError::NoRandomness) => {
            return Err(UiError::Page("the system gave no random bytes".into()));
        }
    };
    let page = LoginPage {
        frame: Frame::bare(&site, "Log in"),
        next,
        fault: Some(fault),
        is_from_elsewhere: false,
    };
    let mut response = (status, html(page.render()?)).into_response();
    let headers = response.headers_mut();
    if let Some(seconds) = wait {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        headers.insert(header::WWW_AUTHENTICATE, bearer);
    }
    Ok(response)
}

/// The end of a session.
pub(crate) async fn log_out(
    State(site): State<Site>,
    request: Request,
) -> Result<Response, UiError> {
    let access = access(&site)?;
    let (parts, _) = request.into_parts();
    let mut response = Redirect::to(&site.urls().login()).into_response();
    let cookie = access.log_out(&parts);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

fn access(site: &Site) -> Result<Arc<dyn Access>, UiError> {
    let access = site.state.access.clone();
    access.ok_or_else(|| UiError::no_page(&site.urls().login()))
}

/// Where a login leads: nowhere but to a page of ours.
fn next(site: &Site, pairs: &[(String, String)]) -> String {
    let asked = pairs.iter().find(|(name, _)| name == "next");
    asked
        .filter(|(_, next)| site.urls().is_page(next))
        .map_or_else(|| site.urls().search(), |(_, next)| next.clone())
}

async fn read_form(parts: &Parts, body: Body) -> Result<Vec<(String, String)>, UiError> {
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let is_form = kind.is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.starts_with(b"application/x-www-form-urlencoded")
    });
    if !is_form {
        return Err(UiError::Form);
    }
    let body = tokio::time::timeout(FORM_DEADLINE, to_bytes(body, FORM_BYTES_MAX));
    match body.await {
        Ok(Ok(bytes)) => form_pairs(&bytes).ok_or(UiError::Form),
        _ => Err(UiError::Form),
    }
}
