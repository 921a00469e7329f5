use std::collections::HashSet;
use std::time::Duration;

use http::StatusCode;
use longpole_proto::testing::{self, START, SpanBuilder};
use longpole_proto::{SpanKind, Trace};
use longpole_storage::Health;

use crate::testing::{
    FakeStore, NOW, Reply, checkout, eventful, get, site, site_at, trace_with_id,
};

const ID: &str = "b7ad6b7169203331a1b2c3d4e5f60709";

async fn page(trace: Trace, query: &str) -> Reply {
    let uri = format!("/trace/{}{query}", trace.id());
    get(&site([trace]), &uri).await
}

#[tokio::test]
async fn the_page_says_the_verdict_and_marks_one_row() {
    let page = page(checkout(), "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(
        page.texts(".verdict p"),
        [
            "Slowest hop: inventory GET /stock took 200 ms of 390 ms (51 %), on the critical path.",
            "Most of it is inside lock wait: 152 ms of self time (39 %). Show it",
        ]
    );
    assert_eq!(
        page.texts(".verdict b"),
        ["inventory GET /stock", "200 ms", "51 %", "lock wait"]
    );
    let hot = page.texts(".hot .n");
    assert_eq!(hot, ["▾inventory GET /stock◀ SLOWEST HOP 51 %"]);
    assert_eq!(
        page.attributes(".verdict a", "href"),
        ["#s-0000000000000002"]
    );
    assert_eq!(page.attributes(".hot", "id"), ["s-0000000000000002"]);
    assert_eq!(page.attributes(".hot .over", "fill"), ["url(#hatch)"]);
    assert_eq!(page.texts(".tag.e"), ["✕ error"]);
    assert_eq!(page.texts("#st"), ["all 5 spans shown"]);
    assert_eq!(
        page.texts("title"),
        ["gateway POST /checkout 390 ms – longpole"]
    );
    let facts = page.texts(".facts > span").join(" | ");
    assert!(
        facts.starts_with(
            "Took 390 ms | 22 Nov 2026 01:47:54.755 UTC | 5 spans | 4 services | 1 error"
        ),
        "{facts}"
    );
}

#[tokio::test]
async fn rows_say_in_words_what_their_bars_show() {
    let page = page(checkout(), "").await;
    assert_eq!(
        page.attributes(".g", "aria-label"),
        [
            "390 ms, starts at 0 ns, on the critical path for 40 ms",
            "200 ms, starts at 20 ms, on the critical path for 48 ms",
            "152 ms, starts at 58 ms, on the critical path for 152 ms",
            "39 ms, starts at 21 ms, not on the critical path itself",
            "150 ms, starts at 230 ms, on the critical path for 150 ms",
        ]
    );
    assert_eq!(
        page.texts(".off b"),
        ["pricing"],
        "what is not on the path is muted"
    );
    assert_eq!(
        page.attributes("[role=row]", "aria-level"),
        ["1", "2", "3", "2", "2"]
    );
}

#[tokio::test]
async fn services_share_the_critical_path_in_words_and_widths() {
    let page = page(checkout(), "").await;
    assert_eq!(
        page.attributes(".budget", "aria-label"),
        [
            "Critical path by service: inventory 51 %, 200 ms; payments 38 %, 150 ms; gateway 10 %, 40 ms"
        ]
    );
    assert_eq!(
        page.attributes(".budget i", "style"),
        ["width:51.28%", "width:38.46%", "width:10.26%"]
    );
}

#[tokio::test]
async fn findings_lead_to_their_spans() {
    let page = page(checkout(), "").await;
    let href = format!("/trace/{ID}?span=0000000000000005#s-0000000000000005");
    assert_eq!(page.attributes(".finds .err a", "href"), [href]);
}

#[tokio::test]
async fn a_trace_of_any_size_is_a_small_page_with_one_marked_row() {
    for n in [9, 1_000, 10_000] {
        let spans = (1..=n).map(|at| {
            let service = format!("service {}", at % 12);
            let span = SpanBuilder::new(at, &format!("GET /resource/{}", at % 7)).service(&service);
            let span = span
                .kind(SpanKind::Server)
                .at(at % 90, at % 90 + 1_000_000 / at);
            if at == 1 {
                span
            } else {
                span.parent(at / 5 + 1)
            }
        });
        let page = page(testing::trace_of(spans), "").await;
        assert_eq!(page.texts(".hot").len(), 1, "{n}");
        assert!(
            page.body.len() <= 120 * 1024,
            "{n} spans are a page of {} bytes",
            page.body.len()
        );
        let n_nodes = page
            .html()
            .tree
            .nodes()
            .filter(|node| node.value().is_element())
            .count();
        assert!(n_nodes <= 1_500, "{n} spans are {n_nodes} elements");
    }
    let chain = (1..=5_000).map(|at| {
        let span = SpanBuilder::new(at, "level").at(at, 20_000 - at);
        if at == 1 { span } else { span.parent(at - 1) }
    });
    let page = page(testing::trace_of(chain), "").await;
    assert_eq!(page.texts(".hot").len(), 1);
    assert!(page.text().contains("levels"), "the middle is folded");
}

