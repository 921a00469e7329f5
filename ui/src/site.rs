//! What all handlers share: the state, reading the store off the reactor, and the page around.

use std::sync::Arc;

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, header};
use longpole_proto::{Trace, TraceId, UnixNanos, wire};
use longpole_storage::{Cancel, StoredTrace};
use tokio::sync::Semaphore;

use crate::error::UiError;
use crate::trace_cache::{Loaded, TraceCache};
use crate::{UiState, Urls, absence, assets, concern};

/// How many pages are made at once; the rest wait their turn.
const READS_MAX: usize = 16;

/// The state and what guards it; cheap to clone.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) state: UiState,
    turns: Arc<Semaphore>,
    traces: Arc<TraceCache>,
}

impl Site {
    pub(crate) fn new(state: UiState) -> Self {
        Self {
            state,
            turns: Arc::new(Semaphore::new(READS_MAX)),
            traces: Arc::default(),
        }
    }

    pub(crate) fn urls(&self) -> &Urls {
        &self.state.urls
    }

    pub(crate) fn now(&self) -> UnixNanos {
        (self.state.clock)()
    }

    /// Runs what blocks on the store, or computes for long, where it does not hold others up.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, UiError> + Send + 'static,
    ) -> Result<T, UiError> {
        let site = self.clone();
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|error| UiError::Page(Box::new(error)))?;
        let work = move || {
            let _turn = turn;
            work(&site)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| UiError::Page(Box::new(error)))?
    }

    /// Likewise, and ends the work when nobody waits for it any more.
    pub(crate) async fn read_while_wanted<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self, Cancel) -> Result<T, UiError> + Send + 'static,
    ) -> Result<T, UiError> {
        let cancel = Cancel::default();
        // Dropped with this future, when the client is gone.
        let _guard = cancel.drop_guard();
        self.read(move |site| work(site, cancel)).await
    }

    /// A stored trace as it is. Blocks.
    pub(crate) fn stored(&self, trace_id: TraceId) -> Result<StoredTrace, UiError> {
        self.state
            .store
            .trace(trace_id)?
            .ok_or_else(|| self.no_trace(trace_id))
    }

    /// That a trace is not stored, and why that may be. Blocks.
    pub(crate) fn no_trace(&self, trace_id: TraceId) -> UiError {
        let store = &self.state.store;
        let reasons = match store.deleted(trace_id) {
            Ok(Some(at)) => absence::deleted(at),
            _ => absence::reasons(store.health().ok().as_ref(), &(self.state.receivers)()),
        };
        UiError::NoTrace { trace_id, reasons }
    }

    /// What is around a page, with a notice when something needs attention. Blocks.
    pub(crate) fn frame(&self, title: impl Into<String>) -> Frame<'_> {
        let health = self.state.store.health().ok();
        Frame {
            notice: health.as_ref().and_then(concern::notice),
            ..Frame::new(self, title)
        }
    }

    /// A stored trace, decoded. Blocks.
    pub(crate) fn trace(&self, trace_id: TraceId) -> Result<Arc<Loaded>, UiError> {
        // Before it is read: what arrives meanwhile is in it, but makes another version.
        let Some(version) = self.state.store.trace_version(trace_id)? else {
            self.traces.forget(trace_id);
            return Err(self.no_trace(trace_id));
        };
        self.traces.get(trace_id, version, || self.decode(trace_id))
    }

    fn decode(&self, trace_id: TraceId) -> Result<Loaded, UiError> {
        let stored = self.stored(trace_id)?;
        let trace = decoded(&stored)?.ok_or_else(|| self.no_trace(trace_id))?;
        Ok(Loaded::new(stored.last_received, trace))
    }
}

/// A stored trace, decoded past the cache, which holds those that people look at; `None` when it has no
/// spans.
pub(crate) fn decoded(stored: &StoredTrace) -> Result<Option<Trace>, UiError> {
    let trace_id = stored.trace_id;
    let parts = wire::decode_traces(trace_id, &stored.otlp)
        .map_err(|source| UiError::Damaged { trace_id, source })?;
    Ok(Trace::new(trace_id, parts))
}

/// What every page has around it.
pub(crate) struct Frame<'a> {
    pub(crate) urls: &'a Urls,
    pub(crate) title: String,
    /// What the ID box shows.
    pub(crate) id: String,
    /// What needs attention.
    pub(crate) notice: Option<String>,
    /// Whether there is a session to end.
    pub(crate) has_logout: bool,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(site: &'a Site, title: impl Into<String>) -> Self {
        Self {
            has_logout: site.state.access.is_some(),
            ..Self::bare(site, title)
        }
    }

    /// For who is not logged in.
    pub(crate) fn bare(site: &'a Site, title: impl Into<String>) -> Self {
        Self {
            urls: site.urls(),
            title: title.into(),
            id: String::new(),
            notice: None,
            has_logout: false,
        }
    }

    pub(crate) fn css(&self) -> String {
        self.urls.asset(&assets::CSS)
    }

    pub(crate) fn js(&self) -> String {
        self.urls.asset(&assets::JS)
    }

    pub(crate) fn search_css(&self) -> String {
        self.urls.asset(&assets::SEARCH_CSS)
    }

    pub(crate) fn search_js(&self) -> String {
        self.urls.asset(&assets::SEARCH_JS)
    }

    pub(crate) fn icon(&self) -> String {
        self.urls.asset(&assets::ICON)
    }
}

/// A page, asked for anew each time.
pub(crate) fn html(page: String) -> Response {
    let mut response = Html(page).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A JSON document, asked for anew each time.
pub(crate) fn json(document: String) -> Response {
    let mut response = document.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
