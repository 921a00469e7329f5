//! Takes pictures of the pages: the README's two into `docs/images`, or, given a folder, every
//! view of the demo's slow checkout and of a large report, light and dark, wide and narrow, to be
//! looked at. Says nothing when all is well.

use std::path::{Path, PathBuf};

use anyhow::Context;
use longpole_tests::{Browser, Medium, Script, Server, eventually, large, spans};

/// The small checkout's trace.
const CHECKOUT: u128 = 0xb7ad_6b71_6920_3331_a1b2_c3d4_e5f6_0709;
/// The large report: its trace's ID and how many spans it has.
const REPORT: u128 = 0x00b1_6b16_b16b_16b1;
const REPORT_SPANS: usize = 10_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder: Option<PathBuf> = std::env::args_os().nth(1).map(Into::into);
    let server = Server::start_with(|config| config.demo = true).await;
    let checkout = server.client().slow_checkout().await;
    let path = format!(
        "/trace/{}",
        checkout["traceId"].as_str().context("an ID is text")?
    );
    eventually("the page to say that the trace is whole", async || {
        let page = server.client().get(&path).await.text();
        (!page.contains("more may be on the way")).then_some(())
    })
    .await;
    let pictures = Pictures {
        browser: Browser::start(Script::On).await,
        server,
        path,
    };
    match folder {
        Some(folder) => pictures.of_every_view(&folder).await?,
        None => pictures.of_the_readme(Path::new("docs/images")).await?,
    }
    let Pictures {
        browser, server, ..
    } = pictures;
    drop(browser);
    server.stop().await;
    Ok(())
}

struct Pictures {
    browser: Browser,
    server: Server,
    /// The checkout's page.
    path: String,
}

impl Pictures {
    async fn of_the_readme(&self, folder: &Path) -> anyhow::Result<()> {
        self.browser.resize(1280, 765).await;
        self.take(folder, "trace", &self.path).await?;
        self.browser.resize(1280, 960).await;
        self.take(folder, "search", "/?service=inventory&min=150ms")
            .await
    }

    async fn of_every_view(&self, folder: &Path) -> anyhow::Result<()> {
        for request in large::report(REPORT, REPORT_SPANS) {
            self.server.client().export(&request).await;
        }
        let checkout = spans::request(spans::checkout_with_errors(CHECKOUT));
        self.server.client().export(&checkout).await;
        let (checkout, report) = (
            format!("/trace/{CHECKOUT:032x}"),
            format!("/trace/{REPORT:032x}"),
        );
        let views = [
            ("story", checkout.clone()),
            ("story-large", report.clone()),
            ("zoomed", format!("{checkout}?t0=20000&t1=220000")),
            ("zoomed-large", format!("{report}?t0=4000000&t1=5500000")),
            ("path", format!("{checkout}?view=path")),
            ("path-large", format!("{report}?view=path")),
            ("errors", format!("{checkout}?view=errors")),
            ("errors-large", format!("{report}?view=errors")),
            ("all", format!("{checkout}?view=all")),
            ("all-large", format!("{report}?view=all")),
            ("table", format!("{checkout}?view=table")),
            ("drawer", format!("{checkout}?span={:016x}", 8)),
            ("filter-large", format!("{report}?q=reindex")),
            ("search", "/".to_owned()),
            ("status", "/status".to_owned()),
            ("unknown", format!("/trace/{:032x}", 0xbad)),
        ];
        for (width, height) in [(1440, 900), (420, 900)] {
            self.browser.resize(width, height).await;
            for medium in [Medium::Light, Medium::Dark] {
                self.browser.show_on(medium).await;
                for (name, path) in &views {
                    let name = format!("{name}-{width}-{medium:?}").to_lowercase();
                    self.take(folder, &name, path).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes a page's picture, once all of it is there.
    async fn take(&self, folder: &Path, name: &str, path: &str) -> anyhow::Result<()> {
        self.browser.open(&self.server.ui_url(path)).await;
        eventually("the page to be whole", async || {
            let status = self.browser.texts("#st, #shared [role=status]").await;
            let waits = |text: &String| text.contains("loading") || text.contains("in common?");
            (!status.iter().any(waits)).then_some(())
        })
        .await;
        let file = folder.join(format!("{name}.png"));
        std::fs::write(&file, self.browser.screenshot().await)
            .with_context(|| format!("cannot write {}", file.display()))
    }
}
