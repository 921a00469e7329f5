//! The list of all spans that scripts make of the columns, in a real Chromium.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::Value;

use longpole_tests::spans::Draft;
use longpole_tests::{Browser, Script, Server, eventually, large, spans};

const TRACE: u128 = 0x00a1_1000;
/// Where a row's duration and its bar's label are among what is read of it.
const TOOK: usize = 1;
const LABEL: usize = 2;
/// How many elements a page may have.
const NODES_MAX: u64 = 1_500;

async fn with(requests: impl IntoIterator<Item = ExportTraceServiceRequest>) -> Server {
    let server = Server::start().await;
    for request in requests {
        server.client().export(&request).await;
    }
    server
}

/// Opens a view of the trace and waits until the list says this.
async fn open(browser: &Browser, server: &Server, query: &str, said: &str) {
    let path = format!("/trace/{TRACE:032x}{query}");
    browser.open(&server.ui_url(&path)).await;
    says(browser, said).await;
}

/// Waits until the list says this.
async fn says(browser: &Browser, said: &str) {
    eventually(said, async || {
        let status = browser.texts("[role=status]#st").await;
        (status == [said]).then_some(())
    })
    .await;
    assert_eq!(browser.texts(".vp #tg").await.len(), 1, "the list is there");
}

/// What the list says while one types.
fn by_name(count: &str) -> String {
    format!("{count} spans match by name; Enter: by attributes too")
}

async fn press(browser: &Browser, key: &str) {
    let target = "(document.querySelector('.vp') ? document.activeElement : document.body)";
    let event = format!("new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})");
    browser
        .run(&format!("{target}.dispatchEvent({event})"))
        .await;
}

async fn filter_by(browser: &Browser, text: &str) {
    let typed = "const q = document.querySelector('#q'); q.focus(); q.value = arguments[0] ?? TEXT; \
                 q.dispatchEvent(new Event('input', {bubbles: true}))";
    let quoted = Value::from(text).to_string();
    browser
        .run(&typed.replace("arguments[0] ?? TEXT", &quoted))
        .await;
}

/// What a script finds on the page.
async fn look(browser: &Browser, expression: &str) -> Value {
    browser.run(&format!("return {expression}")).await
}

/// The selected row: its place, counted from 1, and its text.
async fn selected(browser: &Browser) -> (u64, String) {
    let script = "const row = document.querySelector('.r.sel:not([hidden])'); \
                  const g = document.querySelector('#tg'); \
                  if (g.getAttribute('aria-activedescendant') !== row.id) throw Error('not announced'); \
                  const seen = row.getBoundingClientRect(), pane = document.querySelector('.vp').getBoundingClientRect(); \
                  if (seen.top < pane.top || seen.bottom > pane.bottom + 1) throw Error('not seen'); \
                  return [+row.getAttribute('aria-rowindex'), row.querySelector('.n').textContent]";
    let found = browser.run(script).await;
    let place = found[0].as_u64().expect("a place");
    (place, found[1].as_str().expect("text").to_owned())
}

