//! The trace page in a real Chromium: its keys, its rows, hostile and broken traces, paper.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;

use longpole_tests::spans::{Draft, MS};
use longpole_tests::{Browser, Medium, Script, Server, eventually, large, spans};

use crate::pages::CHECKOUT_VERDICT;

const TRACE: u128 = 0x7ace;

/// A server that has a trace, and the URL of its page.
async fn with(requests: impl IntoIterator<Item = ExportTraceServiceRequest>) -> (Server, String) {
    let server = Server::start().await;
    for request in requests {
        server.client().export(&request).await;
    }
    let page = server.ui_url(&format!("/trace/{TRACE:032x}"));
    (server, page)
}

/// The URL of the page with a span's details.
fn with_span(page: &str, span: u64) -> String {
    format!("{page}?span={span:016x}")
}

/// What a script finds on the page.
async fn look(browser: &Browser, expression: &str) -> Value {
    browser.run(&format!("return {expression}")).await
}

/// Waits until the first thing that matches a selector has this in its text.
async fn reads(browser: &Browser, selector: &str, part: &str) {
    eventually(part, async || {
        let texts = browser.texts(selector).await;
        texts.first()?.contains(part).then_some(())
    })
    .await;
}

/// The text of the row that the grid says is the current one.
async fn current(browser: &Browser) -> String {
    let row = "document.getElementById(document.querySelector('#tg').getAttribute('aria-activedescendant'))";
    let found = look(browser, &format!("{row}.querySelector('.n').textContent")).await;
    found.as_str().expect("text").to_owned()
}

async fn focused(browser: &Browser) -> Value {
    look(browser, "document.activeElement.id").await
}

