//! The pages in a real Chromium, with scripts and without.

use longpole_tests::{Browser, Script, Server, eventually, spans};

use crate::pages::CHECKOUT_VERDICT;

async fn with_checkouts() -> Server {
    let server = Server::start().await;
    server
        .client()
        .export(&spans::request(spans::checkout(1)))
        .await;
    server
        .client()
        .export(&spans::single(2, "web", "GET /quick", 12))
        .await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_slowest_request_to_its_slowest_hop() {
    let server = with_checkouts().await;
    for script in [Script::On, Script::Off] {
        let browser = Browser::start(script).await;
        browser.open(&server.ui_url("/")).await;
        let requests = browser.texts("a[href*='/trace/']").await;
        let place = |name| requests.iter().position(|link| link.contains(name));
        let (slow, quick) = (place("POST /checkout"), place("GET /quick"));
        assert!(
            slow.is_some() && slow < quick,
            "{script:?}: the slowest is listed first: {requests:?}"
        );

        let link = format!("a[href*='/trace/{:032x}']", 1);
        browser.click(&link).await;
        eventually("the trace page", async || {
            browser.url().await.contains("/trace/").then_some(())
        })
        .await;
        let page = browser.texts("body").await.concat();
        assert!(page.contains(CHECKOUT_VERDICT), "{script:?}: {page}");
        let hot = browser.texts(".hot").await;
        let [row] = hot.as_slice() else {
            panic!("{script:?}: one row is the slowest hop, not {hot:?}")
        };
        assert!(row.contains("GET /stock"), "{script:?}: {row}");
        assert_eq!(
            browser.complaints().await,
            Vec::<String>::new(),
            "{script:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spans_details_open_with_scripts_and_without() {
    let server = with_checkouts().await;
    for script in [Script::On, Script::Off] {
        let browser = Browser::start(script).await;
        browser
            .open(&server.ui_url(&format!("/trace/{:032x}", 1)))
            .await;
        browser.click(&format!("a[href*='span={:016x}']", 4)).await;
        eventually("the span's attributes", async || {
            let page = browser.texts("body").await.concat();
            page.contains("SELECT quantity FROM stock").then_some(())
        })
        .await;
        let url = browser.url().await;
        assert!(
            url.contains(&format!("span={:016x}", 4)),
            "{script:?}: the view is in {url}"
        );
        assert_eq!(browser.texts(".hot").await.len(), 1, "{script:?}");
        if script == Script::On {
            browser.click("#dr .copy").await;
            assert_eq!(browser.texts("#dr .copy").await, ["copied", "copy"]);
            let selected = browser.run("return getSelection().toString()").await;
            assert_eq!(selected, format!("{:032x}", 1), "what was copied");
        }
        assert_eq!(
            browser.complaints().await,
            Vec::<String>::new(),
            "{script:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_critical_path_is_shown_by_link_and_by_key() {
    let server = with_checkouts().await;
    for script in [Script::On, Script::Off] {
        let browser = Browser::start(script).await;
        let path = format!("/trace/{:032x}?span={:016x}", 1, 4);
        browser.open(&server.ui_url(&path)).await;
        let n_rows = browser.texts(".r").await.len();
        browser.click("#path").await;
        eventually("fewer rows", async || {
            let rows = browser.texts(".r").await;
            (!rows.is_empty() && rows.len() < n_rows).then_some(())
        })
        .await;
        let url = browser.url().await;
        for part in ["view=path".to_owned(), format!("span={:016x}", 4)] {
            assert!(url.contains(&part), "{script:?}: {part} is in {url}");
        }
        assert_eq!(browser.texts(".hot").await.len(), 1, "{script:?}");
        assert_eq!(browser.texts(".dr").await.len(), 1, "{script:?}");
        if let Script::On = script {
            let press = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'p', bubbles: true}))";
            browser.run(press).await;
            eventually("all rows again", async || {
                (browser.texts(".r").await.len() == n_rows).then_some(())
            })
            .await;
        }
        assert_eq!(
            browser.complaints().await,
            Vec::<String>::new(),
            "{script:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_scrolls_sideways() {
    let server = with_checkouts().await;
    let browser = Browser::start(Script::On).await;
    let trace = format!("/trace/{:032x}", 1);
    let paths = [
        "/".to_owned(),
        trace.clone(),
        format!("{trace}?span={:016x}", 4),
        "/status".to_owned(),
    ];
    for width in [320, 768, 1440] {
        browser.resize(width, 900).await;
        for path in &paths {
            browser.open(&server.ui_url(path)).await;
            let overhang = "return document.documentElement.scrollWidth - window.innerWidth";
            let overhang = browser
                .run(overhang)
                .await
                .as_i64()
                .expect("a number of pixels");
            assert!(
                overhang <= 0,
                "{path} is {overhang} px too wide at {width} px"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_off_where_these_tests_say_so() {
    let page = "data:text/html,<title>off</title><script>document.title='on'</script>";
    for (script, title) in [(Script::On, "on"), (Script::Off, "off")] {
        let browser = Browser::start(script).await;
        browser.open(page).await;
        assert_eq!(browser.title().await, title);
    }
}
