//! Every page, looked through by [axe](https://github.com/dequelabs/axe-core), light and dark, narrow
//! and wide.

use std::path::{Path, PathBuf};

use longpole_tests::{Browser, Medium, Script, Server, eventually, large, spans};
use serde_json::Value;

const TRACE: u128 = 0xa11;
const LARGE: u128 = 0xa12;

/// The script of axe, where `tests/run` puts it. Without it nothing can be looked through, which is
/// said; where `CI` is set, that is a failure.
pub(crate) fn axe() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let file = target.join("tools/axe.min.js");
    let script = std::fs::read_to_string(&file);
    match script {
        Ok(script) => Some(script),
        Err(error) if std::env::var_os("CI").is_some() => {
            panic!("{}: {error}; tests/run fetches it", file.display())
        }
        Err(error) => {
            eprintln!(
                "left out: {}: {error}; tests/run fetches it",
                file.display()
            );
            None
        }
    }
}

/// The pages, and on some what is waited for.
fn pages() -> Vec<(&'static str, String, Option<&'static str>)> {
    let trace = format!("/trace/{TRACE:032x}");
    let large = format!("/trace/{LARGE:032x}");
    vec![
        ("search", "/".to_owned(), None),
        ("nothing found", "/?service=nobody".to_owned(), None),
        ("story", trace.clone(), None),
        ("story of many", large.clone(), None),
        ("details", format!("{trace}?span={:016x}", 8), None),
        (
            "zoomed path",
            format!("{trace}?view=path&t0=10000&t1=300000"),
            None,
        ),
        ("errors", format!("{trace}?view=errors"), None),
        (
            "all spans",
            format!("{large}?view=all"),
            Some("all 1,000 spans shown"),
        ),
        ("table", format!("{trace}?view=table"), None),
        ("filter", format!("{large}?q=reindex"), None),
        ("status", "/status".to_owned(), None),
        ("unknown trace", format!("/trace/{:032x}", 0xbad), None),
        ("bad parameter", format!("{trace}?view=none"), None),
    ]
}

/// What axe has against the page that is open: rule, element and why.
pub(crate) async fn violations(browser: &Browser, axe: &str) -> Vec<String> {
    let run = "return axe.run(document, {resultTypes: ['violations'], runOnly: {type: 'tag', values: \
               ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}}).then(found => \
               found.violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.target}: ${node.failureSummary}`)))";
    let found = browser.run(&format!("{axe};\n{run}")).await;
    let found = found.as_array().expect("a list of violations");
    found
        .iter()
        .map(|violation| violation.as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_has_nothing_against_any_page() {
    let Some(axe) = axe() else { return };
    let empty = Server::start().await;
    let server = Server::start().await;
    server
        .client()
        .export(&spans::request(spans::checkout_with_errors(TRACE)))
        .await;
    for request in large::report(LARGE, 1_000) {
        server.client().export(&request).await;
    }
    let browser = Browser::start(Script::On).await;
    let mut found = Vec::new();
    let pages = pages()
        .into_iter()
        .map(|(name, path, said)| (name, server.ui_url(&path), said));
    let pages: Vec<_> = pages
        .chain([("nothing received", empty.ui_url("/"), None)])
        .collect();
    for medium in [Medium::Light, Medium::Dark] {
        browser.show_on(medium).await;
        for width in [320, 768, 1440] {
            browser.resize(width, 900).await;
            for (name, url, said) in &pages {
                browser.open(url).await;
                if let Some(said) = said {
                    eventually(said, async || {
                        let status = browser.texts("#st").await;
                        (status == [*said]).then_some(())
                    })
                    .await;
                }
                let against = violations(&browser, &axe).await;
                found.extend(
                    against
                        .iter()
                        .map(|why| format!("{name}, {medium:?}, {width} px: {why}")),
                );
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} violations:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_what_is_wrong() {
    let Some(axe) = axe() else { return };
    let browser = Browser::start(Script::On).await;
    browser
        .open("data:text/html,<title>x</title><img src=x><p style='color:%23999'>pale</p>")
        .await;
    let found = violations(&browser, &axe).await;
    for rule in ["image-alt", "color-contrast", "html-has-lang"] {
        assert!(
            found.iter().any(|why| why.starts_with(rule)),
            "{rule} is not in {found:?}"
        );
    }
    assert!(matches!(
        browser.run("return typeof axe").await,
        Value::String(_)
    ));
}