async fn assert_few_nodes(browser: &Browser) {
    let nodes = look(browser, "document.querySelectorAll('*').length").await;
    let nodes = nodes.as_u64().expect("a count");
    assert!(nodes <= NODES_MAX, "{nodes} elements");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_spans_are_one_list() {
    let server = with(large::report(TRACE, 100_000)).await;
    let browser = Browser::start(Script::On).await;
    let story = server.ui_url(&format!("/trace/{TRACE:032x}"));
    browser.open(&story).await;
    press(&browser, "a").await;
    says(&browser, "all 100,000 spans shown").await;
    assert!(browser.url().await.contains("view=all"));
    assert_few_nodes(&browser).await;
    let count = look(
        &browser,
        "document.querySelector('#tg').getAttribute('aria-rowcount')",
    )
    .await;
    assert_eq!(count, "100000");

    press(&browser, "End").await;
    let (place, last) = selected(&browser).await;
    assert_eq!(place, 100_000);
    assert!(!last.is_empty());
    assert_few_nodes(&browser).await;
    press(&browser, "ArrowUp").await;
    assert_eq!(selected(&browser).await.0, 99_999);
    press(&browser, "PageUp").await;
    assert_eq!(selected(&browser).await.0, 99_979);
    press(&browser, "Home").await;
    assert_eq!(
        selected(&browser).await,
        (1, "▾batch POST /api/reports/nightly".to_owned())
    );

    // Wherever one scrolls to, rows are there.
    browser
        .run("document.querySelector('.vp').scrollTop = 1234567")
        .await;
    let shown = "const at = document.querySelector('.vp').getBoundingClientRect(); \
                 const row = document.elementFromPoint(at.left + 50, at.top + 200).closest('.r'); \
                 return row && +row.getAttribute('aria-rowindex')";
    eventually("the rows scrolled to", async || {
        let row = browser.run(shown).await.as_u64()?;
        (row.abs_diff(1_234_567 / 24 + 8) < 4).then_some(())
    })
    .await;

    filter_by(&browser, "merge segments").await;
    says(&browser, &by_name("1 of 100,000")).await;
    assert_eq!(browser.texts(".r:not([hidden])").await.len(), 1);
    filter_by(&browser, "SELECT nothing").await;
    says(&browser, &by_name("0 of 100,000")).await;
    press(&browser, "Escape").await;
    filter_by(&browser, "").await;
    says(&browser, "all 100,000 spans shown").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_used_with_the_keyboard() {
    let server = with(large::report(TRACE, 5_000)).await;
    let browser = Browser::start(Script::On).await;
    open(&browser, &server, "?view=all", "all 5,000 spans shown").await;
    let focusable = "document.querySelector('.vp').querySelectorAll('a[href], button, [tabindex=\"0\"]').length";
    assert_eq!(look(&browser, focusable).await, 1, "one tab stop");

    press(&browser, "s").await;
    let (slowest, row) = selected(&browser).await;
    assert!(row.contains("search POST /v1/reindex"), "{row}");
    assert_eq!(browser.texts(".hot:not([hidden])").await.len(), 1);

    press(&browser, "Enter").await;
    eventually("the details", async || {
        let details = browser.texts("#dr h2").await;
        details.first()?.contains("/v1/reindex").then_some(())
    })
    .await;
    assert_eq!(look(&browser, "document.activeElement.id").await, "dr");
    let url = browser.url().await;
    assert!(url.contains("span=") && url.contains("view=all"), "{url}");
    press(&browser, "Escape").await;
    assert_eq!(browser.texts("#dr").await.len(), 0);
    assert_eq!(look(&browser, "document.activeElement.id").await, "tg");
    assert!(!browser.url().await.contains("span="));
    assert_eq!(selected(&browser).await.0, slowest, "the row is kept");

    // From one failed span to the next, and from the last to the first.
    let failed = server
        .client()
        .get(&format!("/trace/{TRACE:032x}?view=all"))
        .await;
    let said = failed.expect(200).text();
    let n_errors = said.split(" errors</").next().unwrap_or_default();
    assert!(n_errors.len() < said.len(), "the page counts its errors");
    let mut places = Vec::new();
    loop {
        press(&browser, "e").await;
        let (place, row) = selected(&browser).await;
        assert!(row.contains("✕ error"), "{row}");
        if places.contains(&place) {
            assert_eq!(place, places[0], "round and round");
            break;
        }
        assert!(places.last().is_none_or(|last| *last < place), "in order");
        places.push(place);
    }
    assert!(places.len() > 2, "{places:?}");
    filter_by(&browser, "price").await;
    press(&browser, "Escape").await;
    press(&browser, "s").await;
    assert_eq!(
        selected(&browser).await.0,
        slowest,
        "what is filtered out is shown again"
    );
    says(&browser, "all 5,000 spans shown").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn back_and_reload_keep_view_span_and_filter() {
    let server = with([spans::request(spans::checkout(TRACE))]).await;
    let browser = Browser::start(Script::On).await;
    open(&browser, &server, "?view=all", "all 7 spans shown").await;
    filter_by(&browser, "Stock").await;
    says(&browser, &by_name("2 of 7")).await;
    eventually("the filter in the URL", async || {
        browser.url().await.contains("q=Stock").then_some(())
    })
    .await;
    browser.click(".r:nth-child(2) .n").await;
    let details = async |name: &str| {
        eventually(name, async || {
            let details = browser.texts("#dr h2").await;
            details.first()?.contains(name).then_some(())
        })
        .await;
    };
    details("SELECT stock").await;
    for script in ["location.reload()", "location.href = '/'; "] {
        browser.run(script).await;
        if script.contains("href") {
            eventually("the other page", async || {
                browser.texts("#tg").await.is_empty().then_some(())
            })
            .await;
            browser.run("history.back()").await;
        }
        // What is asked for anew is looked for in attributes as well.
        says(&browser, "2 of 7 spans match").await;
        assert_eq!(browser.texts(".narrowed").await, [""], "it is said once");
        details("SELECT stock").await;
        eventually("the row", async || {
            let row = browser.texts(".r.sel .n").await;
            row.first()?.contains("SELECT stock").then_some(())
        })
        .await;
        let typed = look(&browser, "document.querySelector('#q').value").await;
        assert_eq!(typed, "Stock");
    }
    browser.run("history.back()").await;
    eventually("no details", async || {
        browser.texts("#dr").await.is_empty().then_some(())
    })
    .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_list_say_what_the_servers_rows_say() {
    let mut drafts = spans::checkout(TRACE);
    let at = |id, name: &str, from, to| Draft::new(TRACE, id, name).parent(2).at(from, to);
    drafts.extend([
        at(20, "no time at all", 100, 100),
        at(21, "beyond <b>the</b> answer", 380, 600),
        at(22, "tomorrow", 90_000_000, 93_661_000),
        at(23, "early", 0, 3).with(|span| span.start_time_unix_nano -= 1_500_000),
        at(24, "wrong clock", 0, 0).with(|span| {
            span.start_time_unix_nano -= 7_200_000_000_000;
            span.end_time_unix_nano -= 7_199_999_990_050;
        }),
        at(25, "fails", 240, 243).exception("Timeout", "<script>alert(1)</script>", "at x"),
        at(26, "short", 250, 250).with(|span| span.end_time_unix_nano += 1_250),
        Draft::new(TRACE, 27, "lost").parent(99).at(30, 31),
    ]);
    let server = with([spans::request(drafts)]).await;
    let rows = "[...document.querySelectorAll('.r:not([hidden])')].map(row => [\
                row.querySelector('.n').textContent, row.querySelector('.v').textContent.trim(), \
                row.querySelector('em')?.textContent ?? '', row.querySelector('.g').getAttribute('aria-label'), row.querySelector('.g').className, \
                row.getAttribute('aria-level'), row.getAttribute('aria-rowindex'), \
                row.className.split(' ').filter(name => name !== 'sel').sort().join(' '), \
                row.querySelector('.wait:not([width=\"0%\"])')?.getAttribute('class') ?? ''])";
    let browser = Browser::start(Script::On).await;
    open(&browser, &server, "?view=all", "all 15 spans shown").await;
    let listed = look(&browser, rows).await;
    browser.block("*/columns").await;
    browser
        .open(&server.ui_url(&format!("/trace/{TRACE:032x}?view=all")))
        .await;
    // What the server made stays when the columns do not come, and the page says so.
    eventually("a sentence", async || {
        let status = browser.texts("#st").await;
        status.first()?.contains("did not load").then_some(())
    })
    .await;
    assert_eq!(browser.texts(".vp").await.len(), 0);
    let made = look(&browser, rows).await;
    let (listed, made) = (
        listed.as_array().expect("rows"),
        made.as_array().expect("rows"),
    );
    assert_eq!(listed.len(), 15);
    assert_eq!(listed.len(), made.len());
    for (listed, made) in listed.iter().zip(made) {
        let mut listed = listed.clone();
        if made[LABEL] == "" {
            // The server's pages do without where the column beside says it.
            let label = listed[LABEL].as_str().expect("text");
            let took = made[TOOK].as_str().expect("text");
            assert!(took.starts_with(label), "{label} beside {took}");
            listed[LABEL] = made[LABEL].clone();
        }
        assert_eq!(&listed, made);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_wide_and_motley_traces_are_listed() {
    for (requests, n, last) in [
        (large::chain(TRACE, 50_000), "50,000", "deep level 50000"),
        (large::fan(TRACE, 20_000), "20,001", "wide call 20000"),
        (
            large::motley(TRACE, 70_000, 300),
            "70,001",
            "service 100 operation 70000",
        ),
    ] {
        let server = with(requests).await;
        let browser = Browser::start(Script::On).await;
        let said = format!("all {n} spans shown");
        open(&browser, &server, "?view=all", &said).await;
        press(&browser, "End").await;
        let (_, row) = selected(&browser).await;
        assert!(row.ends_with(last), "{row}");
        assert_few_nodes(&browser).await;
        filter_by(&browser, last).await;
        says(&browser, &by_name(&format!("1 of {n}"))).await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_grew_is_listed_anew() {
    let server = with([spans::request(spans::checkout(TRACE))]).await;
    let browser = Browser::start(Script::On).await;
    open(&browser, &server, "?view=all", "all 7 spans shown").await;
    let late = Draft::new(TRACE, 99, "late")
        .service("checkout")
        .parent(2)
        .at(7, 8);
    server.client().export(&spans::request([late])).await;
    // The third row is another span by now.
    browser.click(".r:nth-child(3) .n").await;
    says(&browser, "all 8 spans shown").await;
}
