//! Measures how fast trace pages open, on traces of many sizes: `cargo run --release -p longpole-tests
//! --example page_times`. Prints Markdown for docs/performance.md. Asserts nothing: times are the machine's.

use std::io::Write as _;
use std::time::{Duration, Instant};

use longpole_tests::{Browser, Script, Server, eventually, large, spans};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

const TRACE: u128 = 0x0071_6d65;
/// How often each is measured; the median is told.
const ROUNDS: usize = 5;
const DRAWN_AT: &str =
    "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1";

fn traces() -> Vec<(&'static str, Vec<ExportTraceServiceRequest>)> {
    vec![
        (
            "9 spans",
            vec![spans::request(spans::checkout_with_errors(TRACE))],
        ),
        ("1,000", large::report(TRACE, 1_000)),
        ("10,000", large::report(TRACE, 10_000)),
        ("100,000", large::report(TRACE, 100_000)),
        ("chain of 50,000", large::chain(TRACE, 50_000)),
        ("fan-out of 20,000", large::fan(TRACE, 20_000)),
        (
            "70,001 names, 301 services",
            large::motley(TRACE, 70_001, 301),
        ),
    ]
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| trace | first read ms | page ms | page KB gz | drawer ms | columns ms | columns KB gz | first paint ms | all spans ms |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    let empty = Server::start().await;
    let blank = {
        let browser = Browser::start(Script::On).await;
        median_paint(&browser, &empty.ui_url("/")).await
    };
    for (name, requests) in traces() {
        let server = Server::start().await;
        for request in requests {
            server.client().export(&request).await;
        }
        let page = format!("/trace/{TRACE:032x}");
        let columns = format!("/api/v1/traces/{TRACE:032x}/columns");
        let (_, first) = sent(&server, &page).await;
        let (page_bytes, page_took) = median_sent(&server, &page).await;
        let span = server
            .client()
            .get(&format!("{columns}/spans"))
            .await
            .expect(200)
            .json();
        let span = span["spans"][0]
            .as_str()
            .expect("a span is named")
            .to_owned();
        let (_, drawer_took) = median_sent(&server, &format!("{page}/span/{span}")).await;
        let (columns_bytes, columns_took) = median_sent(&server, &columns).await;
        let browser = Browser::start(Script::On).await;
        let url = server.ui_url(&page);
        let paint = median_paint(&browser, &url).await;
        let mut clicks = Vec::new();
        for _ in 0..ROUNDS {
            browser.open(&url).await;
            clicks.push(all_spans(&browser).await);
        }
        writeln!(
            out,
            "| {name} | {} | {} | {:.1} | {} | {} | {:.0} | {paint:.0} | {} |",
            millis(first),
            millis(page_took),
            kilobytes(page_bytes),
            millis(drawer_took),
            millis(columns_took),
            kilobytes(columns_bytes),
            millis(median(clicks)),
        )?;
    }
    writeln!(
        out,
        "\nFirst paint of the empty search page: {blank:.0} ms."
    )?;
    Ok(())
}

/// Asks for something as browsers do; its bytes, and how long it took.
async fn sent(server: &Server, path: &str) -> (usize, Duration) {
    let begun = Instant::now();
    let reply = server
        .client()
        .try_get(path, &[("accept-encoding", "gzip")])
        .await;
    let bytes = reply.expect("the server answers").expect(200).body.len();
    (bytes, begun.elapsed())
}

async fn median_sent(server: &Server, path: &str) -> (usize, Duration) {
    let mut all = Vec::new();
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let (n_bytes, took) = sent(server, path).await;
        bytes = n_bytes;
        all.push(took);
    }
    (bytes, median(all))
}

/// When a page was first painted, in milliseconds after one went there.
async fn median_paint(browser: &Browser, url: &str) -> f64 {
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        browser.open("about:blank").await;
        browser.open(url).await;
        let painted = eventually("a painted page", async || {
            browser.run(DRAWN_AT).await.as_f64().filter(|at| *at > 0.0)
        });
        all.push(painted.await);
    }
    all.sort_by(f64::total_cmp);
    all[ROUNDS / 2]
}

/// From the key to the list of all spans, with what it takes to ask the browser.
async fn all_spans(browser: &Browser) -> Duration {
    let begun = Instant::now();
    browser.press("a").await;
    eventually("the list", async || {
        let look = "return !!document.querySelector('.vp') && document.querySelector('#st').textContent.startsWith('all ')";
        (browser.run(look).await == true).then_some(())
    })
    .await;
    begun.elapsed()
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

fn millis(took: Duration) -> String {
    format!("{:.1}", took.as_secs_f64() * 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "a number to be read")]
fn kilobytes(bytes: usize) -> f64 {
    bytes as f64 / 1e3
}
