mod filter;
mod list;
mod narrowed;
mod table;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use http::{StatusCode, header};
use longpole_proto::testing::{self, START, SpanBuilder};
use longpole_proto::{SpanKind, Trace};
use longpole_storage::Health;

use crate::testing::{
    FakeStore, NOW, Reply, ask, checkout, eventful, get, site, site_at, trace_with_id,
};
use crate::trace_view::SpanRefs;

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

/// Services that call one another, `n` spans in all; every call is a pair with a network between,
/// and many fail.
fn calls(n: u64) -> Trace {
    let calls = (1..=n / 2).flat_map(|at| {
        let (client, server) = (2 * at, 2 * at + 1);
        let caller = 2 * (at / 5) + 1;
        let length = 1_000_000 / at;
        let start = at % 90;
        let call = SpanBuilder::new(client, "GET").kind(SpanKind::Client);
        let call = call.service(&format!("service {}", at / 5 % 12));
        let name = format!("GET /resource/{}/with/a/long/name", at % 7);
        let answer = SpanBuilder::new(server, &name).kind(SpanKind::Server);
        let answer = answer.service(&format!("service {}", at % 12 + 1));
        let answer = answer.parent(client);
        let answer = answer.at(start + length / 9, start + length - length / 9);
        [
            call.parent(caller).at(start, start + length),
            if at % 3 == 0 {
                answer.error("no")
            } else {
                answer
            },
        ]
    });
    let root = SpanBuilder::new(1, "GET /").at(0, 1_000_100);
    testing::trace_of(std::iter::once(root).chain(calls))
}

/// The same without clients: every span is a hop.
fn visits(n: u64) -> Trace {
    testing::trace_of((1..=n).map(|at| {
        let service = format!("service {}", at % 12);
        let span = SpanBuilder::new(at, &format!("GET /resource/{}", at % 7)).service(&service);
        let span = span.kind(SpanKind::Server);
        let span = span.at(at % 90, at % 90 + 1_000_000 / at);
        if at == 1 {
            span
        } else {
            span.parent(at / 5 + 1)
        }
    }))
}

#[tokio::test]
async fn a_trace_of_any_size_is_a_small_page_with_one_marked_row() {
    let sizes = [9, 60, 1_000, 10_000];
    let traces = sizes.into_iter().flat_map(|n| [calls(n), visits(n)]);
    for trace in traces {
        let n = trace.len();
        let site = site([trace]);
        let queries = [
            "",
            "?view=path",
            "?view=errors",
            "?view=all",
            "?view=table",
            "?q=service",
            "?t0=0&t1=1000000",
        ];
        for query in queries {
            let uri = format!("/trace/{ID}{query}");
            let page = get(&site, &uri).await;
            let is_list = ["?view=all", "?view=table"].contains(&query);
            assert!(page.texts(".hot").len() == 1 || is_list, "{n} {query}");
            // A list has 200 rows as soon as there are so many spans, each with all its tags.
            let nodes_max = if is_list { 3_500 } else { 1_500 };
            let gzip_bytes_max = if n > 1_001 || is_list { 12 } else { 10 } * 1024;
            let n_nodes = page
                .html()
                .tree
                .nodes()
                .filter(|node| node.value().is_element())
                .count();
            assert!(
                n_nodes <= nodes_max,
                "{n} spans are {n_nodes} elements, {query}"
            );
            let zipped = ask(&site, "GET", &uri, &[(header::ACCEPT_ENCODING, "gzip")]).await;
            assert_eq!(zipped.header("content-encoding"), "gzip");
            let n_bytes = zipped.body.len();
            assert!(
                n_bytes <= gzip_bytes_max,
                "{n} spans are a page of {n_bytes} bytes, {query}"
            );
        }
    }
    let chain = (1..=5_000).map(|at| {
        let span = SpanBuilder::new(at, "level").at(at, 20_000 - at);
        if at == 1 { span } else { span.parent(at - 1) }
    });
    let page = page(testing::trace_of(chain), "").await;
    assert_eq!(page.texts(".hot").len(), 1);
    assert!(page.text().contains("levels"), "the middle is folded");
}

