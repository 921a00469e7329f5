//! How large pages may be, whatever the trace: bytes on the wire and elements in the browser.
//!
//! Times are not asserted but measured: `cargo run --release -p longpole-tests --example page_times`.

use longpole_proto::TraceId;
use longpole_tests::{Client, Server, large, spans};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use scraper::Selector;

use crate::check::check_trace;

const TRACE: u128 = 0x0b0d_6e75;
const KIB: usize = 1024;
/// How many elements a page may have.
const NODES_MAX: usize = 1_500;
/// The compressed bytes of a page of up to 1,001 spans, and of a larger one.
const SMALL_PAGE_BYTES_MAX: usize = 10 * KIB;
const LARGE_PAGE_BYTES_MAX: usize = 12 * KIB;
/// Pages of 200 rows are for those without scripts. Each row has a link with a span's ID, and random
/// IDs cannot be compressed: 8 bytes of each, twice, are a third of what such a page has.
const LIST_NODES_MAX: usize = 3_500;
const LIST_BYTES_MAX: usize = 16 * KIB;
/// The compressed columns of 10,000 and of 100,000 spans.
const COLUMNS_BYTES_MAX: [(u64, usize); 2] = [(10_000, 120 * KIB), (100_000, 1_200 * KIB)];
const STYLE_BYTES_MAX: usize = 14 * KIB;
/// 12 KiB until the map could be dragged, times be shown in the viewer's zone, and all spans be listed
/// with the keyboard and a filter: the last alone is 5 KiB.
const SCRIPT_BYTES_MAX: usize = 14 * KIB;

/// Traces of every size and shape, and how many spans each has.
fn traces() -> Vec<(&'static str, u64, Vec<ExportTraceServiceRequest>)> {
    vec![
        (
            "checkout",
            9,
            vec![spans::request(spans::checkout_with_errors(TRACE))],
        ),
        ("report", 100, large::report(TRACE, 100)),
        ("report", 1_000, large::report(TRACE, 1_000)),
        ("report", 10_000, large::report(TRACE, 10_000)),
        ("report", 100_000, large::report(TRACE, 100_000)),
        ("chain", 50_000, large::chain(TRACE, 50_000)),
        ("fan-out", 20_001, large::fan(TRACE, 20_000)),
        (
            "70,001 names of 301 services",
            70_002,
            large::motley(TRACE, 70_001, 301),
        ),
    ]
}

/// The bytes of an answer as it is sent.
async fn sent_bytes(client: &Client, path: &str) -> usize {
    let reply = client.try_get(path, &[("accept-encoding", "gzip")]).await;
    let reply = reply.expect("the server answers").expect(200);
    assert_eq!(reply.header("content-encoding"), "gzip", "{path}");
    reply.body.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_small_however_large_the_trace() {
    for (what, n_spans, requests) in traces() {
        let server = Server::start().await;
        let client = server.client();
        for request in requests {
            client.export(&request).await;
        }
        let id = TraceId::from_slice(&TRACE.to_be_bytes()).expect("not zero");
        let name = format!("{what} of {n_spans}");
        // With one row as the slowest hop, and sections that sum to the duration.
        check_trace(client, &name, id).await;
        let page_bytes_max = if n_spans > 1_001 {
            LARGE_PAGE_BYTES_MAX
        } else {
            SMALL_PAGE_BYTES_MAX
        };
        for (view, nodes_max, bytes_max) in [
            ("story", NODES_MAX, page_bytes_max),
            ("path", NODES_MAX, page_bytes_max),
            ("errors", NODES_MAX, page_bytes_max),
            ("all", LIST_NODES_MAX, LIST_BYTES_MAX),
            ("table", LIST_NODES_MAX, LIST_BYTES_MAX),
        ] {
            let path = format!("/trace/{id}?view={view}");
            let html = client.get(&path).await.expect(200).html();
            let every = Selector::parse("*").expect("a valid selector");
            let n_nodes = html.select(&every).count();
            let n_bytes = sent_bytes(client, &path).await;
            println!("{name}, {view}: {n_bytes} bytes, {n_nodes} elements");
            assert!(n_nodes <= nodes_max, "{name}, {view}: {n_nodes} elements");
            assert!(n_bytes <= bytes_max, "{name}, {view}: {n_bytes} bytes");
        }
        let columns = sent_bytes(client, &format!("/api/v1/traces/{id}/columns")).await;
        println!("{name}: columns of {columns} bytes");
        for (n, bytes_max) in COLUMNS_BYTES_MAX {
            let is_meant = what == "report" && n_spans == n;
            assert!(
                !is_meant || columns <= bytes_max,
                "{name}: columns of {columns} bytes"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn style_sheet_and_scripts_are_small() {
    let server = Server::start().await;
    let page = server.client().get("/").await.expect(200).html();
    for (selector, attribute, bytes_max) in [
        ("link[rel=stylesheet]", "href", STYLE_BYTES_MAX),
        ("script", "src", SCRIPT_BYTES_MAX),
    ] {
        let selector = Selector::parse(selector).expect("a valid selector");
        let files: Vec<_> = page
            .select(&selector)
            .filter_map(|element| element.attr(attribute))
            .collect();
        let [file] = files.as_slice() else {
            panic!("one file, not {files:?}")
        };
        let n_bytes = server.client().get(file).await.expect(200).body.len();
        println!("{file}: {n_bytes} bytes");
        assert!(n_bytes <= bytes_max, "{file} has {n_bytes} bytes");
    }
}
