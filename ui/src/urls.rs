//! Every URL longpole makes, under one base path, and the routes that answer them.

use std::fmt::Write as _;

use longpole_proto::{SpanId, TraceId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::assets::Asset;
use crate::search_form::SearchForm;
use crate::trace_view::{SpanRef, TraceView};

/// What a query value keeps as it is: the unreserved characters of RFC 3986.
pub(crate) const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The routes, below the base path.
pub(crate) mod route {
    pub(crate) const SEARCH: &str = "/";
    pub(crate) const SHARED: &str = "/shared";
    pub(crate) const OPEN: &str = "/trace";
    pub(crate) const TRACE: &str = "/trace/{trace_id}";
    pub(crate) const TRACE_DELETE: &str = "/trace/{trace_id}/delete";
    pub(crate) const TRACE_PIN: &str = "/trace/{trace_id}/pin";
    pub(crate) const TRACE_UNPIN: &str = "/trace/{trace_id}/unpin";
    pub(crate) const SPAN: &str = "/trace/{trace_id}/span/{span}";
    pub(crate) const STATUS: &str = "/status";
    pub(crate) const LOGIN: &str = "/login";
    pub(crate) const LOGOUT: &str = "/logout";
    pub(crate) const ASSET: &str = "/assets/{version}/{name}";
    pub(crate) const API_SEARCH: &str = "/api/v1/search";
    pub(crate) const API_OVERVIEW: &str = "/api/v1/overview";
    pub(crate) const API_SHARED: &str = "/api/v1/shared";
    pub(crate) const API_TRACE: &str = "/api/v1/traces/{trace_id}";
    pub(crate) const API_PIN: &str = "/api/v1/traces/{trace_id}/pin";
    pub(crate) const API_PINS: &str = "/api/v1/pins";
    pub(crate) const API_ANALYSIS: &str = "/api/v1/traces/{trace_id}/analysis";
    pub(crate) const API_COLUMNS: &str = "/api/v1/traces/{trace_id}/columns";
    pub(crate) const API_COLUMNS_SPANS: &str = "/api/v1/traces/{trace_id}/columns/spans";
    pub(crate) const API_SERVICES: &str = "/api/v1/services";
    pub(crate) const API_OPERATIONS: &str = "/api/v1/operations";
    pub(crate) const API_ATTRIBUTES: &str = "/api/v1/attributes";
    pub(crate) const API_VALUES: &str = "/api/v1/attributes/{name}/values";
    pub(crate) const API_STATUS: &str = "/api/v1/status";
    pub(crate) const API_SUGGEST: &str = "/api/v1/suggest";
    pub(crate) const API_OPENAPI: &str = "/api/openapi.json";
    pub(crate) const JAEGER_SERVICES: &str = "/api/services";
    pub(crate) const JAEGER_SERVICE_OPERATIONS: &str = "/api/services/{service}/operations";
    pub(crate) const JAEGER_OPERATIONS: &str = "/api/operations";
    pub(crate) const JAEGER_TRACES: &str = "/api/traces";
    pub(crate) const JAEGER_TRACE: &str = "/api/traces/{trace_id}";
    pub(crate) const JAEGER_DEPENDENCIES: &str = "/api/dependencies";
    pub(crate) const JAEGER_ARCHIVE: &str = "/api/archive/{trace_id}";
    pub(crate) const JAEGER_TRANSFORM: &str = "/api/transform";
    pub(crate) const JAEGER_METRICS: &str = "/api/metrics/{metric}";
    pub(crate) const JAEGER_QUALITY: &str = "/api/quality-metrics";
    pub(crate) const JAEGER_V3_SERVICES: &str = "/api/v3/services";
    pub(crate) const JAEGER_V3_OPERATIONS: &str = "/api/v3/operations";
    pub(crate) const JAEGER_V3_TRACES: &str = "/api/v3/traces";
    pub(crate) const JAEGER_V3_TRACE: &str = "/api/v3/traces/{trace_id}";
    pub(crate) const JAEGER_V3_SUMMARIES: &str = "/api/v3/trace-summaries";
    pub(crate) const JAEGER_V3_DEPENDENCIES: &str = "/api/v3/dependencies";
}

/// Why a text is no base path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "base path {path:?} must begin with / and hold only letters, digits and - . _ ~ between single slashes"
)]
pub struct BasePathError {
    path: String,
}

/// In which shape a path's errors are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorShape {
    /// A page for people.
    Page,
    /// longpole's own JSON.
    Api,
    /// Jaeger's JSON.
    Jaeger,
    /// The JSON of Jaeger's `/api/v3`.
    JaegerV3,
}

/// Makes URLs under the base path the pages are mounted at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Urls {
    /// Empty, or a path that begins with a slash and does not end with one.
    base: String,
}

