//! Takes the README's picture: the demo's slow checkout as its page shows it. Says nothing when all
//! is well.

use std::path::PathBuf;

use anyhow::Context;
use longpole_tests::{Browser, Script, Server, eventually};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file: PathBuf = std::env::args_os()
        .nth(1)
        .context("say which file to write")?
        .into();
    let server = Server::start_with(|config| config.demo = true).await;
    let checkout = server.client().slow_checkout().await;
    let id = checkout["traceId"].as_str().context("an ID is text")?;
    let path = format!("/trace/{id}");
    eventually("the page to say that the trace is whole", async || {
        let page = server.client().get(&path).await.text();
        (!page.contains("more may be on the way")).then_some(())
    })
    .await;
    let browser = Browser::start(Script::On).await;
    browser.resize(1280, 765).await;
    browser.open(&server.ui_url(&path)).await;
    std::fs::write(&file, browser.screenshot().await)
        .with_context(|| format!("cannot write {}", file.display()))?;
    drop(browser);
    server.stop().await;
    Ok(())
}
