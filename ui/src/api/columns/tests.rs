#![expect(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "a browser's numbers are doubles, and these are whole"
)]

use std::io::Read as _;

use http::{StatusCode, header};
use longpole_proto::testing::{MS, SpanBuilder, any_trace, parts_of, trace_id, trace_of};
use longpole_proto::{SpanKind, Trace, UnixNanos};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::encode::{encode, flag, version};
use super::{SPANS_MAX, check};
use crate::testing::{FakeStore, ask, checkout, get, site, site_at};
use crate::trace_cache::Loaded;
use crate::trace_view::SpanRefs;

const DAY: u64 = 86_400_000 * MS;

/// Columns as a browser reads them.
struct Columns {
    header: Value,
    /// By name: bytes an item, items.
    columns: Vec<(String, usize, Vec<f64>)>,
}

impl Columns {
    fn read(bytes: &[u8]) -> Self {
        let (length, rest) = bytes.split_at(4);
        let length = u32::from_le_bytes(length.try_into().expect("4 bytes")) as usize;
        let header: Value = serde_json::from_slice(&rest[..length]).expect("a JSON header");
        let n = usize::try_from(header["n"].as_u64().expect("a count")).expect("few spans");
        let mut at = 4 + length;
        let mut columns = Vec::new();
        for column in header["columns"].as_array().expect("a list") {
            assert_eq!(at % 8, 0, "what typed arrays need");
            let name = column[0].as_str().expect("a name").to_owned();
            let width = usize::try_from(column[1].as_u64().expect("bytes")).expect("few bytes");
            let run = &bytes[at..at + n * width];
            let mut items: Vec<f64> = run.chunks_exact(width).map(item).collect();
            if name == "start" && width == 4 {
                let mut start = 0_u32;
                for (item, bytes) in items.iter_mut().zip(run.chunks_exact(4)) {
                    let step = u32::from_le_bytes(bytes.try_into().expect("4 bytes"));
                    start = start.wrapping_add(step);
                    *item = start.into();
                }
            }
            columns.push((name, width, items));
            at = (at + n * width).next_multiple_of(8);
        }
        assert_eq!(at, bytes.len(), "nothing is left over");
        Self { header, columns }
    }

    fn of(trace: &Trace) -> Self {
        Self::read(&encode(&loaded(trace), "", &[]).expect("columns"))
    }

    fn column(&self, name: &str) -> &[f64] {
        let mut columns = self.columns.iter();
        let found = columns.find(|(known, ..)| known == name);
        &found.expect("a column of this name").2
    }

    fn width(&self, name: &str) -> usize {
        let mut columns = self.columns.iter();
        columns
            .find(|(known, ..)| known == name)
            .expect("a column")
            .1
    }

    /// What a column's number at a row stands for in a list of the header.
    fn text(&self, list: &str, column: &str, row: usize) -> &str {
        let at = self.column(column)[row];
        let texts = self.header[list].as_array().expect("a list");
        let text = texts.iter().enumerate().find(|(idx, _)| *idx as f64 == at);
        text.expect("an item of the list").1.as_str().expect("text")
    }

    fn nanos(&self, column: &str, row: usize) -> f64 {
        self.column(column)[row] * self.unit()
    }

    fn unit(&self) -> f64 {
        self.header["unit"].as_f64().expect("a number")
    }

    fn has(&self, row: usize, flag: u8) -> bool {
        (self.column("flags")[row] / f64::from(flag)).floor() % 2.0 == 1.0
    }
}

fn item(bytes: &[u8]) -> f64 {
    match *bytes {
        [byte] => byte.into(),
        [a, b] => u16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
        _ => f64::from_le_bytes(bytes.try_into().expect("8 bytes")),
    }
}

fn loaded(trace: &Trace) -> Loaded {
    Loaded::new(UnixNanos(0), trace.clone())
}

fn widths(columns: &Columns) -> Vec<usize> {
    columns.columns.iter().map(|(_, width, _)| *width).collect()
}

proptest! {
    #[test]
    fn columns_say_of_every_span_what_the_analysis_says(trace in any_trace(40)) {
        let loaded = loaded(&trace);
        let analysis = loaded.analysis();
        let columns = Columns::read(&encode(&loaded, "", &[]).expect("columns"));
        let window = crate::timeline::Window::of(&trace);
        prop_assert_eq!(columns.unit(), 1.0);
        prop_assert_eq!(&columns.header["version"], &version(&trace));
        for row in 0..trace.len() {
            let span = trace.span(row);
            let start = span.start.0 as f64 - window.start.0 as f64;
            // Points in time are rounded as doubles here, not in the columns.
            prop_assert!((columns.nanos("start", row) - start).abs() < 1e3);
            prop_assert_eq!(columns.nanos("dur", row), span.duration_nanos() as f64);
            let own = columns.nanos("dur", row) - columns.nanos("wait", row);
            prop_assert_eq!(own, analysis.self_nanos[row] as f64);
            let critical = if columns.has(row, flag::CRITICAL) {
                own - columns.nanos("rest", row)
            } else {
                prop_assert_eq!(columns.nanos("rest", row), 0.0);
                0.0
            };
            prop_assert_eq!(critical, analysis.critical_nanos[row] as f64);
            prop_assert_eq!(columns.column("depth")[row], trace.depth(row) as f64);
            prop_assert_eq!(columns.text("names", "name", row), &*span.name);
            prop_assert_eq!(columns.text("svcs", "svc", row), trace.service(row));
            let on_path = analysis.critical_nanos[trace.subtree(row)].iter().any(|&nanos| nanos > 0);
            prop_assert_eq!(columns.has(row, flag::ON_PATH), on_path);
            prop_assert_eq!(columns.has(row, flag::ERROR), span.is_error());
            prop_assert_eq!(columns.has(row, flag::UNAWAITED), !analysis.awaited[row]);
            let slowest = analysis.hops[analysis.slowest_hop].entry_idx;
            prop_assert_eq!(columns.has(row, flag::SLOWEST), row == slowest);
        }
    }
}

