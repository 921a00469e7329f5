//! Through the router: what a cell says is what its link finds.

use http::{StatusCode, header};
use longpole_proto::testing::{START, SpanBuilder};
use longpole_proto::{Trace, UnixNanos};
use longpole_storage::{SearchLimit, Stopped};
use scraper::Selector;

use crate::testing::{FakeStore, Reply, ask, get, site, site_at, trace_with_id};

/// Request `n` began after so many milliseconds and took so many; each fifth has an error.
fn request(n: u64, began: u64, took: u64) -> Trace {
    let root = SpanBuilder::new(1, "GET /").at(began, began + took);
    let root = if n.is_multiple_of(5) {
        root.error("")
    } else {
        root
    };
    trace_with_id(n, [root])
}

/// Some hundred, over ten minutes, of a millisecond to a minute.
fn many() -> Vec<Trace> {
    let took = |n: u64| [1, 4, 20, 25, 60, 150, 199, 200, 900, 60_000][(n * 7 % 10) as usize];
    let all = 1..=300_u64;
    all.map(|n| request(n, n * n * 7 % 600_000, took(n)))
        .collect()
}

/// The number a title or text begins with.
fn number(text: &str) -> u64 {
    let digits = text.split(' ').next().unwrap_or_default().replace(',', "");
    digits.parse().expect("a number")
}

/// How many requests a page's search matches.
fn matched(page: &Reply) -> u64 {
    let heading = &page.texts("h1")[0];
    let of = heading.split(" of ").last().expect("a heading");
    number(of)
}

/// What links lead to has as many requests as they say.
async fn check_links(page: &Reply, site: &axum::Router, selector: &str, every: usize) -> usize {
    let hrefs = page.attributes(selector, "href");
    let titles = page.attributes(selector, "title");
    assert_eq!(hrefs.len(), titles.len());
    let mut n_links = 0;
    for (href, title) in hrefs.iter().zip(&titles).step_by(every) {
        let found = get(site, href).await;
        assert_eq!(found.status, StatusCode::OK, "{href}: {}", found.text());
        assert_eq!(matched(&found), number(title), "{href}: {title}");
        n_links += 1;
    }
    n_links
}

#[tokio::test]
async fn a_cells_link_finds_exactly_its_requests() {
    let site = site(many());
    for uri in [
        "/",
        "/?last=1h",
        "/?q=duration+%3C+1s",
        "/?to=2026-11-22T01:52",
    ] {
        let page = get(&site, uri).await;
        let n_links = check_links(&page, &site, ".hg a", 7).await;
        assert!(n_links > 3, "{uri}: {n_links}");
        check_links(&page, &site, ".hh a", 1).await;
        let counts = page.attributes(".hg a", "title");
        let n: u64 = counts.iter().map(|title| number(title)).sum();
        let is_whole = !uri.contains("to=");
        assert!(!is_whole || n == matched(&page), "{uri}");
    }
}

#[tokio::test]
async fn what_is_selected_is_framed_among_the_rest() {
    let site = site(many());
    let uri = "/?last=1h&min=100ms&from=2026-11-22T01:50&to=2026-11-22T01:52";
    let page = get(&site, uri).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let whole = get(&site, "/?last=1h").await;
    let titles = |page: &Reply| page.attributes(".hg a", "title");
    assert_eq!(titles(&page), titles(&whole), "the same map");
    assert_eq!(page.attributes(".pick", "style").len(), 1);
    assert_eq!(whole.attributes(".pick", "style").len(), 0);
    assert!(matched(&page) < matched(&whole));
    assert!(page.texts(".heat .facts")[0].contains("map of 300 requests, 60 with errors"));
    let cleared = page.attributes(".heat .facts a", "href");
    assert_eq!(cleared, ["/?last=1h"]);
}