impl Urls {
    /// URLs below `base`, such as `/longpole`; a slash at its end does not count.
    ///
    /// # Errors
    /// When `base` is not a plain absolute path.
    pub fn new(base: &str) -> Result<Self, BasePathError> {
        let trimmed = base.strip_suffix('/').unwrap_or(base);
        let plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        match trimmed.strip_prefix('/') {
            Some(path) if path.split('/').all(plain) => Ok(Self {
                base: trimmed.to_owned(),
            }),
            None if trimmed.is_empty() => Ok(Self::default()),
            _ => Err(BasePathError {
                path: base.to_owned(),
            }),
        }
    }

    /// A route as the router mounts it.
    pub(crate) fn route(&self, route: &str) -> String {
        format!("{}{route}", self.base)
    }

    /// The base path without a slash at its end, when there is one.
    pub(crate) fn bare_base(&self) -> Option<&str> {
        (!self.base.is_empty()).then_some(self.base.as_str())
    }

    /// In which shape the errors under `path` are answered.
    pub(crate) fn error_shape(&self, path: &str) -> ErrorShape {
        let path = path.strip_prefix(self.base.as_str()).unwrap_or(path);
        if path.starts_with("/api/v1/") {
            ErrorShape::Api
        } else if path.starts_with("/api/v3/") {
            ErrorShape::JaegerV3
        } else if path.starts_with("/api/") {
            ErrorShape::Jaeger
        } else {
            ErrorShape::Page
        }
    }

    /// The search page.
    pub fn search(&self) -> String {
        format!("{}/", self.base)
    }

    /// The search page for a form.
    pub(crate) fn search_for(&self, form: &SearchForm) -> String {
        with_query(self.search(), &form.pairs())
    }

    /// What the requests share that the search page lists for a form.
    pub(crate) fn shared_for(&self, form: &SearchForm) -> String {
        with_query(self.route(route::SHARED), &form.pairs())
    }

    /// Where the ID box leads.
    pub(crate) fn open(&self) -> String {
        self.route(route::OPEN)
    }

    /// A trace's page.
    pub fn trace(&self, trace_id: TraceId) -> String {
        format!("{}/trace/{trace_id}", self.base)
    }

    /// A trace's page as `view` has it.
    pub(crate) fn trace_view(&self, trace_id: TraceId, view: &TraceView) -> String {
        with_query(self.trace(trace_id), &view.pairs())
    }

    /// Where a button of a trace's page leads: `delete`, `pin`, `unpin`.
    pub(crate) fn trace_change(&self, trace_id: TraceId, change: &str) -> String {
        format!("{}/{change}", self.trace(trace_id))
    }

    /// A span's details on its trace's page, by ID alone: the trace need not be known.
    pub(crate) fn span_of(&self, trace_id: TraceId, span_id: SpanId) -> String {
        format!("{}?span={span_id}", self.trace(trace_id))
    }

    /// Where spans' details are alone, without a page around: a span's name goes behind it.
    pub(crate) fn span_fragments(&self, trace_id: TraceId) -> String {
        format!("{}/span/", self.trace(trace_id))
    }

    /// A span's row, on its trace's page.
    pub(crate) fn row(span: SpanRef) -> String {
        format!("#{}", Self::row_id(span))
    }

    /// The element ID of a span's row.
    pub(crate) fn row_id(span: SpanRef) -> String {
        format!("s-{span}")
    }

    /// The element ID of the row of the group that a span begins.
    pub(crate) fn group_id(first: SpanRef) -> String {
        format!("g-{first}")
    }

    /// The status page.
    pub(crate) fn status(&self) -> String {
        self.route(route::STATUS)
    }

    /// The login page.
    pub(crate) fn login(&self) -> String {
        self.route(route::LOGIN)
    }

    /// The login page, which leads to `next` then.
    pub(crate) fn login_for(&self, next: &str) -> String {
        if next == self.search() {
            return self.login();
        }
        with_query(self.login(), &[("next", next.to_owned())])
    }

    /// Where a session is ended.
    pub(crate) fn logout(&self) -> String {
        self.route(route::LOGOUT)
    }

    /// Whether a path is answered to who is not logged in: the login itself, and what it is drawn with.
    pub(crate) fn is_open(&self, path: &str) -> bool {
        path == self.login() || path == self.logout() || self.is_asset(path)
    }

    /// Whether a path is an embedded file's.
    pub(crate) fn is_asset(&self, path: &str) -> bool {
        self.below(path)
            .is_some_and(|path| path.starts_with("/assets/"))
    }

    /// Whether a text that anybody may have written is the path of a page of ours, with or without a
    /// query, so that a browser that is sent there stays here.
    pub(crate) fn is_page(&self, text: &str) -> bool {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        // Browsers drop tabs and line ends and read \ as /; // begins another host's name; %2e is a dot.
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && !path.contains("//")
            && !path.contains('%')
            && !path.split('/').any(|part| part == "." || part == "..");
        is_plain
            && self.below(path).is_some_and(|path| path.starts_with('/'))
            && !self.is_open(path)
            && self.error_shape(path) == ErrorShape::Page
    }

