//! What the requests of a search share, on its page in a real browser and on a page of its own.

use longpole_tests::spans::{self, Draft};
use longpole_tests::{Browser, Medium, Script, Server, eventually};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::accessibility::{axe, violations};

const SENTENCE: &str = "14 of these 16 requests have the same slowest hop: inventory GET /stock. Of the 40 other \
                        requests of the same operation, it is the slowest in 8 %.";
const VERSION: &str = "service.version = 2.4.1 of inventory 15 of 16, elsewhere 8 %";
const SQL: &str = "db.query.text = SELECT quantity FROM stock WHERE sku = $1 FOR UPDATE on a span of inventory 14 of 16, \
                   elsewhere 8 %";

/// Checkout `n`; `is_slow_in_stock` says where it spends most, and with which statement.
fn checkout(n: u128, took: u64, is_slow_in_stock: bool) -> [Draft; 3] {
    let span = |id, name, service, kind| Draft::new(n, id, name).service(service).kind(kind);
    let stock = if is_slow_in_stock {
        took * 8 / 10
    } else {
        took / 10
    };
    let lock = if is_slow_in_stock { " FOR UPDATE" } else { "" };
    let tier = ["gold", "silver", "none"][usize::try_from(n % 3).expect("less than 3")];
    [
        span(1, "POST /checkout", "gateway", SpanKind::Server)
            .at(0, took)
            .attribute("order.id", &format!("order-{n}"))
            .attribute("customer.tier", tier),
        span(2, "GET /stock", "inventory", SpanKind::Server)
            .parent(1)
            .at(1, 1 + stock),
        span(3, "SELECT stock", "inventory", SpanKind::Client)
            .parent(2)
            .at(1, stock)
            .attribute(
                "db.query.text",
                &format!("SELECT quantity FROM stock WHERE sku = $1{lock}"),
            ),
    ]
}

/// Sends checkouts of which inventory has a version.
async fn send(server: &Server, version: &str, checkouts: Vec<Draft>) {
    let mut request = spans::request(checkouts);
    for resource in request
        .resource_spans
        .iter_mut()
        .filter_map(|sent| sent.resource.as_mut())
    {
        if resource
            .attributes
            .contains(&spans::text("service.name", "inventory"))
        {
            resource
                .attributes
                .push(spans::text("service.version", version));
        }
    }
    server.client().export(&request).await;
}

/// 56 checkouts while a new version of inventory is rolled out: 16 are slow, 15 with the new version; of
/// the other 40 three have it.
async fn rollout() -> Server {
    let server = Server::start().await;
    let slow = |n: u64| checkout(n.into(), 400 + n, n <= 14);
    let quick = |n: u64| checkout(n.into(), n - 50, n <= 103);
    let new = (1..=15).flat_map(slow).chain((101..=103).flat_map(quick));
    send(&server, "2.4.1", new.collect()).await;
    let old = slow(16).into_iter().chain((104..=140).flat_map(quick));
    send(&server, "2.4.0", old.collect()).await;
    server
}

async fn found(browser: &Browser) -> Vec<String> {
    eventually("what they share", async || {
        let found = browser.texts(".traits li").await;
        (!found.is_empty()).then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_page_shows_it_and_leads_to_the_requests_that_have_it() {
    let server = rollout().await;
    let browser = Browser::start(Script::On).await;
    let url = server.ui_url("/?min=300ms");
    browser.open(&url).await;
    assert_eq!(found(&browser).await, [VERSION, SQL]);
    assert_eq!(browser.texts(".shared .verdict").await, [SENTENCE]);
    let status = browser.texts(".shared [role=status]").await.concat();
    assert!(
        status.starts_with("Compared: 16 requests with 40 others"),
        "{status}"
    );
    assert_eq!(browser.url().await, url);

    browser.click(".traits a").await;
    eventually("the narrowed search", async || {
        (browser.texts("h1").await == ["15 requests"]).then_some(())
    })
    .await;
    // There it is no news.
    eventually("the new comparison", async || {
        let status = browser.texts(".shared [role=status]").await.concat();
        status
            .starts_with("Compared: 15 requests with 41 others")
            .then_some(())
    })
    .await;
    let found = browser.texts(".traits li").await.concat();
    assert!(!found.contains("service.version"), "{found}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_a_link_leads_to_it() {
    let server = rollout().await;
    let browser = Browser::start(Script::Off).await;
    browser.open(&server.ui_url("/?min=300ms")).await;
    assert_eq!(
        browser.texts(".shared .verdict").await,
        ["14 of the 16 requests listed have the same slowest hop: inventory GET /stock."]
    );
    browser.click(".shared [role=status] a").await;
    assert_eq!(found(&browser).await, [VERSION, SQL]);
    assert_eq!(browser.texts(".shared .verdict").await, [SENTENCE]);
    browser.click(".verdict a").await;
    eventually("the narrowed search", async || {
        (browser.texts("h1").await == ["14 requests"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_load_leaves_its_link() {
    let server = rollout().await;
    let browser = Browser::start(Script::On).await;
    browser.block("*/shared?*").await;
    browser.open(&server.ui_url("/?min=300ms")).await;
    eventually("the page to have asked", async || {
        let asked = "return performance.getEntriesByType('resource').some(asked => asked.name.includes('/shared?'))";
        (browser.run(asked).await == true).then_some(())
    })
    .await;
    assert_eq!(
        browser.texts(".shared [role=status] a").await,
        ["What do these have in common?"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_fits_every_width_and_axe_has_nothing_against_it() {
    let Some(axe) = axe() else { return };
    let server = rollout().await;
    let browser = Browser::start(Script::On).await;
    for medium in [Medium::Light, Medium::Dark] {
        browser.show_on(medium).await;
        for width in [320, 768, 1440] {
            browser.resize(width, 900).await;
            for path in ["/?min=300ms", "/shared?min=300ms"] {
                browser.open(&server.ui_url(path)).await;
                found(&browser).await;
                let against = violations(&browser, &axe).await;
                assert_eq!(
                    against,
                    Vec::<String>::new(),
                    "{path}, {medium:?}, {width} px"
                );
                let overhang = "return document.documentElement.scrollWidth - window.innerWidth";
                let overhang = browser.run(overhang).await.as_i64();
                assert!(
                    overhang.is_some_and(|px| px <= 0),
                    "{path} at {width} px: {overhang:?}"
                );
            }
        }
    }
}