#[tokio::test]
async fn nothing_is_drawn_empty_that_was_not_looked_at() {
    // One each second, for two minutes.
    let site = site((1..=120).map(|n| request(n, n * 1_000, 20)));
    // Three seconds of them; the first ones; the last.
    for (from, to) in [
        ("01:48:30", "01:48:33"),
        ("01:47:54", "01:48:00"),
        ("01:49:50", "01:50:00"),
    ] {
        let uri = format!("/?from=2026-11-22T{from}&to=2026-11-22T{to}");
        let page = get(&site, &uri).await;
        let drawn = &page.attributes("#heat", "style")[0];
        let n_columns = drawn.split([':', ';']).nth(1).expect("a number");
        let n_columns: usize = n_columns.parse().expect("a number");
        let hrefs = page.attributes(".hg a", "href");
        let filled: std::collections::BTreeSet<_> = hrefs
            .iter()
            .filter_map(|href| href.split("from=").nth(1)?.split('&').next())
            .collect();
        let n_before_and_behind = n_columns - filled.len();
        let most = if from == "01:48:30" { 0 } else { 13 };
        assert!((15..=61).contains(&n_columns), "{uri}: {n_columns}");
        assert!(
            n_before_and_behind <= most,
            "{uri}: {filled:?} of {n_columns}"
        );
    }
}

#[tokio::test]
async fn without_a_last_hour_the_map_is_three_times_as_wide() {
    let site = site(many());
    let uri = "/?from=2026-11-22T01:50&to=2026-11-22T01:52";
    let page = get(&site, uri).await;
    let label = &page.attributes("#heat", "aria-label")[0];
    assert!(
        label.contains("22 Nov 2026 01:48") && label.contains("01:54"),
        "{label}"
    );
    let hrefs = page.attributes(".heat .facts a", "href");
    let widened = get(&site, &hrefs[1]).await;
    assert!(matched(&widened) > matched(&page));
}

#[tokio::test]
async fn percentiles_are_of_all_that_matches() {
    let all = (1..=100).map(|n| request(n, n, 10 * n));
    let page = get(&site(all), "/?min=900ms").await;
    let facts = page.texts(".heat .facts span");
    assert_eq!(facts[..3], ["p50 500 ms", "p95 950 ms", "p99 990 ms"]);
    assert_eq!(facts[3], "map of 100 requests, 20 with errors");
    assert_eq!(
        page.texts(".hp span"),
        ["p99 990 ms", "p95 950 ms", "p50 500 ms"]
    );
}

#[tokio::test]
async fn the_tables_have_the_same_in_words() {
    let page = get(&site(many()), "/").await;
    for table in ["table:nth-of-type(1)", "table:nth-of-type(2)"] {
        let counts = page.texts(&format!(".twin {table} td:nth-child(2)"));
        let n: u64 = counts.iter().map(|text| number(text)).sum();
        assert_eq!(n, 300, "{table}");
    }
    let ranges = page.texts(".twin table:nth-of-type(1) td:first-child");
    assert_eq!(ranges.first().map(String::as_str), Some("50–100 s"));
}

#[tokio::test]
async fn nothing_has_no_map_and_one_has_a_small_one() {
    let none = get(&site(many()), "/?service=nobody").await;
    assert_eq!(none.texts(".heat").len(), 0);
    let one = site([request(1, 0, 100)]);
    let page = get(&one, "/").await;
    assert_eq!(check_links(&page, &one, ".hg a", 1).await, 1);
    let outside = get(&one, "/?min=2s").await;
    assert_eq!(outside.texts("h1"), ["No request matches"]);
    assert_eq!(outside.attributes(".hg a", "title").len(), 1);
}

/// A request that began at any time and took any.
fn hostile(n: u64, start: u64, nanos: u64) -> Trace {
    let span = SpanBuilder::new(1, "GET /").with(|span| {
        span.start = UnixNanos(start);
        span.end = UnixNanos(start.saturating_add(nanos));
    });
    trace_with_id(n, [span])
}

