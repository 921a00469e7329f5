//! Pages and query APIs over a [`Store`]: axum and askama.
//!
//! Knows HTTP and HTML, no receiver and no engine. All state of a page is in its URL, everything
//! works without JavaScript, and every URL is made in [`urls`].

mod absence;
mod access;
mod api;
mod assets;
mod concern;
mod error;
mod extract;
mod format;
mod heat_map;
mod jaeger;
mod links;
mod pages;
mod palette;
mod search_form;
mod search_report;
mod site;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timeline;
mod trace_cache;
mod trace_view;
pub mod urls;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post, put};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use longpole_proto::UnixNanos;
use longpole_storage::Store;
use tower_http::compression::CompressionLayer;

pub use access::{Access, Credential, Denied, LoginError};
pub use links::{LinkTemplate, LinkTemplateError, LinkTemplates};
pub use urls::{BasePathError, Urls};

use error::{Carried, UiError};
use extract::AssetPath;
use site::Site;
use urls::route;

/// What the pages need to know of the receivers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiverStatus {
    /// The gRPC endpoint to copy into an application, such as `http://127.0.0.1:4317`.
    pub grpc_endpoint: String,
    /// The HTTP endpoint to copy into an application, such as `http://127.0.0.1:4318`.
    pub http_endpoint: String,
    /// How many spans were accepted since the start.
    pub spans_accepted: u64,
    /// How many spans were refused since the start.
    pub spans_refused: u64,
    /// Whether spans are taken only with a token.
    pub needs_token: bool,
    /// Why the newest refused request or span was refused, with its time.
    pub last_refusal: Option<(UnixNanos, String)>,
}

/// What the router serves from; cheap to clone.
#[derive(Clone)]
pub struct UiState {
    /// Where traces are.
    pub store: Arc<dyn Store>,
    /// Where the pages are mounted.
    pub urls: Urls,
    /// Where spans and requests lead elsewhere.
    pub links: LinkTemplates,
    /// The time now.
    pub clock: Arc<dyn Fn() -> UnixNanos + Send + Sync>,
    /// How the receivers do.
    pub receivers: Arc<dyn Fn() -> ReceiverStatus + Send + Sync>,
    /// Who is let in; everybody when there is none.
    pub access: Option<Arc<dyn Access>>,
}

/// The pages and query APIs, with a fallback that answers for every other path.
pub fn router(state: UiState) -> Router {
    let site = Site::new(state);
    let urls = site.urls().clone();
    let mut router = Router::new()
        .route(&urls.route(route::SEARCH), get(pages::search::page))
        .route(&urls.route(route::SHARED), get(pages::shared::page))
        .route(&urls.route(route::OPEN), get(pages::open::redirect))
        .route(&urls.route(route::TRACE), get(pages::trace::page))
        .route(&urls.route(route::SPAN), get(pages::span::fragment))
        .route(&urls.route(route::STATUS), get(pages::status::page))
        .route(&urls.route(route::ASSET), get(asset))
        .route(&urls.route(route::API_SEARCH), get(api::search::search))
        .route(&urls.route(route::API_SHARED), get(api::shared::shared))
        .route(
            &urls.route(route::API_OVERVIEW),
            get(api::overview::overview),
        )
        .route(
            &urls.route(route::API_TRACE),
            get(api::trace::trace).delete(api::keep::delete),
        )
        .route(
            &urls.route(route::API_PIN),
            put(api::keep::pin).delete(api::keep::unpin),
        )
        .route(&urls.route(route::API_PINS), get(api::keep::pins))
        .route(
            &urls.route(route::API_ANALYSIS),
            get(api::analysis::analysis),
        )
        .route(&urls.route(route::API_COLUMNS), get(api::columns::columns))
        .route(
            &urls.route(route::API_COLUMNS_SPANS),
            get(api::columns::spans),
        )
        .route(&urls.route(route::API_SERVICES), get(api::names::services))
        .route(
            &urls.route(route::API_OPERATIONS),
            get(api::names::operations),
        )
        .route(
            &urls.route(route::API_ATTRIBUTES),
            get(api::names::attributes),
        )
        .route(&urls.route(route::API_VALUES), get(api::names::values))
        .route(&urls.route(route::API_STATUS), get(api::status::status))
        .route(&urls.route(route::API_SUGGEST), get(api::suggest::suggest))
        .route(&urls.route(route::API_OPENAPI), get(api::openapi::document))
        .merge(jaeger::routes(&urls));
    if site.state.access.is_some() {
        router = router
            .route(
                &urls.route(route::LOGIN),
                get(pages::login::page).post(pages::login::log_in),
            )
            .route(&urls.route(route::TRACE_DELETE), post(pages::keep::delete))
            .route(&urls.route(route::TRACE_PIN), post(pages::keep::pin))
            .route(&urls.route(route::TRACE_UNPIN), post(pages::keep::unpin))
            .route(&urls.route(route::LOGOUT), post(pages::login::log_out));
    }
    if let Some(base) = urls.bare_base() {
        let home = urls.search();
        router = router.route(base, get(move || async move { Redirect::permanent(&home) }));
    }
    router
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(site.clone(), access::guard))
        .layer(from_fn_with_state(site.clone(), finish))
        .layer(CompressionLayer::new())
        .with_state(site)
}

async fn asset(path: AssetPath, headers: HeaderMap) -> Result<Response, UiError> {
    let asset = assets::find(&path.name).ok_or_else(|| UiError::no_page(&path.name))?;
    Ok(assets::serve(asset, &path.version, &headers))
}

async fn nothing_here(uri: Uri) -> UiError {
    UiError::no_page(uri.path())
}

async fn wrong_method(method: Method, uri: Uri) -> UiError {
    UiError::wrong_method(&method, uri.path())
}

/// Gives errors the shape their path asks for, and every answer the headers that keep what spans
/// carry from doing anything.
async fn finish(State(site): State<Site>, request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; \
             frame-ancestors 'none'; form-action 'self'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // For browsers that do not know frame-ancestors.
        (header::X_FRAME_OPTIONS, "DENY"),
        // Other sites' pages cannot embed what is here either.
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    let uri = request.uri().clone();
    let mut response = next.run(request).await;
    if let Some(Carried(error)) = response.extensions_mut().remove::<Carried>() {
        let (bare, _) = response.into_parts();
        response = pages::message::render(&site, &uri, &error);
        // What the status came with: Allow, Retry-After, WWW-Authenticate, Cache-Control.
        for (name, value) in &bare.headers {
            if !matches!(*name, header::CONTENT_TYPE | header::CONTENT_LENGTH) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response = (error.status(), response).into_response();
    }
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
