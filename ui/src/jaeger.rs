//! Jaeger's query API: `/api/…` as its UI of old and Grafana call it, `/api/v3/…` as its UI calls it now.
//!
//! `docs/jaeger.md` says what is answered how, and where longpole differs. Handlers read their parameters
//! with [`params`], which refuses what it does not know; searches become one [`query::TraceQuery`], and
//! [`find`] runs it. Every answer is bounded; what a bound cut is said in the header
//! `longpole-incomplete`, and among the `errors` where an answer has a place for that.

mod absent;
mod archive;
mod classic;
mod dependencies;
mod find;
mod id;
mod indent;
mod names;
mod params;
mod query;
mod summary;
#[cfg(test)]
mod tests;
mod transform;
mod v3;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use self::indent::indented;
use self::params::Params;
use crate::error::UiError;
use crate::site::{Site, json};
use crate::urls::{Urls, route};

/// How many traces a search gives when it does not say.
const LIMIT: usize = 100;

/// How many it gives at most: what Jaeger's UI lets people ask for.
const LIMIT_MAX: usize = 1_500;

/// How many bytes of JSON an answer of many whole traces has before it ends; its first trace is given
/// whatever it takes, as it is by its ID.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Up to how many bytes an answer is indented: it takes a multiple of them.
const INDENTED_BYTES_MAX: usize = 8 << 20;

/// Answers of many whole traces are made two at a time, because of the memory they take.
static LARGE_ANSWERS: Semaphore = Semaphore::const_new(2);

/// A turn to make one; it goes with the work, which may outlast who asked for it.
async fn large_answer() -> Result<SemaphorePermit<'static>, UiError> {
    let turn = LARGE_ANSWERS.acquire().await;
    turn.map_err(|error| UiError::Page(Box::new(error)))
}

/// Says what an answer does not have.
const INCOMPLETE: HeaderName = HeaderName::from_static("longpole-incomplete");

/// All routes of Jaeger's.
pub(crate) fn routes(urls: &Urls) -> Router<Site> {
    let at = |route| urls.route(route);
    Router::new()
        .route(&at(route::JAEGER_SERVICES), get(classic::services))
        .route(
            &at(route::JAEGER_SERVICE_OPERATIONS),
            get(classic::operations_of),
        )
        .route(&at(route::JAEGER_OPERATIONS), get(classic::operations))
        .route(&at(route::JAEGER_TRACES), get(classic::search))
        .route(&at(route::JAEGER_TRACE), get(classic::trace))
        .route(&at(route::JAEGER_DEPENDENCIES), get(dependencies::classic))
        .route(&at(route::JAEGER_ARCHIVE), post(archive::archive))
        .route(&at(route::JAEGER_TRANSFORM), post(transform::transform))
        .route(&at(route::JAEGER_METRICS), get(absent::metrics))
        .route(&at(route::JAEGER_QUALITY), get(absent::quality_metrics))
        .route(&at(route::JAEGER_V3_SERVICES), get(v3::services))
        .route(&at(route::JAEGER_V3_OPERATIONS), get(v3::operations))
        .route(&at(route::JAEGER_V3_TRACES), get(v3::search))
        .route(&at(route::JAEGER_V3_TRACE), get(v3::trace))
        .route(&at(route::JAEGER_V3_SUMMARIES), get(v3::summaries))
        .route(&at(route::JAEGER_V3_DEPENDENCIES), get(dependencies::v3))
}

/// The envelope of all that `/api/…` answers, but for `data`.
#[derive(Serialize)]
struct Envelope<'a, T> {
    data: T,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<&'a [Problem]>,
}

/// What an answer says that is wrong with it.
#[derive(Debug, Serialize)]
struct Problem {
    msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    trace_id: Option<longpole_proto::TraceId>,
}

impl From<&str> for Problem {
    fn from(msg: &str) -> Self {
        Self {
            msg: msg.to_owned(),
            trace_id: None,
        }
    }
}

/// `errors` of an envelope: `null` when there are none.
fn errors(problems: &[Problem]) -> Option<&[Problem]> {
    (!problems.is_empty()).then_some(problems)
}

fn to_json(document: &impl Serialize) -> Result<String, UiError> {
    serde_json::to_string(document).map_err(|error| UiError::Page(Box::new(error)))
}

/// The document, indented when that was asked for and people may read it all.
fn pretty(params: &Params, document: String) -> String {
    if params.is_pretty() && document.len() <= INDENTED_BYTES_MAX {
        indented(&document)
    } else {
        document
    }
}

/// A JSON document as an answer, with what it does not have.
fn answer<'a>(document: String, missing: impl IntoIterator<Item = &'a str>) -> Response {
    let mut response = json(document);
    let missing: Vec<&str> = missing.into_iter().collect();
    if !missing.is_empty() {
        // Headers are ASCII.
        let text: String = missing
            .join("; ")
            .chars()
            .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(INCOMPLETE, value);
        }
    }
    response
}