#[tokio::test]
async fn all_at_one_instant_and_no_time_at_all() {
    let site = site((1..=9).map(|n| hostile(n, START.0, 0)));
    let page = get(&site, "/").await;
    assert_eq!(check_links(&page, &site, ".hg a", 1).await, 1);
    assert_eq!(page.texts(".heat .facts b"), ["0 ns", "0 ns", "0 ns"]);
    let titles = page.attributes(".hg a", "title");
    assert_eq!(titles, ["9 requests, 0 ns, 01:47:54–01:47:55"]);
}

#[tokio::test]
async fn hostile_times_and_durations_have_their_cells() {
    let times = [
        (0, 0),
        (0, u64::MAX),
        (1, 1),
        (START.0, 1_999_999),
        (START.0, 2_000_000),
        (START.0 + 1, 99_999_999_999),
        (u64::MAX, 0),
        (u64::MAX - 1, 1),
        (u64::MAX / 2, u64::MAX / 2),
    ];
    let all = (1..)
        .zip(times)
        .map(|(n, (start, nanos))| hostile(n, start, nanos));
    let site = site(all);
    for uri in [
        "/",
        "/?max=1s",
        "/?from=2026-11-22",
        "/?to=2026-11-22T01:48",
    ] {
        let page = get(&site, uri).await;
        assert_eq!(page.status, StatusCode::OK, "{uri}: {}", page.text());
        assert!(check_links(&page, &site, ".hg a", 1).await > 0, "{uri}");
        check_links(&page, &site, ".hh a", 1).await;
    }
}

#[tokio::test]
async fn damage_is_said_of_the_map() {
    let mut store = FakeStore::with(many());
    store.unseen.stopped = Some(Stopped {
        limit: SearchLimit::Time(std::time::Duration::from_millis(300)),
        seen_beyond: Some(START.0),
    });
    let page = get(&site_at("", store), "/").await;
    let facts = page.texts(".heat .facts")[0].clone();
    assert!(facts.contains("map of 300 newest requests"), "{facts}");
    assert!(
        facts.contains("began after 22 Nov 2026 01:47:54.755 UTC"),
        "{facts}"
    );
    let href = &page.attributes(".heat .facts a", "href")[0];
    assert_eq!(href, "/?count=exact");
}

#[tokio::test]
async fn a_map_with_every_cell_keeps_within_the_pages_budget() {
    let cells = (0..60 * 14_u64).map(|cell| {
        const MS: [u64; 14] = [
            1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000,
        ];
        let (column, took) = (cell / 14, MS[usize::try_from(cell % 14).expect("few")]);
        request(cell + 1, column * 60_000, took)
    });
    let site = site(cells);
    let uri = "/?service=app&op=GET+%2F&q=duration+%3E+0ns";
    let page = get(&site, uri).await;
    assert_eq!(page.attributes(".hg a", "href").len(), 840);
    let n_nodes = page
        .html()
        .select(&Selector::parse("*").expect("a selector"))
        .count();
    assert!(n_nodes <= 2_500, "{n_nodes} nodes");
    let zipped = ask(&site, "GET", uri, &[(header::ACCEPT_ENCODING, "gzip")]).await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    let n_bytes = zipped.body.len();
    assert!(n_bytes <= 25 << 10, "{n_bytes} bytes");
}

#[tokio::test]
async fn the_json_is_of_the_same_map() {
    let site = site(many());
    let map = get(&site, "/api/v1/overview?last=1h&min=100ms")
        .await
        .json();
    assert_eq!(map["matched"], 300);
    assert_eq!(map["withErrors"], 60);
    assert_eq!(map["complete"], true);
    assert_eq!(map["percentiles"]["exact"], true);
    let cells = map["cells"].as_array().expect("cells");
    let requests = cells.iter().map(|cell| cell["requests"].as_u64());
    assert_eq!(requests.sum::<Option<u64>>(), Some(300));
    let bad = get(&site, "/api/v1/overview?min=soon").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}