/// A shop's slow page: items asked for one by one, now and then in pairs, some with queries of
/// their own; with spans that share an ID, and one whose parent is not stored.
fn shop() -> Trace {
    let mut spans = vec![SpanBuilder::new(1, "GET /shop").service("web").at(0, 9_000)];
    for item in 0..300 {
        let (client, start) = (2 + 3 * item, item * 20);
        let call = SpanBuilder::new(client, "GET").service("web");
        spans.push(call.kind(SpanKind::Client).parent(1).at(start, start + 18));
        let name = ["GET /item", "GET /price"][usize::from(item % 40 >= 30 && item % 2 == 0)];
        let answer = SpanBuilder::new(client + 1, name).service("items");
        let answer = answer.kind(SpanKind::Server).parent(client);
        spans.push(answer.at(start + 2, start + 16));
        let query = SpanBuilder::new(client + 2, "SELECT").service("items");
        let query = query.parent(client + 1).at(start + 3, start + 9);
        spans.push(if item % 97 == 0 {
            query.error("no row")
        } else {
            query
        });
    }
    spans.extend((1_000..1_097).map(|at| {
        SpanBuilder::new(at, ["read", "write"][usize::from(at % 2 == 0)])
            .service("web")
            .parent(1)
            .at(6_000 + at, 6_001 + at)
    }));
    spans.extend([
        SpanBuilder::new(2_000, "client")
            .kind(SpanKind::Client)
            .parent(1)
            .at(1, 9),
        SpanBuilder::new(2_000, "server")
            .kind(SpanKind::Server)
            .parent(1)
            .at(2, 8),
        SpanBuilder::new(2_001, "orphan").parent(9_999).at(3, 4),
    ]);
    testing::trace_of(spans)
}

#[tokio::test]
async fn links_reach_every_span_of_a_thousand() {
    let trace = shop();
    assert!(trace.len() >= 1_000);
    let refs = SpanRefs::of(&trace);
    let names: BTreeSet<String> = (0..trace.len())
        .map(|at| refs.name(at).to_string())
        .collect();
    let site = site([trace]);
    // Pages with other rows open are followed; of spans only their details are read.
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut opened: HashSet<String> = HashSet::new();
    let mut waiting = vec![format!("/trace/{ID}")];
    while let Some(uri) = waiting.pop() {
        let page = get(&site, &uri).await;
        assert_eq!(page.status, StatusCode::OK, "{uri}");
        assert_eq!(page.texts(".hot").len(), 1, "{uri}");
        for href in page.attributes(".r a.x", "href") {
            let href = href.split('#').next().unwrap_or_default().to_owned();
            // Only what opens one row: what is below it is opened from there.
            let first = href.split("x=").last().unwrap_or_default().to_owned();
            if opened.insert(first) {
                waiting.push(href);
            }
        }
        for href in page.attributes(".r a.o", "href") {
            seen.extend(selected_by(&href));
        }
    }
    for span in seen.clone() {
        let details = get(&site, &format!("/trace/{ID}/span/{span}")).await;
        assert_eq!(details.status, StatusCode::OK, "{span}");
        for href in details.attributes(".other a", "href") {
            seen.extend(selected_by(&href));
        }
    }
    assert_eq!(seen, names);
}

/// The span a link selects.
fn selected_by(href: &str) -> Option<String> {
    let (_, query) = href.split('#').next()?.split_once('?')?;
    let span = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("span="))?;
    Some(span.to_owned())
}

/// A call of 100 ms whose server has it for 80, and which fails for the caller only.
fn called() -> Trace {
    testing::trace_of([
        SpanBuilder::new(1, "GET /").service("web").at(0, 120),
        SpanBuilder::new(2, "GET")
            .service("web")
            .kind(SpanKind::Client)
            .parent(1)
            .at(10, 110)
            .error("timeout"),
        SpanBuilder::new(3, "GET /stock")
            .service("stock")
            .kind(SpanKind::Server)
            .parent(2)
            .at(20, 100),
    ])
}

