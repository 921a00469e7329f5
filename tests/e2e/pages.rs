//! The pages, read as a browser without scripts would.

use std::collections::{BTreeSet, VecDeque};

use longpole_tests::{Client, Reply, Server, spans};
use scraper::{Html, Selector};

/// The sentence of the drawn checkout.
pub(crate) const CHECKOUT_VERDICT: &str =
    "Slowest hop: inventory GET /stock took 200 ms of 390 ms (51 %), on the critical path.";

fn select(html: &Html, selector: &str) -> Vec<String> {
    let selector = Selector::parse(selector).expect("a valid selector");
    html.select(&selector)
        .map(|element| folded(&element.text().collect::<String>()))
        .collect()
}

fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn body_text(page: &Reply) -> String {
    select(&page.html(), "body").concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_empty_page_says_how_to_send_spans() {
    let server = Server::start().await;
    let text = body_text(&server.client().get("/").await.expect(200));
    let endpoints = [server.grpc_endpoint(), server.http_endpoint()];
    for endpoint in endpoints {
        let variable = format!("OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}");
        assert!(text.contains(&variable), "{variable} is not in: {text}");
    }
    assert!(text.contains("0 spans received"), "{text}");
    assert!(text.contains("longpole demo"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_empty_page_says_what_was_refused_last() {
    let server = Server::start().await;
    let headers = [("content-type", "application/json")];
    let refused = server.client().post(&headers, "{").await.expect(400).json();
    let reason = refused["message"]
        .as_str()
        .expect("a refusal says why")
        .to_owned();
    let text = body_text(&server.client().get("/").await.expect(200));
    assert!(
        text.contains(&folded(&reason)),
        "{reason} is not in: {text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_page_names_the_slowest_hop() {
    let server = Server::start().await;
    server
        .client()
        .export(&spans::request(spans::checkout(1)))
        .await;
    let id = format!("{:032x}", 1);

    let page = server
        .client()
        .get(&format!("/trace/{id}"))
        .await
        .expect(200);
    let text = body_text(&page);
    assert!(text.contains(CHECKOUT_VERDICT), "{text}");
    assert!(text.contains("lock wait sku-8812"), "{text}");
    let hot = select(&page.html(), ".hot");
    let [row] = hot.as_slice() else {
        panic!("one row is the slowest hop, not {hot:?}")
    };
    assert!(row.contains("GET /stock"), "{row}");
    assert!(
        row.to_uppercase().contains("SLOWEST HOP 51 %"),
        "in words, not colour alone: {row}"
    );

    let analysis = server
        .client()
        .get(&format!("/api/v1/traces/{id}/analysis"))
        .await
        .expect(200);
    let analysis = analysis.json();
    let verdict = analysis["verdict"].as_str().expect("a verdict is text");
    assert!(verdict.starts_with(CHECKOUT_VERDICT), "{verdict}");
    assert!(
        text.contains(&folded(verdict)),
        "page and JSON say the same: {text}"
    );
    let share = analysis["slowestHop"]["share"]
        .as_f64()
        .expect("a share is a number");
    assert!((share - 200.0 / 390.0).abs() < 1e-3, "{share}");

    let list = body_text(&server.client().get("/").await.expect(200));
    for part in ["POST /checkout", "390 ms", "inventory", "51 %"] {
        assert!(list.contains(part), "{part} is not in: {list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spans_details_open_by_link() {
    let server = Server::start().await;
    let mut drafts = spans::checkout(1);
    let charge = drafts.pop().expect("the checkout has spans");
    drafts.push(
        charge
            .exception("Declined", "no funds", "at pay\n  at charge")
            .link(0xf00d, 0xbeef),
    );
    server.client().export(&spans::request(drafts)).await;
    let path = format!("/trace/{:032x}?span={:016x}", 1, 7);
    let page = server.client().get(&path).await.expect(200);
    let text = body_text(&page);
    let parts = [
        "Declined",
        "no funds",
        "at pay at charge",
        "reason",
        "retry",
        "service.name",
        "payments",
    ];
    for part in parts {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(
        page.text().contains(&format!("/trace/{:032x}", 0xf00d)),
        "the link leads to its trace"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_trace_is_a_page_that_helps() {
    let server = Server::start().await;
    let id = format!("{:032x}", 0xbad);
    let page = server
        .client()
        .get(&format!("/trace/{id}"))
        .await
        .expect(404);
    assert!(
        page.header("content-type").starts_with("text/html"),
        "{:?}",
        page.headers
    );
    assert!(body_text(&page).contains(&id), "{}", page.text());

    let error = server
        .client()
        .get(&format!("/api/v1/traces/{id}"))
        .await
        .expect(404)
        .json();
    for field in ["code", "message", "hint"] {
        assert!(
            !error["error"][field].is_null(),
            "{field} is not in: {error}"
        );
    }

    let page = server.client().get("/trace/no-id").await;
    assert!((400..500).contains(&page.status), "{}", page.status);
    assert!(
        page.header("content-type").starts_with("text/html"),
        "{:?}",
        page.headers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spans_say_is_text_and_never_markup() {
    const EVIL: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";
    let server = Server::start().await;
    let span = spans::Draft::new(1, 1, EVIL)
        .service(EVIL)
        .attribute(EVIL, EVIL)
        .attribute("url.full", "javascript:alert(1)")
        .attribute("db.system.name", EVIL)
        .at(0, 10)
        .exception(EVIL, EVIL, EVIL);
    server.client().export(&spans::request([span])).await;

    let trace = format!("/trace/{:032x}", 1);
    let paths = [
        "/".to_owned(),
        trace.clone(),
        format!("{trace}?span={:016x}", 1),
    ];
    for path in paths {
        let page = server.client().get(&path).await.expect(200);
        let html = page.html();
        assert!(
            body_text(&page).contains("alert(1)"),
            "{path} shows what the span says"
        );
        assert_eq!(select(&html, "script:not([src])").len(), 0, "{path}");
        assert_eq!(
            select(&html, "img, [onerror], [href^='javascript' i]").len(),
            0,
            "{path}"
        );
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'self'"), "{path}: {policy}");
        assert!(!policy.contains("script-src 'unsafe"), "{path}: {policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_leads_somewhere() {
    for base in ["", "/tools/longpole"] {
        let server = Server::start_with(|config| base.clone_into(&mut config.base_path)).await;
        let client = server.client();
        for n in 1..=25 {
            client.export(&spans::request(spans::checkout(n))).await;
        }
        let n_pages = crawl(client, base).await;
        assert!(n_pages > 25, "{n_pages} pages were reached under {base:?}");
    }
}

/// Follows every link from the search page on, up to a number of pages; gives how many there were.
async fn crawl(client: &Client, base: &str) -> usize {
    const PAGES_MAX: usize = 300;
    let start = format!("{base}/");
    let mut seen = BTreeSet::from([start.clone()]);
    let mut waiting = VecDeque::from([start]);
    let mut n_pages = 0;
    while let Some(path) = waiting.pop_front() {
        let page = client.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        n_pages += 1;
        if !page.header("content-type").starts_with("text/html") {
            continue;
        }
        for link in links(&page.html()) {
            // Other hosts, and places in the same page.
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            let link = match link.strip_prefix('?') {
                Some(query) => {
                    let page = path.split('?').next().unwrap_or_default();
                    format!("{page}?{query}")
                }
                None => link,
            };
            let link = link.split('#').next().unwrap_or_default().to_owned();
            assert!(
                link.starts_with(&format!("{base}/")),
                "{link} on {path} is not under {base:?}"
            );
            if seen.len() < PAGES_MAX && seen.insert(link.clone()) {
                waiting.push_back(link);
            }
        }
    }
    n_pages
}

/// Whatever a browser would fetch or follow.
fn links(html: &Html) -> Vec<String> {
    let selector = Selector::parse("[href], [src]").expect("a valid selector");
    html.select(&selector)
        .filter_map(|element| element.attr("href").or_else(|| element.attr("src")))
        .map(str::to_owned)
        .collect()
}
