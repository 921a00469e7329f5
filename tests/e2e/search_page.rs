//! The search page in a real Chromium: the box and what it suggests, the form, pages and the way back.

use longpole_tests::spans::{self, Draft};
use longpole_tests::{Browser, Medium, Script, Server, eventually};
use scraper::Selector;

use crate::accessibility::{axe, violations};

const TRACE: u128 = 0xb7ad_6b71_6920_3331_a1b2_c3d4_e5f6_0709;

/// What a service may be called.
const EVIL: &str = "serv<img src=x onerror=document.title='pwned'>\"";

/// The checkout, requests that failed in a database, and one of a service with another name.
async fn filled() -> Server {
    let server = Server::start().await;
    let client = server.client();
    client.export(&spans::request(spans::checkout(TRACE))).await;
    for n in 1..=45 {
        let root = Draft::new(n, 1, "GET /orders")
            .service("web")
            .at(0, u64::try_from(n).expect("small"));
        let query = Draft::new(n, 2, "SELECT orders")
            .service("db")
            .parent(1)
            .at(0, u64::try_from(n).expect("small"));
        let query = if n % 5 == 0 {
            query.exception("Timeout", "no answer", "")
        } else {
            query
        };
        client.export(&spans::request([root, query])).await;
    }
    client.export(&spans::single(100, EVIL, "tick", 1)).await;
    server
}

async fn type_text(browser: &Browser, text: &str) {
    for ch in text.chars() {
        browser.press(&ch.to_string()).await;
    }
}

/// Waits for the list below the box to begin with these.
async fn suggested(browser: &Browser, expected: &[&str]) {
    eventually(&format!("suggestions {expected:?}"), async || {
        let found = options(browser).await;
        let is_so = found.len() >= expected.len() && found[..expected.len()] == *expected;
        is_so.then_some(())
    })
    .await;
}

