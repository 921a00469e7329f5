use std::collections::BTreeSet;

use super::*;
use crate::format::Count;

/// A trace of `n` spans, each under the one before.
fn chain(n: u64) -> Trace {
    testing::trace_of((1..=n).map(|at| {
        let span = SpanBuilder::new(at, "level").at(at, 3 * n - at);
        if at == 1 { span } else { span.parent(at - 1) }
    }))
}

#[tokio::test]
async fn every_span_has_a_row_on_one_of_the_pages() {
    let trace = calls(1_000);
    let n = trace.len();
    let all: BTreeSet<String> = (0..n)
        .map(|at| trace.span(at).span_id.to_string())
        .collect();
    let site = site([trace]);
    let mut seen = BTreeSet::new();
    let mut uri = format!("/trace/{ID}?view=all");
    for page in 1.. {
        let reply = get(&site, &uri).await;
        assert_eq!(reply.status, StatusCode::OK, "{uri}");
        let (from, to) = (200 * (page - 1) + 1, (200 * page).min(n));
        let said = format!("rows {}–{} of 1,001", Count::from(from), Count::from(to));
        assert_eq!(reply.texts("#st"), [said.as_str()]);
        assert_eq!(reply.texts(".pages span"), [said.as_str(), &said]);
        assert_eq!(reply.attributes("#tg", "aria-rowcount"), ["1001"]);
        let rows = reply.attributes(".r", "aria-rowindex");
        assert_eq!(rows.first(), Some(&from.to_string()));
        assert_eq!(rows.last(), Some(&to.to_string()));
        let ids = reply.attributes(".r", "id");
        seen.extend(ids.iter().map(|id| id.trim_start_matches("s-").to_owned()));
        let next = reply.attributes(".pages a[rel=next]", "href");
        let Some(next) = next.first() else {
            assert_eq!(to, n);
            break;
        };
        uri.clone_from(next);
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn the_pages_lead_to_one_another_and_keep_what_is_selected() {
    let site = site([chain(1_000)]);
    let page = get(&site, &format!("/trace/{ID}?view=all&page=3")).await;
    assert_eq!(
        page.texts(".pages a")[..4],
        ["First", "Previous", "Next", "Last"]
    );
    let hrefs = ["", "&page=2", "&page=4", "&page=5"];
    let hrefs = hrefs.map(|page| format!("/trace/{ID}?view=all{page}"));
    assert_eq!(page.attributes(".pages a", "href")[..4], hrefs);
    let far = get(&site, &format!("/trace/{ID}?view=all&page=77")).await;
    assert_eq!(far.texts("#st"), ["rows 801–1,000 of 1,000"]);

    // A span is looked for on all pages, unless one is named.
    let span = format!("{:016x}", 450);
    let held = get(&site, &format!("/trace/{ID}?view=all&span={span}")).await;
    assert_eq!(held.attributes(".sel", "id"), [format!("s-{span}")]);
    assert_eq!(held.texts("#st"), ["rows 401–600 of 1,000"]);
    let first = format!("/trace/{ID}?view=all&page=1&span={span}");
    assert_eq!(held.attributes(".pages a", "href")[0], first);
    let first = get(&site, &first).await;
    assert_eq!(first.texts("#st"), ["rows 1–200 of 1,000"]);
    assert_eq!(first.texts(".dr h2").len(), 1);
    let closed = held.attributes(".dr .close", "href");
    assert_eq!(closed, [format!("/trace/{ID}?view=all&page=3#s-{span}")]);
}

#[tokio::test]
async fn the_slowest_hop_is_reached_from_every_page() {
    // The last of 500 calls is the slowest.
    let calls = (0..500).map(|at| {
        let end = if at == 499 { 9_000 } else { at * 10 + 5 };
        let call = SpanBuilder::new(2 + at, "call").service("stock").parent(1);
        call.at(at * 10, end)
    });
    let root = SpanBuilder::new(1, "GET /").at(0, 9_100);
    let site = site([testing::trace_of(std::iter::once(root).chain(calls))]);
    let first = get(&site, &format!("/trace/{ID}?view=all")).await;
    assert_eq!(first.texts(".hot").len(), 0);
    let show = first.attributes(".verdict a", "href");
    let span = format!("{:016x}", 501);
    assert_eq!(show, [format!("/trace/{ID}?view=all&span={span}#s-{span}")]);
    let page = get(&site, show[0].split('#').next().unwrap_or_default()).await;
    assert_eq!(page.attributes(".hot", "id"), [format!("s-{span}")]);
    assert_eq!(
        page.attributes(".verdict a", "href"),
        [format!("#s-{span}")]
    );
}

#[tokio::test]
async fn all_spans_are_told_where_a_script_finds_them() {
    let story = page(checkout(), "").await;
    assert_eq!(story.texts("#all"), ["All 5 spans"]);
    assert_eq!(story.attributes("#lay", "data-columns-url"), [""; 0]);
    let all = page(checkout(), "?view=all").await;
    let columns = format!("/api/v1/traces/{ID}/columns");
    assert_eq!(all.attributes("#lay", "data-columns-url"), [columns]);
    assert_eq!(all.texts("#st"), ["all 5 spans shown"]);
    assert_eq!(all.texts(".pages").len(), 0);
    assert_eq!(all.attributes("#all", "href"), [format!("/trace/{ID}")]);
    let found = page(checkout(), "?view=all&q=lock%20wait").await;
    let columns = format!("/api/v1/traces/{ID}/columns?q=lock%20wait");
    assert_eq!(found.attributes("#lay", "data-columns-url"), [columns]);
}

#[tokio::test]
async fn spans_of_a_pair_have_rows_of_their_own() {
    let all = page(called(), "?view=all").await;
    assert_eq!(
        all.texts(".r .n"),
        [
            "▾web GET /",
            "▾web GET✕ error",
            "stock GET /stock◀ SLOWEST HOP 83 %most of it here 67 %"
        ]
    );
    assert_eq!(all.attributes(".r", "aria-level"), ["1", "2", "3"]);
}