#[tokio::test]
async fn a_call_is_one_row_that_both_its_spans_select() {
    let row = "stock GET /stock◀ SLOWEST HOP 83 %most of it here 67 %✕ error at the caller↔ 20 ms network";
    let plain = page(called(), "").await;
    assert_eq!(plain.texts(".hot .n"), [row]);
    assert_eq!(plain.texts(".hot .v"), ["100 ms self 100 ms"]);
    assert_eq!(
        plain.attributes(".hot .g", "aria-label"),
        ["100 ms, starts at 10 ms, on the critical path for 100 ms"]
    );
    assert_eq!(plain.attributes(".hot .wh", "d").len(), 1);
    assert_eq!(plain.texts("#st"), ["all 3 spans shown"]);
    let of_server = format!("/trace/{ID}?span=0000000000000003#s-0000000000000003");
    assert_eq!(plain.attributes(".hot a.o", "href"), [of_server.as_str()]);

    let server = page(called(), "?span=0000000000000003").await;
    assert_eq!(server.attributes(".sel", "id"), ["s-0000000000000003"]);
    assert_eq!(
        server.texts(".other"),
        ["Called by web GET in 100 ms, ↔ 20 ms network and queue between them. ✕ error there"]
    );
    let of_client = format!("/trace/{ID}?span=0000000000000002#s-0000000000000003");
    assert_eq!(server.attributes(".other a", "href"), [of_client]);

    let client = page(called(), "?span=0000000000000002").await;
    assert_eq!(client.attributes(".sel", "id"), ["s-0000000000000003"]);
    assert_eq!(client.texts(".dr h2"), ["webGET"]);
    assert_eq!(
        client.texts(".other"),
        ["Answered by stock GET /stock in 80 ms, ↔ 20 ms network and queue between them."]
    );
    assert_eq!(client.attributes(".other a", "href"), [of_server]);
}

#[tokio::test]
async fn a_group_says_how_many_calls_and_errors_it_stands_for() {
    let calls = (0..153).map(|at| {
        let call = SpanBuilder::new(2 + at, "SELECT item").service("db");
        let call = call.parent(1).at(at * 10, at * 10 + 2 + at % 3);
        if at % 50 == 0 { call.error("no") } else { call }
    });
    let root = SpanBuilder::new(1, "GET /list").at(0, 1_530);
    let trace = testing::trace_of(std::iter::once(root).chain(calls));
    let site = site([trace]);
    let closed = get(&site, &format!("/trace/{ID}")).await;
    assert_eq!(
        closed.texts(".group .n"),
        ["▸db SELECT item×153 · median 3.0 ms · max 4.0 ms✕ 4 errors"]
    );
    assert_eq!(closed.texts(".group .v"), ["459 ms in all"]);
    assert_eq!(closed.texts("#st"), ["2 rows stand for 154 spans"]);
    let open = format!("/trace/{ID}?x=group-0000000000000002#g-0000000000000002");
    assert_eq!(closed.attributes(".group a.x", "href"), [open.as_str()]);

    let page = get(&site, open.split('#').next().unwrap_or_default()).await;
    assert_eq!(page.attributes(".group", "aria-expanded"), ["true"]);
    assert_eq!(page.texts("[role=row]").len(), 155);
    assert_eq!(page.texts(".r:not(.group) .tag.e").len(), 4);
    let close = format!("/trace/{ID}#g-0000000000000002");
    assert_eq!(page.attributes(".group a.x", "href"), [close]);
}

