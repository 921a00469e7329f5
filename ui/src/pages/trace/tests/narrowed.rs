//! Pages of a part of a trace: of what is under a span, of a stretch of time.

use super::*;

#[tokio::test]
async fn only_a_span_and_what_is_under_it_is_shown_when_asked_for() {
    let root = "root=0000000000000002";
    let story = page(checkout(), &format!("?{root}")).await;
    assert_eq!(
        story.texts(".r .o"),
        ["inventory GET /stock", "inventory lock wait"]
    );
    assert_eq!(story.attributes(".r", "aria-level"), ["1", "2"]);
    assert_eq!(story.texts("#st"), ["all 2 spans shown"]);
    let said = "Showing 2 spans under inventory GET /stock · one level up · whole request";
    assert_eq!(story.texts(".note"), [said]);
    let ways = [
        format!("/trace/{ID}?root=0000000000000001"),
        format!("/trace/{ID}"),
    ];
    assert_eq!(story.attributes(".note a", "href"), ways);
    // The time stays the request's, and so does what is on its critical path.
    assert_eq!(story.texts(".ax .end"), ["390 ms"]);
    let whole = page(checkout(), "").await;
    let bar = |page: &Reply| page.attributes("#s-0000000000000003 .wait", "x");
    assert_eq!(bar(&story), bar(&whole));

    let all = page(checkout(), &format!("?view=all&{root}")).await;
    assert_eq!(all.texts(".r .o"), story.texts(".r .o"));
    assert_eq!(all.attributes(".r", "aria-level"), ["1", "2"]);
    assert_eq!(all.attributes("#lay", "data-columns-url"), [""; 0]);
    assert_eq!(all.texts("#all"), ["All 2 spans"]);
    let errors = page(checkout(), &format!("?view=errors&{root}")).await;
    assert_eq!(
        errors.texts("#st"),
        ["1 row for the 0 of 2 spans that failed"]
    );

    for page in [story, all] {
        for href in page.attributes(".r a, .bar a", "href") {
            assert!(href.contains(root), "{href}");
        }
        // The error is not under the root.
        let href = page.attributes(".finds .err a", "href").concat();
        assert!(!href.contains("root="), "{href}");
    }
}

#[tokio::test]
async fn a_call_is_looked_at_with_both_its_spans() {
    for root in ["2", "3"] {
        let story = page(called(), &format!("?root=000000000000000{root}")).await;
        assert_eq!(story.texts(".r .o"), ["stock GET /stock"]);
        assert_eq!(story.texts("#st"), ["all 2 spans shown"]);
    }
}

#[tokio::test]
async fn a_root_that_is_not_stored_is_said_and_everything_shown() {
    let story = page(checkout(), "?root=00000000000000ff").await;
    assert_eq!(story.texts("[role=row]").len(), 5);
    let said = "Span 00000000000000ff, under which to look, is not stored: all spans are shown · whole request";
    assert_eq!(story.texts(".note"), [said]);
}

#[tokio::test]
async fn a_stretch_of_time_is_drawn_as_wide_as_the_page() {
    let zoom = "t0=100000&t1=300000";
    let story = page(checkout(), &format!("?{zoom}")).await;
    assert_eq!(
        story.texts(".ax span"),
        ["100 ms", "+50 ms", "+100 ms", "+150 ms", "+200 ms"]
    );
    assert_eq!(
        story.texts(".note"),
        ["Zoomed to 200 ms from 100 ms on · reset zoom"]
    );
    assert_eq!(
        story.attributes(".note a", "href"),
        [format!("/trace/{ID}")]
    );
    // POST /charge begins at 230 ms and goes on after the end.
    let charge = "#s-0000000000000005";
    assert_eq!(story.attributes(&format!("{charge} .wait"), "x"), ["65%"]);
    assert_eq!(
        story.attributes(&format!("{charge} .wait"), "width"),
        ["35%"]
    );
    assert_eq!(
        story.attributes(&format!("{charge} .g"), "class"),
        ["g after"]
    );
    assert_eq!(
        story.attributes(&format!("{charge} .g"), "aria-label"),
        ["150 ms, starts at 230 ms, on the critical path for 150 ms"]
    );
    assert_eq!(
        story.attributes("#s-0000000000000001 .g", "class"),
        ["g before after"]
    );
    // POST /quote is over.
    assert_eq!(story.texts("#s-0000000000000004 em"), ["‹ 40 ms earlier"]);
    assert_eq!(
        story.attributes(".cp .line", "d"),
        ["M0 68.5H550V44.5H600V20.5H650V116.5H1000"]
    );
    assert_eq!(story.attributes(".cp .edge", "d"), ["M0 0V120M600 0V120"]);
    for href in story.attributes(".r a, .bar a", "href") {
        assert!(href.contains(zoom), "{href}");
    }

    let all = page(checkout(), &format!("?view=all&{zoom}")).await;
    assert_eq!(
        all.texts(".r b"),
        ["gateway", "inventory", "inventory", "payments"]
    );
    assert_eq!(all.texts("#st"), ["4 of 5 spans shown"]);
    assert_eq!(all.attributes("#lay", "data-columns-url"), [""; 0]);
}

#[tokio::test]
async fn what_matters_in_a_stretch_of_time_has_rows() {
    // Of 400 calls the 300th matters least in the request, and most while it runs.
    let calls = (0..400).flat_map(|at| {
        let (call, start) = (2 + 2 * at, at * 10);
        let name = ["read", "write"][usize::from(at % 2 == 0)];
        let query = SpanBuilder::new(call + 1, "query").parent(call);
        [
            SpanBuilder::new(call, name).parent(1).at(start, start + 10),
            query.at(start + 1, start + 9),
        ]
    });
    let root = SpanBuilder::new(1, "root").at(0, 4_000);
    let trace = testing::trace_of(std::iter::once(root).chain(calls));
    let site = site([trace]);
    let row = format!("#s-{:016x}", 2 + 2 * 300 + 1);
    let whole = get(&site, &format!("/trace/{ID}")).await;
    assert_eq!(whole.texts(&row).len(), 0);
    let part = get(&site, &format!("/trace/{ID}?t0=3000000&t1=3010000")).await;
    assert_eq!(part.texts(&row).len(), 1, "{:?}", part.texts(".r .o"));
}

#[tokio::test]
async fn times_that_mean_nothing_are_refused_by_name() {
    let site = site([checkout()]);
    for (query, said) in [
        ("t0=soon", "t0=soon"),
        ("t1=-1", "t1=-1"),
        ("t0=5&t1=5", "more than t0, which is 5"),
        ("t0=390000", "less than 390000, where the trace ends"),
    ] {
        let page = get(&site, &format!("/trace/{ID}?{query}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query}");
        let text = page.texts("main").concat();
        assert!(text.contains(said), "{query}: {text}");
    }
    let far = get(&site, &format!("/trace/{ID}?t0=389999&t1=99999999")).await;
    assert_eq!(far.status, StatusCode::OK);
    assert_eq!(far.texts(".ax .end"), ["+1.0 µs"]);
}