#[test]
fn a_span_of_ordinary_traces_takes_22_bytes() {
    assert_eq!(widths(&Columns::of(&checkout())), [4, 4, 4, 4, 2, 2, 1, 1]);
}

#[test]
fn long_requests_have_coarser_units_and_far_spans_wider_numbers() {
    let root = SpanBuilder::new(1, "nightly").at_nanos(0, 230_000_000_049);
    let step = SpanBuilder::new(2, "step").parent(1).at_nanos(1_049, 2_050);
    let columns = Columns::of(&trace_of([root.clone(), step.clone()]));
    assert_eq!(columns.unit(), 100.0);
    assert_eq!(columns.header["total"], 2_300_000_001_u64, "rounded up");
    assert_eq!(columns.column("start"), [0.0, 10.0]);
    assert_eq!(columns.column("dur"), [2_300_000_000.0, 10.0]);

    let quick = SpanBuilder::new(1, "quick").at_nanos(2 * DAY, 2 * DAY + 10);
    let before = SpanBuilder::new(2, "wrong clock").parent(1).at_nanos(0, 7);
    let after = SpanBuilder::new(3, "tomorrow")
        .parent(1)
        .at_nanos(3 * DAY, 3 * DAY + 5_000 * MS);
    let columns = Columns::of(&trace_of([quick, before, after]));
    assert_eq!(columns.unit(), 1.0, "they do not make the request coarse");
    let origin = 2.0 * DAY as f64 - 5.0;
    assert_eq!(columns.column("start"), [5.0, -origin, DAY as f64 + 5.0]);
    assert_eq!(columns.column("dur"), [10.0, 7.0, 5e9]);
    assert_eq!(widths(&columns)[..2], [8, 8]);
}

#[test]
fn more_names_services_and_levels_than_usual_take_wider_numbers() {
    let spans = (1..=70_000).map(|n| {
        let span =
            SpanBuilder::new(n, &format!("name {n}")).service(&format!("service {}", n % 300));
        if n > 1 { span.parent(n - 1) } else { span }
    });
    let trace = trace_of(spans);
    let columns = Columns::of(&trace);
    let width = |name| columns.width(name);
    assert_eq!([width("depth"), width("name"), width("svc")], [4, 4, 2]);
    assert_eq!(columns.text("names", "name", 69_999), "name 70000");
    assert_eq!(columns.text("svcs", "svc", 69_999), "service 100");
    assert_eq!(columns.column("depth")[69_999], 69_999.0);
}

#[test]
fn the_slowest_hop_is_marked() {
    let spans = vec![
        SpanBuilder::new(1, "GET /")
            .service("web")
            .kind(SpanKind::Server)
            .at(0, 100),
        SpanBuilder::new(2, "GET /stock")
            .service("stock")
            .kind(SpanKind::Server)
            .parent(1)
            .at(10, 90),
        SpanBuilder::new(3, "lock")
            .service("stock")
            .parent(2)
            .at(20, 85),
    ];
    let columns = Columns::of(&trace_of(spans));
    let marked = |flag| -> Vec<usize> { (0..3).filter(|&row| columns.has(row, flag)).collect() };
    assert_eq!(marked(flag::SLOWEST), [1]);
    assert_eq!(marked(flag::CULPRIT), [2]);
    assert_eq!(columns.header["slowest"], 1);
    let tags = &columns.header["tags"];
    assert_eq!(tags[0], json!([flag::SLOWEST, "h", "◀ SLOWEST HOP 80 %"]));
    assert_eq!(tags[1], json!([flag::CULPRIT, "h", "most of it here 65 %"]));
}

#[test]
fn too_many_spans_are_refused_with_both_numbers() {
    let error = check(SPANS_MAX + 1).expect_err("too many");
    let said = "250,001 spans are shown in pages only: one list of all has no more than 250,000";
    assert_eq!(error.to_string(), said);
    assert_eq!(error.status(), StatusCode::UNPROCESSABLE_ENTITY);
    check(SPANS_MAX).expect("as many as there may be");
}

