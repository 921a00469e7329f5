//! Takes the README's picture: the demo's slow checkout as its page shows it. Says nothing when all
//! is well.

use std::path::PathBuf;

use anyhow::Context;
use longpole_tests::{Browser, Script, Server};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file: PathBuf = std::env::args_os()
        .nth(1)
        .context("say which file to write")?
        .into();
    let server = Server::start_with(|config| config.demo = true).await;
    let checkout = server.client().slow_checkout().await;
    let id = checkout["traceId"].as_str().context("an ID is text")?;
    let browser = Browser::start(Script::On).await;
    browser.resize(1280, 900).await;
    browser.open(&server.ui_url(&format!("/trace/{id}"))).await;
    std::fs::write(&file, browser.screenshot().await)
        .with_context(|| format!("cannot write {}", file.display()))?;
    drop(browser);
    server.stop().await;
    Ok(())
}