/// What the list below the box shows, without its kinds; empty when it is not shown.
async fn options(browser: &Browser) -> Vec<String> {
    let texts = "return [...document.querySelectorAll('#sug:not([hidden]) [role=option]')].map(of => of.firstChild.data)";
    let texts = browser.run(texts).await;
    let texts = texts.as_array().expect("a list").iter();
    texts
        .map(|text| text.as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn value(browser: &Browser, name: &str) -> String {
    let value = format!("return document.querySelector('[name={name}]').value");
    let value = browser.run(&value).await;
    value.as_str().expect("a box has a text").to_owned()
}

/// Waits for the page with this heading.
async fn headed(browser: &Browser, heading: &str) {
    eventually(heading, async || {
        (browser.texts("h1").await == [heading]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_names_a_trace_leads_to_it_without_scripts() {
    let server = filled().await;
    let browser = Browser::start(Script::Off).await;
    let id = format!("{TRACE:032x}");
    let upper = id.to_uppercase();
    let traceparent = format!("00-{id}-00f067aa0ba902b7-01");
    let line = format!("10:00:00 ERROR trace_id={id} failed");
    for (name, text) in [
        ("q", &id),
        ("q", &upper),
        ("q", &traceparent),
        ("id", &upper),
        ("id", &traceparent),
        ("id", &line),
    ] {
        browser.open(&server.ui_url("/")).await;
        browser.click(&format!("input[name={name}]")).await;
        type_text(&browser, text).await;
        browser.press("Enter").await;
        eventually(text, async || {
            let url = browser.url().await;
            url.ends_with(&format!("/trace/{id}")).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_finds_and_a_mistake_is_marked_with_scripts_and_without() {
    let server = filled().await;
    for script in [Script::On, Script::Off] {
        let browser = Browser::start(script).await;
        browser.open(&server.ui_url("/")).await;
        browser.click("input[name=q]").await;
        type_text(&browser, "{service = inventory} and duration > 100ms").await;
        browser.press("Enter").await;
        headed(&browser, "1 request").await;

        browser.open(&server.ui_url("/")).await;
        browser.click("input[name=q]").await;
        type_text(&browser, "service == web").await;
        browser.press("Enter").await;
        headed(&browser, "This search is not understood").await;
        assert_eq!(browser.texts(".wrong mark").await, ["=="], "{script:?}");
        let said = browser.texts("#bad li").await.concat();
        assert!(said.contains("at character 9"), "{script:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_put_together_by_the_keyboard() {
    let server = filled().await;
    let browser = Browser::start(Script::On).await;
    browser.open(&server.ui_url("/")).await;
    browser.click("input[name=q]").await;
    let attribute = async |name: &str| {
        let attribute = format!("return document.querySelector('[name=q]').getAttribute('{name}')");
        browser.run(&attribute).await
    };
    assert_eq!(attribute("aria-expanded").await, "false");
    type_text(&browser, "serv").await;
    suggested(&browser, &["service", "service.name"]).await;
    assert_eq!(attribute("aria-expanded").await, "true");
    // Nothing is chosen by itself.
    assert!(attribute("aria-activedescendant").await.is_null());

    browser.press("ArrowDown").await;
    assert_eq!(attribute("aria-activedescendant").await, "sug-0");
    let chosen = browser.texts("#sug [aria-selected=true]").await;
    assert_eq!(chosen, ["service field"]);
    browser.press("Enter").await;
    assert_eq!(value(&browser, "q").await, "service ");
    suggested(&browser, &["=", "!="]).await;

    type_text(&browser, "= ").await;
    suggested(&browser, &["checkout", "db", "gateway"]).await;
    type_text(&browser, "i").await;
    suggested(&browser, &["inventory"]).await;
    browser.press("ArrowDown").await;
    browser.press("Tab").await;
    let written = "service = inventory ";
    assert_eq!(value(&browser, "q").await, written);
    suggested(&browser, &["and", "or"]).await;

    browser.press("Escape").await;
    assert_eq!(options(&browser).await, Vec::<String>::new());
    assert_eq!(value(&browser, "q").await, written, "Escape only closes");
    browser.press("ArrowUp").await;
    suggested(&browser, &["and", "or"]).await;
    assert_eq!(attribute("aria-activedescendant").await, "sug-1");
    browser.press("Enter").await;
    assert_eq!(value(&browser, "q").await, format!("{written}or "));

    // Where nothing is chosen, Enter searches.
    type_text(&browser, "service = gateway").await;
    browser.press("Enter").await;
    headed(&browser, "1 request").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn suggestions_are_taken_with_the_mouse_and_are_text_whatever_they_say() {
    let server = filled().await;
    let browser = Browser::start(Script::On).await;
    browser.open(&server.ui_url("/")).await;
    browser.click("input[name=q]").await;
    type_text(&browser, "service = serv").await;
    suggested(&browser, &[EVIL]).await;
    assert_eq!(browser.texts("#sug img").await, Vec::<String>::new());
    browser.click("#sug li").await;
    let written = format!("service = \"{}\" ", EVIL.replace('"', "\\\""));
    assert_eq!(value(&browser, "q").await, written);
    // The box keeps the focus.
    type_text(&browser, "and name = tick").await;
    browser.press("Enter").await;
    headed(&browser, "1 request").await;
    assert_eq!(browser.title().await, "Requests – longpole");

    // The form's operations, of the service that is chosen.
    browser.open(&server.ui_url("/?service=web")).await;
    browser.click("input[name=op]").await;
    type_text(&browser, "orders").await;
    suggested(&browser, &["GET /orders"]).await;
    assert_eq!(
        options(&browser).await.len(),
        1,
        "the database's is another's"
    );
    browser.click("#sug li").await;
    assert_eq!(value(&browser, "op").await, "GET /orders");
    assert_eq!(options(&browser).await, Vec::<String>::new());
    browser.press("Enter").await;
    headed(&browser, "20 of 45 requests").await;
    // Asked for and gone again.
    browser.click("input[name=op]").await;
    browser.press("ArrowDown").await;
    browser.click("h1").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_to_ask_the_box_is_a_box() {
    let server = filled().await;
    let browser = Browser::start(Script::On).await;
    browser.block("*/api/v1/suggest*").await;
    browser.open(&server.ui_url("/")).await;
    browser.click("input[name=q]").await;
    type_text(&browser, "{service = inventory}").await;
    assert_eq!(options(&browser).await, Vec::<String>::new());
    browser.press("Enter").await;
    headed(&browser, "1 request").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_asks_for_errors_and_for_the_slowest_hop() {
    let server = filled().await;
    for script in [Script::On, Script::Off] {
        let browser = Browser::start(script).await;
        browser.open(&server.ui_url("/")).await;
        browser
            .click("select[name=status] option[value=error]")
            .await;
        browser.click("#find button").await;
        headed(&browser, "9 requests").await;
        let is_short = browser
            .url()
            .await
            .ends_with("/?status=error&sort=slowest&limit=20");
        assert_eq!(is_short, script == Script::On, "{}", browser.url().await);
        let hops = browser.texts("select[name=hop] option").await;
        assert_eq!(hops, ["anything", "db SELECT orders"], "{script:?}");

        browser.open(&server.ui_url("/")).await;
        browser
            .click("select[name=hop] option[value^=inventory]")
            .await;
        browser.click("#find button").await;
        headed(&browser, "1 request").await;
        let url = browser.url().await;
        let plain = "/?hopService=inventory&hopName=GET%20%2Fstock";
        assert!(url.ends_with(plain), "{script:?}: {url}");
        let facts = browser.texts(".facts").await.concat();
        assert!(
            facts.contains("slowest hop inventory GET /stock"),
            "{facts}"
        );
        browser.click(".facts a").await;
        headed(&browser, "20 of 47 requests").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_turned_and_turned_back() {
    let server = filled().await;
    let browser = Browser::start(Script::On).await;
    browser.open(&server.ui_url("/?service=web")).await;
    let took = async || {
        browser
            .texts(".res tbody tr:first-child .dur")
            .await
            .concat()
    };
    assert_eq!(took().await, "45 ms");
    browser.click("[rel=next]").await;
    let second = async || (took().await == "25 ms").then_some(());
    eventually("the second page", second).await;
    let url = browser.url().await;
    browser.run("location.reload()").await;
    eventually("the second page again", second).await;
    assert_eq!(browser.url().await, url, "the page is its URL");
    browser.run("history.back()").await;
    eventually("the first page", async || {
        (took().await == "45 ms").then_some(())
    })
    .await;
    browser.run("history.forward()").await;
    eventually("the second page once more", second).await;
    assert_eq!(value(&browser, "service").await, "web");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_list_stays_in_the_page_and_axe_has_nothing_against_it() {
    let axe = axe();
    let server = filled().await;
    let browser = Browser::start(Script::On).await;
    for medium in [Medium::Light, Medium::Dark] {
        browser.show_on(medium).await;
        for width in [320, 768, 1440] {
            browser.resize(width, 900).await;
            for (path, name, typed) in [("/", "q", "service = "), ("/?service=web", "op", "GET")] {
                browser.open(&server.ui_url(path)).await;
                browser.click(&format!("input[name={name}]")).await;
                type_text(&browser, typed).await;
                eventually("suggestions", async || {
                    (!options(&browser).await.is_empty()).then_some(())
                })
                .await;
                browser.press("ArrowDown").await;
                let what = format!("{name}, {medium:?}, {width} px");
                let overhang = "return document.documentElement.scrollWidth - window.innerWidth";
                let overhang = browser.run(overhang).await.as_i64().expect("pixels");
                assert!(overhang <= 0, "{what}: {overhang} px too wide");
                let on_top = "const at = document.querySelector('#sug-0').getBoundingClientRect(); \
                              return document.elementFromPoint(at.left + 9, at.top + 9).closest('#sug-0') !== null && at.right <= innerWidth";
                assert_eq!(browser.run(on_top).await, true, "{what}: it can be seen");
                if let Some(axe) = &axe {
                    let found = violations(&browser, axe).await;
                    assert_eq!(found, Vec::<String>::new(), "{what}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_small_with_every_row_another() {
    let server = Server::start().await;
    for n in 1..=210_u128 {
        let root = Draft::new(n, 1, &format!("GET /orders/{n}/items"))
            .service(&format!("service-{n}"))
            .at(0, 400);
        let child = Draft::new(n, 2, &format!("find items of {n}"))
            .service(&format!("database-{n}"))
            .parent(1)
            .at(10, 300);
        server.client().export(&spans::request([root, child])).await;
    }
    for (limit, bytes_max, nodes_max) in [(20, 25 * 1024, 2_500), (200, 60 * 1024, 6_000)] {
        let path = format!("/?limit={limit}");
        let gzip = [("accept-encoding", "gzip")];
        let sent = server.client().try_get(&path, &gzip).await;
        let n_bytes = sent.expect("the server answers").expect(200).body.len();
        let html = server.client().get(&path).await.expect(200).html();
        let every = Selector::parse("*").expect("a valid selector");
        let n_nodes = html.select(&every).count();
        println!("{limit} requests: {n_bytes} bytes, {n_nodes} elements");
        assert!(n_bytes <= bytes_max, "{limit} requests: {n_bytes} bytes");
        assert!(n_nodes <= nodes_max, "{limit} requests: {n_nodes} elements");
    }
}