#[tokio::test]
async fn a_fold_counts_the_errors_in_it() {
    let calls = (0..200).map(|at| {
        let name = ["read", "write"][usize::from(at % 2 == 0)];
        let call = SpanBuilder::new(2 + at, name).parent(1);
        let call = call.at(at * 10, at * 10 + 5);
        if at % 4 == 0 { call.error("no") } else { call }
    });
    let root = SpanBuilder::new(1, "GET /list").at(0, 2_000);
    let trace = testing::trace_of(std::iter::once(root).chain(calls));
    let page = page(trace, "").await;
    // 10 of the 50 errors have rows of their own.
    assert_eq!(page.texts(".r:not(.fold) .tag.e").len(), 10);
    let folds = page.texts(".fold .n");
    assert_eq!(folds.len(), 10);
    assert_eq!(folds[9], "▸⋯ 163 more calls✕ 40 errors");
}

#[tokio::test]
async fn links_show_only_the_critical_path_or_errors_and_keep_the_rest() {
    let story = page(checkout(), "?span=0000000000000005&x=0000000000000002").await;
    let names = ["Critical path only", "Errors only", "All 5 spans", "Table"];
    assert_eq!(story.texts(".bar a"), names);
    let rest = "span=0000000000000005&x=0000000000000002";
    let hrefs =
        ["path", "errors", "all", "table"].map(|view| format!("/trace/{ID}?view={view}&{rest}"));
    assert_eq!(story.attributes(".bar a", "href"), hrefs);

    let path = page(checkout(), &format!("?view=path&{rest}")).await;
    assert_eq!(
        path.texts(".r b"),
        ["gateway", "inventory", "inventory", "payments"]
    );
    assert_eq!(
        path.texts("#st"),
        ["4 rows for the 4 of 5 spans on the critical path"]
    );
    assert_eq!(path.texts("[aria-current=true].on"), ["Critical path only"]);
    let hrefs = ["", "view=errors&", "view=all&", "view=table&"]
        .map(|view| format!("/trace/{ID}?{view}{rest}"));
    assert_eq!(path.attributes(".bar a", "href"), hrefs);
    for href in path.attributes(".r a, .finds a, .dr .close, .dr dd a", "href") {
        assert!(href.contains("view=path"), "{href}");
    }

    let errors = page(checkout(), "?view=errors").await;
    assert_eq!(errors.texts(".r b"), ["gateway", "inventory", "payments"]);
    assert_eq!(errors.texts(".hot b"), ["inventory"]);
    assert_eq!(
        errors.texts("#st"),
        ["3 rows for the 1 of 5 spans that failed"]
    );
    let none = page(called_well(), "").await;
    assert_eq!(
        none.texts(".bar a"),
        ["Critical path only", "The span", "Table"]
    );
}

fn called_well() -> Trace {
    testing::trace_of([SpanBuilder::new(1, "GET /").at(0, 10)])
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
        opened: START,
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
            "It may have expired before longpole was started at 22 Nov 2026 01:47:54.755 UTC, not since: \
             spans are kept for 7 days after they arrive, while all of them take less than 10.0 GiB; the \
             oldest that is stored arrived at 22 Nov 2026 01:47:54.755 UTC.",
            "It may have been refused: something last was at 22 Nov 2026 01:47:54.755 UTC (2 spans \
             refused: <b>invalid</b> trace ID).",
            "Or it was never sent here: it was not sampled, or its exporter sends elsewhere.",
        ]
    );
    let links = page.attributes("main a", "href");
    assert_eq!(links, [uri.as_str(), "/"]);
    let json = get(&site, &format!("/api/v1{}", uri.replace("trace", "traces"))).await;
    let hint = json.json()["error"]["hint"].to_string();
    assert!(hint.contains("spans are kept for 7 days"), "{hint}");
}

#[tokio::test]
async fn an_unknown_trace_may_be_refused_now_or_be_among_the_damaged() {
    let mut store = FakeStore::default();
    store.status = eventful();
    let page = get(&site_at("", store), &format!("/trace/{:032x}", 0xbad)).await;
    let reasons = page.texts("main li").join("\n");
    for part in [
        "It has expired if it arrived before 22 Nov 2026 01:47:54.755 UTC",
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
    ] {
        let page = get(&site, uri).await;
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
        ("view=map", "view=map"),
        ("page=0", "page=0"),
        ("query=lock", "query is not a parameter here"),
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
