//! An HTTP client that keeps whole replies, whatever their status.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use scraper::Html;

use crate::eventually;

/// The media type of protobuf over HTTP.
const PROTOBUF: &str = "application/x-protobuf";

/// A whole reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Reply {
    /// A header's text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the JSON {}", self.text()))
    }

    /// The body as a page.
    pub fn html(&self) -> Html {
        Html::parse_document(&self.text())
    }

    /// The body as a protobuf message.
    ///
    /// # Panics
    /// When it is none.
    pub fn message<M: Message + Default>(&self) -> M {
        M::decode(self.body.clone()).expect("the reply is a protobuf message of this type")
    }

    /// Checks the status.
    ///
    /// # Panics
    /// When it is another; the message shows the body.
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// Speaks to one server over HTTP: its receiver and its pages.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    receiver: SocketAddr,
    ui: SocketAddr,
}

impl Client {
    /// A client of the server with these addresses.
    ///
    /// # Panics
    /// When the HTTP client cannot be set up.
    pub fn new(receiver: SocketAddr, ui: SocketAddr) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_mins(1))
            .build()
            .expect("a plain HTTP client needs nothing of the system");
        Self { http, receiver, ui }
    }

    /// Sends a request to the receiver; `None` when the connection broke before an answer.
    pub async fn try_receiver(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Option<Reply> {
        let url = format!("http://{}{path}", self.receiver);
        let mut request = self.http.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        reply(request).await
    }

    /// Posts a body to `/v1/traces`.
    ///
    /// # Panics
    /// When the connection broke before an answer.
    pub async fn post(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        self.try_receiver(Method::POST, "/v1/traces", headers, body.into())
            .await
            .expect("the receiver answers")
    }

    /// Exports a request over HTTP as protobuf; `None` when the connection broke before an answer.
    pub async fn try_export(&self, request: &ExportTraceServiceRequest) -> Option<Reply> {
        let headers = [(CONTENT_TYPE.as_str(), PROTOBUF)];
        self.try_receiver(
            Method::POST,
            "/v1/traces",
            &headers,
            request.encode_to_vec().into(),
        )
        .await
    }

    /// Exports a request over HTTP as protobuf, all of which must be accepted.
    ///
    /// # Panics
    /// When it is not.
    pub async fn export(&self, request: &ExportTraceServiceRequest) {
        let reply = self
            .try_export(request)
            .await
            .expect("the receiver answers")
            .expect(200);
        let response: ExportTraceServiceResponse = reply.message();
        // One that rejects nothing is a warning.
        let partial = response.partial_success.unwrap_or_default();
        assert_eq!(partial.rejected_spans, 0, "{}", partial.error_message);
    }

    /// Gets a path of the pages, with headers; `None` when the connection broke before an answer.
    pub async fn try_get(&self, path: &str, headers: &[(&str, &str)]) -> Option<Reply> {
        let mut request = self.http.get(format!("http://{}{path}", self.ui));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        reply(request).await
    }

    /// Gets a path of the pages.
    ///
    /// # Panics
    /// When the connection broke before an answer.
    pub async fn get(&self, path: &str) -> Reply {
        self.try_get(path, &[]).await.expect("the server answers")
    }

    /// Waits for the demo's checkout of 390 ms to be whole, and gives what the search says of it.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn slow_checkout(&self) -> serde_json::Value {
        eventually("the demo's checkout of 390 ms", async || {
            let found = self
                .get("/api/v1/search?min=385ms&max=395ms")
                .await
                .expect(200)
                .json();
            // The services' parts come one by one; with the last one the hop is known.
            let is_whole = |request: &&serde_json::Value| {
                request["incomplete"] == false && request["slowestHop"]["service"] == "inventory"
            };
            found["requests"].as_array()?.iter().find(is_whole).cloned()
        })
        .await
    }

    /// A stored trace as OTLP; `None` when there is none.
    ///
    /// # Panics
    /// When the server answers anything but 200 or 404.
    pub async fn trace(&self, trace: u128) -> Option<TracesData> {
        let path = format!("/api/v1/traces/{trace:032x}");
        let reply = self.try_get(&path, &[(ACCEPT.as_str(), PROTOBUF)]).await;
        let reply = reply.expect("the server answers");
        match reply.status {
            404 => None,
            _ => Some(reply.expect(200).message()),
        }
    }
}

async fn reply(request: reqwest::RequestBuilder) -> Option<Reply> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = response.bytes().await.ok()?;
    Some(Reply {
        status,
        headers,
        body,
    })
}