#[tokio::test]
async fn a_browser_that_has_the_columns_gets_them_only_when_they_changed() {
    let uri = format!("/api/v1/traces/{}/columns", trace_id());
    let site = site([checkout()]);
    let reply = get(&site, &uri).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("cache-control"), "no-cache");
    let columns = Columns::read(&reply.body);
    let tag = reply.header("etag");
    let again = ask(&site, "GET", &uri, &[(header::IF_NONE_MATCH, tag)]).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert!(again.body.is_empty());

    let grown = trace_of((1..=9).map(|n| SpanBuilder::new(n, "more").at(0, n)));
    let site = site_at("", FakeStore::with([grown]));
    let reply = ask(&site, "GET", &uri, &[(header::IF_NONE_MATCH, tag)]).await;
    assert_eq!(reply.status, StatusCode::OK);
    let grown = Columns::read(&reply.body);
    assert_ne!(grown.header["version"], columns.header["version"]);
}

#[tokio::test]
#[expect(
    clippy::disallowed_types,
    reason = "what is unpacked was packed by this test's own server"
)]
async fn columns_are_compressed_for_those_who_take_it() {
    let uri = format!("/api/v1/traces/{}/columns", trace_id());
    let site = site([checkout()]);
    let plain = get(&site, &uri).await;
    assert_eq!(plain.header("content-encoding"), "");
    for (accepted, is_zipped) in [
        ("gzip, deflate, br", true),
        ("br, GZIP;q=0.5", true),
        ("gzip;q=0", false),
        ("br", false),
    ] {
        let accept = [(header::ACCEPT_ENCODING, accepted)];
        let reply = ask(&site, "GET", &uri, &accept).await;
        assert_eq!(reply.header("vary"), "accept-encoding", "{accepted}");
        assert_eq!(reply.header("etag"), plain.header("etag"), "{accepted}");
        assert_eq!(
            reply.header("content-encoding") == "gzip",
            is_zipped,
            "{accepted}"
        );
        let mut body = Vec::new();
        if is_zipped {
            let mut zipped = flate2::read::MultiGzDecoder::new(&reply.body[..]);
            zipped.read_to_end(&mut body).expect("it is gzip");
        } else {
            body.extend_from_slice(&reply.body);
        }
        assert_eq!(body, plain.body, "{accepted}");
    }
}

#[tokio::test]
async fn rows_are_named_in_runs_found_by_place_or_by_span() {
    // Two spans of one ID.
    let spans = (1..=1_100).map(|n| SpanBuilder::new(n, "step").at(n, n + 1));
    let twin = SpanBuilder::new(1_050, "client")
        .kind(SpanKind::Client)
        .at(2_000, 2_001);
    let trace = Trace::new(trace_id(), parts_of(spans.chain([twin]))).expect("spans");
    let refs = SpanRefs::of(&trace);
    let names: Vec<String> = (0..trace.len())
        .map(|row| refs.name(row).to_string())
        .collect();
    let shared = names
        .iter()
        .find(|name| name.contains('~'))
        .expect("a shared ID");
    let site = site([trace.clone()]);
    let columns = format!("/api/v1/traces/{}/columns", trace_id());
    for (query, rows) in [
        ("", 0..512),
        ("?row=511", 0..512),
        ("?row=512", 512..1_024),
        (&format!("?span={shared}"), 1_024..1_101),
        ("?row=5000", 1_101..1_101),
        ("?row=18446744073709551615", 1_101..1_101),
    ] {
        let reply = get(&site, &format!("{columns}/spans{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{query}");
        let document = reply.json();
        assert_eq!(document["from"], rows.start, "{query}");
        let spans = document["spans"].as_array().expect("a list");
        assert_eq!(spans, &names[rows], "{query}");
        assert_eq!(document["version"], version(&trace));
    }
    for (query, status) in [
        ("?row=-1", StatusCode::BAD_REQUEST),
        ("?span=xyz", StatusCode::BAD_REQUEST),
        ("?rows=1", StatusCode::BAD_REQUEST),
        ("?span=00000000000fffff", StatusCode::NOT_FOUND),
    ] {
        let reply = get(&site, &format!("{columns}/spans{query}")).await;
        assert_eq!(reply.status, status, "{query}");
    }
}

#[tokio::test]
async fn spans_that_have_the_words_looked_for_are_marked() {
    let site = site([checkout()]);
    let uri = format!("/api/v1/traces/{}/columns", trace_id());
    let marked = async |query: &str| {
        let reply = get(&site, &format!("{uri}{query}")).await;
        let columns = Columns::read(&reply.body);
        let rows = 0..columns.column("flags").len();
        let marked: Vec<usize> = rows
            .filter(|&row| columns.has(row, flag::MATCHES))
            .collect();
        (columns.header["q"].clone(), marked)
    };
    assert_eq!(
        marked("").await,
        (json!(""), (0..checkout().len()).collect())
    );
    assert_eq!(marked("?q=%20STOCK%20").await, (json!("STOCK"), vec![1]));
    let reply = get(&site, &format!("{uri}?words=x")).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}
