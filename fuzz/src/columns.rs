//! Columns asked of the router, and read as `docs/columns.md` says.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use longpole_analysis::Analysis;
use longpole_analysis::format::label;
use longpole_proto::{Trace, UnixNanos};
use longpole_ui::{LinkTemplates, ReceiverStatus, UiState, Urls, router};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::one_trace::OneTrace;
use crate::traces::{self, trace_id};

struct Site {
    store: Arc<OneTrace>,
    router: Router,
    runtime: Runtime,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let store = Arc::new(OneTrace::default());
    let router = router(UiState {
        store: Arc::clone(&store) as _,
        urls: Urls::new("/").expect("a base path"),
        links: LinkTemplates::default(),
        clock: Arc::new(|| UnixNanos(0)),
        receivers: Arc::new(ReceiverStatus::default),
        access: None,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    Site {
        store,
        router,
        runtime: runtime.expect("a runtime"),
    }
});

/// The columns of the trace of these bytes.
pub fn columns(bytes: &[u8]) {
    let Some((trace, stored)) = traces::trace(bytes) else {
        return;
    };
    SITE.store.put(stored);
    let body = SITE.runtime.block_on(async {
        let request = Request::get(format!("/api/v1/traces/{}/columns", trace_id()));
        let request = request.body(Body::empty()).expect("a request");
        let response = SITE.router.clone().oneshot(request).await;
        let response = response.expect("routers do not fail");
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await;
        body.expect("a body").to_bytes()
    });
    compare(&Columns::read(&body), &trace);
}

/// What each row says, against the trace and what it means.
fn compare(columns: &Columns, trace: &Trace) {
    let analysis = Analysis::of(trace);
    assert_eq!(columns.header["n"], json!(trace.len()));
    assert_eq!(columns.header["q"], json!(""));
    let unit = columns.header["unit"].as_f64().expect("a number");
    let slowest = analysis.hops[analysis.slowest_hop].entry_idx;
    assert_eq!(columns.header["slowest"], json!(slowest));
    // Rounded to units, and to what a double keeps.
    let is_close = |units: f64, nanos: f64, n_rounded: f64| {
        (units * unit - nanos).abs() <= n_rounded * unit / 2.0 + nanos.abs() * 1e-15
    };
    let start = |row: usize| trace.span(row).start.0;
    for row in 0..trace.len() {
        let since_first = i128::from(start(row)) - i128::from(start(0));
        let starts = columns.item("start", row) - columns.item("start", 0);
        let slack = if unit > 1.0 { 2.0 } else { 0.0 };
        // The difference of two that are rounded each, either of which may be large.
        let large = (columns.item("start", row).abs() + columns.item("start", 0).abs()) * unit;
        assert!(
            (starts * unit - since_first as f64).abs() <= slack * unit / 2.0 + large * 1e-15,
            "row {row}: {starts} of {unit} ns is not {since_first} ns"
        );
        let rounded = if unit > 1.0 { 1.0 } else { 0.0 };
        let (dur, wait, rest) = (
            columns.item("dur", row),
            columns.item("wait", row),
            columns.item("rest", row),
        );
        let nanos = trace.span(row).duration_nanos() as f64;
        assert!(is_close(dur, nanos, rounded), "row {row}: {dur} {nanos}");
        let own = analysis.self_nanos[row] as f64;
        assert!(is_close(dur - wait, own, 2.0 * rounded + nanos * 1e-15));
        let critical = analysis.critical_nanos[row] as f64;
        assert_eq!(columns.has(row, 32), critical > 0.0);
        if critical > 0.0 {
            assert!(is_close(
                dur - wait - rest,
                critical,
                4.0 * rounded + nanos * 1e-15
            ));
        } else {
            assert_eq!(rest, 0.0);
        }
        assert_eq!(columns.item("depth", row), trace.depth(row) as f64);
        assert_eq!(
            columns.text("names", "name", row),
            label(&trace.span(row).name)
        );
        assert_eq!(columns.text("svcs", "svc", row), label(trace.service(row)));
        assert_eq!(columns.has(row, 1), trace.span(row).is_error());
        assert_eq!(columns.has(row, 4), row == slowest);
        assert_eq!(columns.has(row, 16), !analysis.awaited[row]);
        assert!(columns.has(row, 64));
    }
}

/// As a browser reads them.
struct Columns {
    header: Value,
    columns: Vec<(String, Vec<f64>)>,
}

impl Columns {
    fn read(bytes: &[u8]) -> Self {
        let (length, rest) = bytes.split_at(4);
        let length = u32::from_le_bytes(length.try_into().expect("4 bytes")) as usize;
        let header: Value = serde_json::from_slice(&rest[..length]).expect("a JSON header");
        let n = usize::try_from(header["n"].as_u64().expect("a count")).expect("few");
        let mut at = 4 + length;
        let mut columns = Vec::new();
        for column in header["columns"].as_array().expect("a list") {
            assert_eq!(at % 8, 0, "what typed arrays need");
            let name = column[0].as_str().expect("a name").to_owned();
            let width = usize::try_from(column[1].as_u64().expect("bytes")).expect("few");
            let run = bytes[at..at + n * width].chunks_exact(width);
            let mut start = 0_u32;
            let items = run.map(|bytes| match *bytes {
                [byte] => byte.into(),
                [a, b] => u16::from_le_bytes([a, b]).into(),
                [a, b, c, d] if name == "start" => {
                    start = start.wrapping_add(u32::from_le_bytes([a, b, c, d]));
                    start.into()
                }
                [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
                _ => f64::from_le_bytes(bytes.try_into().expect("8 bytes")),
            });
            let items = items.collect();
            columns.push((name, items));
            at = (at + n * width).next_multiple_of(8);
        }
        assert_eq!(at, bytes.len(), "nothing is left over");
        Self { header, columns }
    }

    fn item(&self, name: &str, row: usize) -> f64 {
        let mut columns = self.columns.iter();
        let (_, items) = columns.find(|(known, _)| known == name).expect("a column");
        items[row]
    }

    /// What a column's number at a row stands for in a list of the header.
    fn text(&self, list: &str, column: &str, row: usize) -> &str {
        let at = self.item(column, row) as usize;
        self.header[list][at].as_str().expect("text")
    }

    fn has(&self, row: usize, flag: u8) -> bool {
        self.item("flags", row) as u8 & flag != 0
    }
}