async fn assert_calm(browser: &Browser) {
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verdict_says_which_hop_was_slow_how_much_and_what_in_it() {
    let (_server, page) = with([spans::request(spans::checkout_with_errors(TRACE))]).await;
    let browser = Browser::start(Script::On).await;
    browser.open(&page).await;
    let said = browser.texts(".verdict p").await;
    let inside = "Most of it is inside lock wait sku-8812: 152 ms of self time (39 %). Show it";
    assert_eq!(said, [CHECKOUT_VERDICT, inside]);
    let tags = browser.texts(".tag.h").await;
    assert_eq!(tags, ["◀ SLOWEST HOP 51 %", "most of it here 39 %"]);
    let facts = browser.texts(".facts").await.concat();
    for fact in ["Took 390 ms", "9 spans", "5 services", "1 error", "depth 4"] {
        assert!(facts.contains(fact), "{fact} is not in: {facts}");
    }
    browser.click(".verdict a").await;
    let row = look(&browser, "document.querySelector(':target').className").await;
    assert!(
        row.as_str().is_some_and(|class| class.contains("hot")),
        "{row}"
    );
    assert_calm(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_lead_to_the_slowest_hop_to_errors_and_into_details() {
    let (_server, page) = with([spans::request(spans::checkout_with_errors(TRACE))]).await;
    let browser = Browser::start(Script::On).await;
    browser.open(&page).await;
    browser.press("s").await;
    assert!(current(&browser).await.contains("GET /stock"));
    browser.press("e").await;
    assert!(current(&browser).await.contains("api.acme-pay.test"));

    look(&browser, "document.querySelector('#tg').focus()").await;
    browser.press("Enter").await;
    reads(&browser, "#dr h2", "api.acme-pay.test").await;
    assert_eq!(focused(&browser).await, "dr");
    assert!(browser.url().await.contains(&format!("span={:016x}", 8)));
    let details = browser.texts("#dr h3").await;
    assert!(
        details[0].contains("Exception"),
        "first of all: {details:?}"
    );
    browser.press("Escape").await;
    assert_eq!(browser.texts("#dr").await.len(), 0);
    assert_eq!(focused(&browser).await, "tg");
    assert!(!browser.url().await.contains("span="));

    browser.press("Home").await;
    assert!(current(&browser).await.contains("POST /checkout"));
    browser.press("ArrowDown").await;
    assert!(current(&browser).await.contains("POST /orders"));
    browser.press("k").await;
    assert!(current(&browser).await.contains("POST /checkout"));
    browser.press("End").await;
    assert!(current(&browser).await.contains("orders.created"));

    browser.press("/").await;
    assert_eq!(focused(&browser).await, "q");
    for letter in ["p", "a", "y"] {
        browser.press(letter).await;
    }
    reads(&browser, "#st[role=status]", "2 of these 9 rows match").await;
    let rows = browser.texts(".r:not([hidden]) b").await;
    assert_eq!(rows, ["payments", "payments"]);
    browser.press("Escape").await;
    assert_eq!(focused(&browser).await, "tg");
    assert_calm(&browser).await;
}

/// A page that asks for its items one by one, 153 times; two of the calls fail.
fn one_by_one() -> Vec<Draft> {
    let root = Draft::new(TRACE, 1, "GET /items")
        .service("shop")
        .kind(SpanKind::Server)
        .at(0, 1_600);
    let calls = (0..153).map(|call| {
        let query = Draft::new(TRACE, call + 2, "SELECT item")
            .service("shop")
            .kind(SpanKind::Client)
            .attribute("db.system.name", "postgresql")
            .parent(1)
            .at(10 * call + 1, 10 * call + 9);
        if call % 100 == 50 {
            query.exception("Timeout", "no answer", "at connect")
        } else {
            query
        }
    });
    std::iter::once(root).chain(calls).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_calls_are_one_row_that_counts_its_errors_and_opens() {
    let (_server, page) = with([spans::request(one_by_one())]).await;
    for script in [Script::On, Script::Off] {
        let browser = Browser::start(script).await;
        browser.open(&page).await;
        let rows = browser.texts(".r").await;
        let group = rows.iter().find(|row| row.contains("×153"));
        let group = group.unwrap_or_else(|| panic!("{script:?}: no row of 153 calls in {rows:?}"));
        for part in ["median 8.0 ms", "✕ 2 errors", "in all"] {
            assert!(
                group.contains(part),
                "{script:?}: {part} is not in: {group}"
            );
        }
        assert_eq!(browser.texts(".hot").await.len(), 1, "{script:?}");
        browser.click(".group .x").await;
        eventually("153 rows more", async || {
            (browser.texts(".r").await.len() >= 153).then_some(())
        })
        .await;
        assert!(browser.url().await.contains("x="), "{script:?}");
        assert_eq!(
            browser.texts(".r .tag.e").await.len(),
            2,
            "{script:?}: the two that failed"
        );
        browser.click(".group a.x").await;
        eventually("one row again", async || {
            (browser.texts(".r").await.len() < 20).then_some(())
        })
        .await;
        assert_calm(&browser).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_counted_on_one_row() {
    let (_server, page) = with(large::report(TRACE, 5_000)).await;
    let browser = Browser::start(Script::On).await;
    browser.open(&page).await;
    let counts = "[...document.querySelectorAll('.tag.e')].reduce((sum, tag) => sum + (parseInt(tag.textContent.slice(2)) || 1), 0)";
    let on_rows = look(&browser, counts).await.as_u64().expect("a count");
    let facts = browser.texts(".facts").await.concat();
    assert!(on_rows > 5, "{on_rows}");
    assert!(
        facts.contains(&format!("{on_rows} errors")),
        "{on_rows} on rows, but {facts}"
    );
    assert_calm(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_fifty_thousand_levels_opens_step_by_step() {
    let (_server, page) = with(large::chain(TRACE, 50_000)).await;
    for script in [Script::On, Script::Off] {
        let browser = Browser::start(script).await;
        browser.open(&page).await;
        assert_eq!(browser.texts(".hot").await.len(), 1, "{script:?}");
        let levels = browser.texts(".fold").await.concat();
        assert!(levels.contains("levels"), "{script:?}: {levels}");
        let before = browser.texts(".r").await;
        browser.click(".fold .x").await;
        eventually("more rows", async || {
            (browser.texts(".r").await.len() > before.len()).then_some(())
        })
        .await;
        assert_eq!(browser.texts(".hot").await.len(), 1, "{script:?}");
        assert_calm(&browser).await;
    }
}

/// Traces as they should not be: what the page says of each, among its findings or on its rows.
fn broken() -> Vec<(&'static str, Vec<Draft>, &'static str)> {
    let span = |id, from, to| Draft::new(TRACE, id, "work").service("shop").at(from, to);
    let root = || span(1, 0, 100).kind(SpanKind::Server);
    let elsewhere = |id| span(id, 0, 50).service("stock").kind(SpanKind::Server);
    vec![
        (
            "an orphan",
            vec![root(), span(2, 0, 50).parent(9)],
            "1 span names a parent that is not stored",
        ),
        (
            "a circle",
            vec![root(), span(2, 0, 50).parent(3), span(3, 0, 40).parent(2)],
            "Missing parent",
        ),
        (
            "no duration",
            vec![root(), span(2, 50, 50).parent(1)],
            "0 ns",
        ),
        (
            "a wrong clock",
            vec![
                root(),
                elsewhere(2).parent(1).with(|span| {
                    span.start_time_unix_nano -= 5_000 * MS;
                    span.end_time_unix_nano -= 5_000 * MS;
                }),
            ],
            "Clocks differ",
        ),
        (
            "work after the answer",
            vec![root(), span(2, 50, 300).parent(1)],
            "Runs after the answer",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_traces_are_drawn_and_said_to_be() {
    let server = Server::start().await;
    let browser = Browser::start(Script::On).await;
    for (trace, (what, drafts, said)) in (1_u128..).zip(broken()) {
        let of_trace =
            |draft: Draft| draft.with(|span| span.trace_id = trace.to_be_bytes().to_vec());
        let n = drafts.len();
        server
            .client()
            .export(&spans::request(drafts.into_iter().map(of_trace)))
            .await;
        browser
            .open(&server.ui_url(&format!("/trace/{trace:032x}")))
            .await;
        let shown = browser.texts(".finds, .tg").await.concat();
        assert!(shown.contains(said), "{what}: {said} is not in: {shown}");
        assert_eq!(browser.texts(".hot").await.len(), 1, "{what}");
        assert_eq!(
            browser.texts(".r a.o").await.len(),
            n,
            "{what}: each span has a row"
        );
        assert_calm(&browser).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spans_say_is_never_run() {
    const EVIL: &str =
        "\"'></b></svg><script>window.ran=1</script><img src=x onerror=window.ran=2>{{7*7}}";
    let root = Draft::new(TRACE, 1, EVIL)
        .service(EVIL)
        .attribute(EVIL, EVIL)
        .attribute("url.full", "javascript:window.ran=3")
        .attribute("long", &EVIL.repeat(40))
        .at(0, 100)
        .link(0xf00d, 0xbeef)
        .exception(EVIL, EVIL, EVIL);
    let calls = (2..20).map(|id| {
        Draft::new(TRACE, id, EVIL)
            .service(EVIL)
            .parent(1)
            .at(id, id + 1)
    });
    let (server, page) = with([spans::request(std::iter::once(root).chain(calls))]).await;
    let browser = Browser::start(Script::On).await;
    let view = |view: &str| format!("{page}?view={view}&span={:016x}", 1);
    let pages = [
        server.ui_url("/"),
        with_span(&page, 1),
        view("path"),
        view("errors"),
        view("all"),
        view("table"),
        format!("{page}?q=%3Cscript%3Ewindow.ran%3D4%3C/script%3E"),
        server.ui_url("/trace/%3Cscript%3Ewindow.ran%3D5%3C/script%3E"),
    ];
    for url in pages {
        browser.open(&url).await;
        if url.contains("view=all") {
            reads(&browser, "#st", "all 19 spans shown").await;
        }
        let found = look(
            &browser,
            "[window.ran ?? null, document.querySelectorAll('script:not([src]), img, [onerror], [href^=\"javascript:\" i]').length, document.body.textContent.includes('window.ran')]",
        )
        .await;
        assert_eq!(found, serde_json::json!([null, 0, true]), "{url}");
        // What is not there is answered with 404, which browsers note.
        let complaints = browser.complaints().await;
        let is_expected = |line: &String| line.contains("the server responded with a status of 4");
        assert!(complaints.iter().all(is_expected), "{url}: {complaints:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn back_and_reload_keep_view_span_rows_and_zoom() {
    let (_server, page) = with([spans::request(one_by_one())]).await;
    let browser = Browser::start(Script::On).await;
    let state = format!(
        "view=path&t0=200000&t1=900000&span={:016x}&x=group-{:016x}",
        60, 2
    );
    let kept = "[document.querySelector('#path').className, document.querySelector('#dr h2')?.textContent ?? '', \
                document.querySelector('.narrowed')?.textContent ?? '', document.querySelectorAll('.r').length, location.search]";
    browser.open(&format!("{page}?{state}")).await;
    let before = look(&browser, kept).await;
    assert!(
        before[1]
            .as_str()
            .is_some_and(|name| name.contains("SELECT item")),
        "{before}"
    );
    assert!(
        before[2]
            .as_str()
            .is_some_and(|text| text.contains("Zoomed to 700 ms")),
        "{before}"
    );
    for leave in [
        "location.reload()",
        "document.querySelector('#errors').click()",
        "location.href = '/'",
    ] {
        look(&browser, "window.isLeft = true").await;
        browser.run(leave).await;
        let is_new =
            async || (look(&browser, "window.isLeft ?? false").await == false).then_some(());
        eventually("another page", is_new).await;
        if !leave.contains("reload") {
            browser.run("history.back()").await;
        }
        eventually(leave, async || {
            (look(&browser, kept).await == before).then_some(())
        })
        .await;
    }
    assert_calm(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paper_has_the_views_rows_and_says_what_is_folded() {
    let (_server, page) = with(large::report(TRACE, 1_000)).await;
    let browser = Browser::start(Script::On).await;
    browser.open(&page).await;
    let on_screen = browser.texts(".r").await;
    assert!(
        on_screen.iter().any(|row| row.contains("spans folded")),
        "{on_screen:?}"
    );
    let status = browser.texts("#st").await;
    browser.show_on(Medium::Paper).await;
    assert_eq!(browser.texts(".r").await, on_screen);
    assert_eq!(
        browser.texts("#st").await,
        status,
        "how many rows stand for how many spans"
    );
    assert_eq!(browser.texts(".verdict").await.len(), 1);
    for useless in [".top nav", ".bar a", "#q", ".skip"] {
        let shown = browser.texts(useless).await.concat();
        assert_eq!(shown, "", "{useless} does nothing on paper");
    }
    browser.open(&format!("{page}?view=all")).await;
    reads(&browser, "#st", "all 1,000 spans shown").await;
    let note = "getComputedStyle(document.querySelector('.vp'), '::before').content";
    let note = look(&browser, note).await;
    assert_eq!(note, "\"Only the rows on the screen are printed.\"");
    assert_calm(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_view_scrolls_sideways_whatever_the_names() {
    let long = "x".repeat(300);
    let mut drafts = spans::checkout_with_errors(TRACE);
    drafts.push(
        Draft::new(TRACE, 10, &long)
            .service(&long)
            .attribute(&long, &long)
            .parent(2)
            .at(30, 370)
            .exception(&long, &long, &long),
    );
    let (_server, page) = with([spans::request(drafts)]).await;
    let browser = Browser::start(Script::On).await;
    for width in [320, 768, 1440] {
        browser.resize(width, 900).await;
        for view in ["story", "path", "errors", "all", "table"] {
            let url = format!("{page}?view={view}&span={:016x}", 10);
            browser.open(&url).await;
            if view == "all" {
                reads(&browser, "#st", "all 10 spans shown").await;
            }
            let overhang = "document.documentElement.scrollWidth - window.innerWidth";
            let overhang = look(&browser, overhang).await.as_i64().expect("a number");
            assert!(
                overhang <= 0,
                "{view} is {overhang} px too wide at {width} px"
            );
        }
    }
}
