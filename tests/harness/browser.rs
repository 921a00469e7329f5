//! A real Chromium, driven over `WebDriver`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{Mutex, MutexGuard};

use crate::eventually;

/// Whether pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// As browsers come.
    On,
    /// Forbidden in the browser's settings.
    Off,
}

/// What pages are shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A screen in a light room.
    Light,
    /// A screen in a dark room.
    Dark,
    /// Paper.
    Paper,
}

/// One browser at a time: several at once starve each other on a small machine.
static TURN: Mutex<()> = Mutex::const_new(());

/// A browser with a profile of its own; gone when dropped.
#[derive(Debug)]
pub struct Browser {
    page: fantoccini::Client,
    // Dropped in this order: the browser, then its profile, then the next one's turn.
    _driver: Driver,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    /// When `chromedriver` or Chromium is not installed or does not start.
    pub async fn start(script: Script) -> Self {
        let turn = TURN.lock().await;
        let profile = TempDir::new().expect("a temporary directory can be made");
        let driver = Driver::start().await;
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(script, &profile))
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .expect("chromedriver starts Chromium");
        Self {
            page,
            _driver: driver,
            _profile: profile,
            _turn: turn,
        }
    }

    /// Opens a URL and waits until it is loaded.
    ///
    /// # Panics
    /// When the browser does not.
    pub async fn open(&self, url: &str) {
        self.page
            .goto(url)
            .await
            .expect("the browser opens the page");
    }

    /// The URL of the page.
    ///
    /// # Panics
    /// When the browser does not say.
    pub async fn url(&self) -> String {
        self.page
            .current_url()
            .await
            .expect("a page has a URL")
            .to_string()
    }

    /// The title of the page.
    ///
    /// # Panics
    /// When the browser does not say.
    pub async fn title(&self) -> String {
        self.page.title().await.expect("a page has a title")
    }

    /// The visible text of everything that matches a CSS selector, in order, white space folded.
    ///
    /// # Panics
    /// When the selector is none, or the page never stays as it is for long enough to be read.
    pub async fn texts(&self, selector: &str) -> Vec<String> {
        // Other rows, or another page, may come while these are read.
        eventually(selector, async || self.try_texts(selector).await.ok()).await
    }

    async fn try_texts(&self, selector: &str) -> Result<Vec<String>, CmdError> {
        let mut texts = Vec::new();
        for element in self.page.find_all(Locator::Css(selector)).await? {
            let text = element.text().await?;
            texts.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        Ok(texts)
    }

    /// Clicks the first thing that matches a CSS selector.
    ///
    /// # Panics
    /// When there is none, or something lies over it.
    pub async fn click(&self, selector: &str) {
        let element = self.page.find(Locator::Css(selector)).await;
        let element = element.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element
            .click()
            .await
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Runs a script's text in the page, where scripts are on, and gives what it returns.
    ///
    /// # Panics
    /// When it throws.
    pub async fn run(&self, script: &str) -> Value {
        self.page
            .execute(script, Vec::new())
            .await
            .expect("the script runs")
    }

    /// Makes the window's inside this large, smaller than a real window can be if need be.
    ///
    /// # Panics
    /// When the browser does not.
    pub async fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// Shows pages as on a screen in a light or dark room, or as on paper.
    ///
    /// # Panics
    /// When the browser does not.
    pub async fn show_on(&self, medium: Medium) {
        let (media, scheme) = match medium {
            Medium::Light => ("screen", "light"),
            Medium::Dark => ("screen", "dark"),
            Medium::Paper => ("print", "light"),
        };
        let scheme = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "media": media, "features": scheme }),
        )
        .await;
    }

    /// Drags with the mouse through these places of the page; the button is let go at the last, if it is to.
    ///
    /// # Panics
    /// When the browser does not.
    pub async fn drag(&self, places: &[(f64, f64)], lets_go: bool) {
        let last = places.last().copied();
        let moved = places.iter().map(|&place| ("mouseMoved", place));
        let pressed = places.first().map(|&place| ("mousePressed", place));
        let released = last
            .filter(|_| lets_go)
            .map(|place| ("mouseReleased", place));
        for (kind, (x, y)) in pressed.into_iter().chain(moved).chain(released) {
            let buttons = i32::from(kind != "mouseReleased");
            let event = json!({
                "type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1
            });
            self.devtools("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Presses a key and lets it go, named as in [`KeyboardEvent.key`].
    ///
    /// [`KeyboardEvent.key`]: https://www.w3.org/TR/uievents-key/
    ///
    /// # Panics
    /// When the browser does not.
    pub async fn press(&self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            key if key.chars().count() == 1 => key,
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "text": text });
            self.devtools("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Keeps the browser from loading URLs that match a pattern, in which `*` stands for anything.
    ///
    /// # Panics
    /// When the browser does not.
    pub async fn block(&self, pattern: &str) {
        self.devtools("Network.enable", json!({})).await;
        self.devtools("Network.setBlockedURLs", json!({ "urls": [pattern] }))
            .await;
    }

    /// Asks for what only Chromium's own protocol has.
    async fn devtools(&self, method: &str, params: Value) {
        let command = Extension {
            path: "goog/cdp/execute",
            body: json!({ "cmd": method, "params": params }),
        };
        let done = self.page.issue_cmd(command).await;
        done.unwrap_or_else(|error| panic!("{method}: {error}"));
    }

    /// The page as a PNG.
    ///
    /// # Panics
    /// When the browser does not take it.
    pub async fn screenshot(&self) -> Vec<u8> {
        self.page.screenshot().await.expect("the page can be drawn")
    }

    /// What the browser complained about since the last call: script errors, refused or missing
    /// files.
    ///
    /// # Panics
    /// When the browser does not say.
    pub async fn complaints(&self) -> Vec<String> {
        let command = Extension {
            path: "se/log",
            body: json!({ "type": "browser" }),
        };
        let entries = self
            .page
            .issue_cmd(command)
            .await
            .expect("the browser has a log");
        let entries = entries.as_array().expect("the log is a list");
        entries
            .iter()
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

fn capabilities(script: Script, profile: &TempDir) -> Capabilities {
    let allow = 1;
    let block = 2;
    let javascript = if script == Script::On { allow } else { block };
    let options = json!({
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "args": [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--no-proxy-server",
                "--window-size=1280,900",
                format!("--user-data-dir={}", profile.path().display()),
            ],
            "prefs": { "profile.managed_default_content_settings.javascript": javascript },
        },
    });
    match options {
        Value::Object(options) => options,
        _ => unreachable!("written as an object above"),
    }
}

/// The `chromedriver` process.
#[derive(Debug)]
struct Driver {
    port: u16,
    _process: Child,
    // Held so that the driver's own messages do not fail.
    _output: BufReader<ChildStdout>,
}

/// How often chromedriver is started when it ends at once.
const STARTS_MAX: usize = 5;

impl Driver {
    /// Starts it, anew when it ends at once: it looks for a free port and then takes it, for IPv4 and IPv6,
    /// and another program may have been quicker.
    async fn start() -> Self {
        for _ in 0..STARTS_MAX {
            if let Some(driver) = Self::try_start().await {
                return driver;
            }
        }
        panic!("chromedriver ended {STARTS_MAX} times without saying its port");
    }

    /// `None` when it ended without saying its port.
    async fn try_start() -> Option<Self> {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver: {error}; tests/run installs it (Debian: chromium chromium-driver)")
            });
        let mut output = BufReader::new(process.stdout.take().expect("its output is piped"));
        let port = loop {
            let mut line = String::new();
            let n_bytes = output
                .read_line(&mut line)
                .await
                .expect("chromedriver speaks UTF-8");
            if n_bytes == 0 {
                return None;
            }
            if let Some((_, port)) = line.trim_end().rsplit_once("started successfully on port ") {
                break port
                    .trim_end_matches('.')
                    .parse()
                    .expect("a port is a number");
            }
        };
        Some(Self {
            port,
            _process: process,
            _output: output,
        })
    }
}

impl Drop for Driver {
    /// Asks the driver to end its browser and itself, which killing it would not do to the browser.
    fn drop(&mut self) {
        let asked = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(
                b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            )?;
            stream.read_to_end(&mut Vec::new())
        });
        if let Err(error) = asked {
            eprintln!("chromedriver did not shut down when asked: {error}");
        }
    }
}

/// A command that only `chromedriver` has.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(
        &self,
        base_url: &url::Url,
        session_id: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base_url.join(&format!(
            "session/{}/{}",
            session_id.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
