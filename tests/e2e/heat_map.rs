//! The search page's heat map in a browser: with and without scripts, by mouse and keyboard.

use longpole_tests::spans::{Draft, request};
use longpole_tests::{Browser, Medium, Script, Server, eventually};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;

use crate::accessibility::{axe, violations};

/// A server with requests of an hour: most take some 20 to 100 ms, each 30th a second or two; each 40th
/// has an error.
async fn filled() -> Server {
    let server = Server::start().await;
    let drafts = (1..=600_u32).map(|n| {
        let took = 20 + u64::from(n * 37 % 80) + if n % 30 == 0 { 1_000 + u64::from(n) } else { 0 };
        let began = u64::from(n * 6_007 % 3_600) * 1_000;
        let draft = Draft::new(n.into(), 1, "GET /")
            .service("web")
            .kind(SpanKind::Server)
            .at(began, began + took);
        if n % 40 == 0 {
            return draft.exception("Timeout", "no answer", "");
        }
        draft
    });
    server.client().export(&request(drafts)).await;
    server
}

/// How many requests the page's heading says there are.
async fn matched(browser: &Browser) -> u64 {
    let heading = browser.texts("h1").await.concat();
    let heading = heading
        .trim_end_matches(" requests")
        .trim_end_matches(" request");
    let number = heading.rsplit(' ').next().unwrap_or_default();
    number.replace(',', "").parse().expect("a number")
}

/// The place on the page that is at some share of the map, from the left and from the top.
async fn place(browser: &Browser, x: f64, y: f64) -> (f64, f64) {
    let script = format!(
        "const box = document.querySelector('.hg').getBoundingClientRect(); \
         return [box.x + box.width * {x}, box.y + box.height * {y}]"
    );
    let at = browser.run(&script).await;
    let number = |of: &Value| of.as_f64().expect("a number");
    (number(&at[0]), number(&at[1]))
}

/// The URL, once it has a part.
async fn url_with(browser: &Browser, part: &str) -> String {
    eventually(part, async || {
        let url = browser.url().await;
        url.contains(part).then_some(url)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_cells_are_links() {
    let server = filled().await;
    let browser = Browser::start(Script::Off).await;
    browser.resize(1_440, 900).await;
    browser.open(&server.ui_url("/")).await;
    assert_eq!(matched(&browser).await, 600);
    browser.click(".hg a.x").await;
    let url = url_with(&browser, "from=").await;
    assert!(url.contains("to=") && url.contains("min="), "{url}");
    let n = matched(&browser).await;
    assert!((1..100).contains(&n), "{n}");
    assert_eq!(browser.texts(".pick").await.len(), 1, "it is framed");
    browser.click(".facts a[href='/']").await;
    assert_eq!(matched(&browser).await, 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn dragging_sets_times_and_durations() {
    let server = filled().await;
    let browser = Browser::start(Script::On).await;
    browser.resize(1_440, 900).await;
    browser.open(&server.ui_url("/?service=web")).await;
    let whole = browser.url().await;
    let expected = browser
        .run(
            "const map = document.getElementById('heat'), style = getComputedStyle(map); \
             const [columns, rows] = ['--c', '--r'].map(name => +style.getPropertyValue(name)); \
             const at = (share, n) => Math.floor(share * n) + 1; \
             return [...map.querySelectorAll('.hg a')].reduce((sum, cell) => { \
               const [row, column] = cell.style.gridArea.split('/').map(part => parseInt(part)); \
               const is = (x, from, to) => from <= x && x <= to; \
               return sum + (is(column, at(.205, columns), at(.605, columns)) && is(row, at(.03, rows), at(.49, rows)) ? parseInt(cell.title) : 0); \
             }, 0)",
        )
        .await;
    let from = place(&browser, 0.605, 0.49).await;
    let by = place(&browser, 0.4, 0.2).await;
    let to = place(&browser, 0.205, 0.03).await;
    browser.drag(&[from, by, to], true).await;
    let url = url_with(&browser, "from=2026").await;
    assert!(url.contains("service=web"), "{url}");
    for name in ["from", "to", "min", "max"] {
        let value = browser
            .run(&format!(
                "return document.getElementById('find').elements.{name}.value"
            ))
            .await;
        let value = value.as_str().expect("a text");
        assert!(!value.is_empty() || name == "max", "{name} in {url}");
    }
    assert_eq!(Some(matched(&browser).await), expected.as_u64(), "{url}");
    assert_eq!(browser.texts(".pick").await.len(), 1);
    browser.run("history.back()").await;
    eventually("the whole", async || {
        (browser.url().await == whole).then_some(())
    })
    .await;
    assert_eq!(matched(&browser).await, 600);
    browser.run("history.forward()").await;
    url_with(&browser, "from=2026").await;
    assert_eq!(Some(matched(&browser).await), expected.as_u64());
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn escape_ends_a_drag_and_a_click_is_no_drag() {
    let server = filled().await;
    let browser = Browser::start(Script::On).await;
    browser.resize(1_440, 900).await;
    browser.open(&server.ui_url("/")).await;
    let whole = browser.url().await;
    let places = [
        place(&browser, 0.3, 0.3).await,
        place(&browser, 0.5, 0.7).await,
    ];
    browser.drag(&places, false).await;
    assert_eq!(browser.texts(".drag").await.len(), 1);
    browser.press("Escape").await;
    assert_eq!(browser.texts(".drag").await.len(), 0);
    browser.drag(&places[1..], true).await;
    assert_eq!(browser.url().await, whole);
    browser.click(".hg a").await;
    url_with(&browser, "from=").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrow_keys_go_from_cell_to_cell() {
    let server = filled().await;
    let browser = Browser::start(Script::On).await;
    browser.open(&server.ui_url("/")).await;
    let focused = async || {
        let focused = browser.run("return document.activeElement.title").await;
        focused.as_str().unwrap_or_default().to_owned()
    };
    browser.run("document.getElementById('heat').focus()").await;
    browser.press("ArrowRight").await;
    let first = focused().await;
    assert!(first.contains("request"), "{first:?}");
    browser.press("ArrowRight").await;
    let second = focused().await;
    assert_ne!(second, first);
    browser.press("Enter").await;
    url_with(&browser, "from=").await;
    let n = matched(&browser).await;
    assert!(second.starts_with(&format!("{n} request")), "{n}: {second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_fits_every_width_and_axe_has_nothing_against_it() {
    let server = filled().await;
    let browser = Browser::start(Script::On).await;
    for medium in [Medium::Light, Medium::Dark] {
        browser.show_on(medium).await;
        for width in [320, 768, 1_440] {
            browser.resize(width, 900).await;
            browser
                .open(&server.ui_url("/?min=1s&from=2026-11-22T02:00"))
                .await;
            browser.click(".heat summary").await;
            let over = "return document.documentElement.scrollWidth - innerWidth";
            let over = browser.run(over).await.as_i64().expect("a number");
            assert!(over <= 0, "{over} px too wide at {width}");
            if let Some(axe) = axe() {
                let found = violations(&browser, &axe).await;
                assert!(
                    found.is_empty(),
                    "{medium:?}, {width} px: {}",
                    found.join("\n")
                );
            }
        }
    }
}