    /// What of a path is below the base path.
    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.base.as_str())
    }

    /// The status as JSON.
    pub(crate) fn api_status(&self) -> String {
        self.route(route::API_STATUS)
    }

    /// What one may type next.
    pub(crate) fn api_suggest(&self) -> String {
        self.route(route::API_SUGGEST)
    }

    /// The search as JSON.
    pub(crate) fn api_search(&self, form: &SearchForm) -> String {
        with_query(self.route(route::API_SEARCH), &form.pairs())
    }

    /// The heat map as JSON.
    pub(crate) fn api_overview(&self, form: &SearchForm) -> String {
        with_query(self.route(route::API_OVERVIEW), &form.pairs())
    }

    /// What they share as JSON.
    pub(crate) fn api_shared(&self, form: &SearchForm) -> String {
        with_query(self.route(route::API_SHARED), &form.pairs())
    }

    /// A trace as OTLP JSON.
    pub(crate) fn api_trace(&self, trace_id: TraceId) -> String {
        format!("{}/api/v1/traces/{trace_id}", self.base)
    }

    /// One span of a trace as OTLP JSON.
    pub(crate) fn api_span(&self, trace_id: TraceId, span: SpanRef) -> String {
        format!("{}?span={span}", self.api_trace(trace_id))
    }

    /// All spans of a trace in columns, for the script's list of them.
    /// Those that have some words are marked.
    pub(crate) fn api_columns(&self, trace_id: TraceId, words: &str) -> String {
        let words = (!words.is_empty()).then(|| ("q", words.to_owned()));
        let columns = format!("{}/columns", self.api_trace(trace_id));
        with_query(columns, words.as_slice())
    }

    /// A trace's analysis as JSON.
    pub(crate) fn api_analysis(&self, trace_id: TraceId) -> String {
        format!("{}/analysis", self.api_trace(trace_id))
    }

    /// An embedded file; the URL changes with its content.
    pub(crate) fn asset(&self, asset: &Asset) -> String {
        format!("{}/assets/{:016x}/{}", self.base, asset.hash, asset.name)
    }
}

fn with_query(mut url: String, pairs: &[(&str, String)]) -> String {
    for (at, (name, value)) in pairs.iter().enumerate() {
        let mark = if at == 0 { '?' } else { '&' };
        write!(
            url,
            "{mark}{name}={}",
            utf8_percent_encode(value, QUERY_VALUE)
        )
        .expect("writing to a string cannot fail");
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets;

    fn trace_id() -> TraceId {
        "b7ad6b7169203331a1b2c3d4e5f60709"
            .parse()
            .expect("a trace ID")
    }

    #[test]
    fn every_url_lies_under_the_base_path() {
        let urls = Urls::new("/tools/longpole/").expect("a base path");
        let form = SearchForm {
            service: "a b&c".to_owned(),
            ..SearchForm::default()
        };
        let span: SpanRef = "00f067aa0ba902b7".parse().expect("a span");
        let all = [
            urls.search(),
            urls.search_for(&form),
            urls.open(),
            urls.trace(trace_id()),
            urls.trace_view(trace_id(), &TraceView::default().with_span(span)),
            urls.span_of(trace_id(), span.span_id),
            urls.span_fragments(trace_id()),
            urls.status(),
            urls.api_status(),
            urls.api_suggest(),
            urls.api_search(&form),
            urls.shared_for(&form),
            urls.api_shared(&form),
            urls.api_trace(trace_id()),
            urls.api_span(trace_id(), span),
            urls.api_analysis(trace_id()),
            urls.api_columns(trace_id(), "SELECT"),
            urls.asset(&assets::CSS),
            urls.route(route::TRACE),
        ];
        for url in all {
            assert!(url.starts_with("/tools/longpole/"), "{url}");
        }
        assert_eq!(urls.search_for(&form), "/tools/longpole/?service=a%20b%26c");
        assert_eq!(
            urls.error_shape("/tools/longpole/api/v1/search"),
            ErrorShape::Api
        );
        assert_eq!(
            urls.error_shape("/tools/longpole/api/traces/1"),
            ErrorShape::Jaeger
        );
        assert_eq!(
            urls.error_shape("/tools/longpole/api/v3/traces/1"),
            ErrorShape::JaegerV3
        );
        assert_eq!(
            urls.error_shape("/tools/longpole/trace/1"),
            ErrorShape::Page
        );
    }

    #[test]
    fn without_a_base_path_urls_begin_at_the_root() {
        let urls = Urls::new("/").expect("a base path");
        assert_eq!(urls, Urls::default());
        assert_eq!(urls.search(), "/");
        assert_eq!(
            urls.trace(trace_id()),
            "/trace/b7ad6b7169203331a1b2c3d4e5f60709"
        );
    }

    #[test]
    fn what_is_no_plain_path_is_refused() {
        for text in [
            "longpole",
            "//",
            "/a//b",
            "/a b",
            "/a?b",
            "/../x",
            "https://x/y",
            "/{id}",
        ] {
            assert_eq!(
                Urls::new(text),
                Err(BasePathError {
                    path: text.to_owned()
                }),
                "{text}"
            );
        }
    }
}