#[tokio::test]
async fn links_on_the_pages_reach_every_span() {
    let root = SpanBuilder::new(1, "root").at(0, 5_000);
    let calls = (2..=450).map(|at| {
        SpanBuilder::new(at, "call")
            .parent(1)
            .at(at * 10, at * 10 + 9)
    });
    let inner = (451..=500).map(|at| {
        SpanBuilder::new(at, "inner")
            .parent(at - 400)
            .at(at, at + 1)
    });
    let shared = [
        SpanBuilder::new(600, "client")
            .kind(SpanKind::Client)
            .parent(1)
            .at(1, 9),
        SpanBuilder::new(600, "server")
            .kind(SpanKind::Server)
            .parent(1)
            .at(2, 8),
        SpanBuilder::new(700, "orphan").parent(9_999).at(3, 4),
    ];
    let trace = testing::trace_of(
        std::iter::once(root)
            .chain(calls)
            .chain(inner)
            .chain(shared),
    );
    let n_spans = trace.len();
    let site = site([trace]);
    let mut seen: HashSet<String> = HashSet::new();
    let mut pages: HashSet<String> = HashSet::new();
    let mut waiting = vec![format!("/trace/{ID}")];
    while let Some(uri) = waiting.pop() {
        let page = get(&site, &uri).await;
        assert_eq!(page.status, StatusCode::OK, "{uri}");
        assert_eq!(page.texts(".hot").len(), 1, "{uri}");
        seen.extend(page.attributes(".r[id]", "id"));
        for href in page.attributes(".r a.x", "href") {
            let href = href.split('#').next().unwrap_or_default().to_owned();
            // Only what opens one row: what is below it is opened from there.
            let first = href.split("x=").last().unwrap_or_default().to_owned();
            if pages.insert(first) {
                waiting.push(href);
            }
        }
    }
    assert_eq!(seen.len(), n_spans);
}

#[tokio::test]
async fn a_young_trace_says_that_more_may_come() {
    let mut store = FakeStore::default();
    store.put(&checkout(), NOW.minus(Duration::from_secs(3)));
    store.put(
        &trace_with_id(2, [SpanBuilder::new(1, "old").at(0, 1)]),
        NOW.minus(Duration::from_secs(11)),
    );
    let site = site_at("", store);
    let young = get(&site, &format!("/trace/{ID}")).await;
    assert_eq!(
        young.texts(".note"),
        ["Its newest span came 3.00 s ago: more may be on the way. Reload"]
    );
    let old = get(&site, &format!("/trace/{:032x}", 2)).await;
    assert_eq!(old.texts(".note"), [""; 0]);
}

#[tokio::test]
async fn an_unknown_trace_is_a_page_that_says_what_it_could_be() {
    let mut store = FakeStore::with([checkout()]);
    store.status.health = Health {
        retention: Duration::from_hours(7 * 24),
        max_disk_bytes: 10 << 30,
        oldest_received: Some(START),
        ..Health::default()
    };
    let site = site_at("", store);
    let uri = format!("/trace/{:032x}", 0xbad);
    let page = get(&site, &uri).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.header("content-type").starts_with("text/html"));
    let text = page.texts("main").concat();
    let missing = format!("trace {:032x} is not stored", 0xbad);
    assert!(text.contains(&missing), "{text}");
    assert_eq!(
        page.texts("main li"),
        [
            "It may still be on the way: applications send spans in batches, seconds after they end. \
             Reload in a moment.",
            "It may have expired: spans are kept for 7 days after they arrive, while all of them take \
             less than 10.0 GiB; the oldest that is stored arrived at 22 Nov 2026 01:47:54.755 UTC.",
            "It may have been refused: something last was at 22 Nov 2026 01:47:54.755 UTC (2 spans \
             refused: <b>invalid</b> trace ID).",
            "Or it was never sent here: it was not sampled, or its exporter sends elsewhere.",
        ]
    );
    let links = page.attributes("main a", "href");
    assert_eq!(links, [uri.as_str(), "/"]);
    let json = get(&site, &format!("/api/v1{}", uri.replace("trace", "traces"))).await;
    let hint = json.json()["error"]["hint"].to_string();
    assert!(
        hint.contains("It may have expired: spans are kept for 7 days"),
        "{hint}"
    );
}

#[tokio::test]
async fn an_unknown_trace_may_be_refused_now_or_be_among_the_damaged() {
    let mut store = FakeStore::default();
    store.status = eventful();
    store.status.health.oldest_received = None;
    let page = get(&site_at("", store), &format!("/trace/{:032x}", 0xbad)).await;
    let reasons = page.texts("main li").join("\n");
    for part in [
        "nothing is stored now",
        "It may have been refused. The disk is nearly full: spans are refused.",
        "It may have been in what was damaged",
    ] {
        assert!(reasons.contains(part), "{part} is not in: {reasons}");
    }
}

#[tokio::test]
async fn what_is_no_trace_id_is_told_what_one_looks_like() {
    let site = site([checkout()]);
    for uri in [
        "/trace/no-id",
        "/trace/00000000000000000000000000000000",
        "/trace/%3Cscript%3E",
        "/trace/%ff",
        "/trace?id=<b>",
    ] {
        let page = get(&site, &uri.replace('<', "%3C").replace('>', "%3E")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{uri}");
        assert!(
            page.texts("main").concat().contains("32 hex digits"),
            "{uri}: {}",
            page.text()
        );
        assert_eq!(page.texts("main script, main b").len(), 0, "{uri}");
    }
}

#[tokio::test]
async fn parameters_that_mean_nothing_are_named() {
    let site = site([checkout()]);
    for (query, name) in [
        ("span=xyz", "span=xyz"),
        ("x=1", "x=1"),
        ("q=lock", "q is not a parameter here"),
    ] {
        let page = get(&site, &format!("/trace/{ID}?{query}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(
            page.texts("main").concat().contains(name),
            "{query}: {}",
            page.text()
        );
    }
}
