use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::otlp::client::Client;
use crate::testing::{FakeStore, Mood, export_request};

/// A server on free ports, over a store that is none.
struct Running {
    store: Arc<FakeStore>,
    addresses: Addresses,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<Result<(), RunError>>,
}

impl Running {
    async fn start(mood: Mood, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::with_data_dir("unused");
        for address in [&mut config.otlp_grpc, &mut config.otlp_http, &mut config.ui] {
            address.set_port(0);
        }
        change(&mut config);
        let listeners = Listeners::bind(&config).await.expect("free ports");
        let addresses = listeners.addresses().expect("addresses");
        let store = FakeStore::new(mood);
        let stop = CancellationToken::new();
        let server = tokio::spawn({
            let store: Arc<dyn Store> = Arc::clone(&store) as _;
            let stop = stop.clone();
            async move { serve(&config, listeners, store, crate::clock::system(), stop).await }
        });
        Self {
            store,
            addresses,
            stop,
            server,
        }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.addresses.ui_endpoint());
        let answer = reqwest::get(url).await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    fn client(&self) -> Client {
        Client::new(self.addresses.grpc_endpoint().parse().expect("a URL"))
    }

    async fn stopped(self) -> Arc<FakeStore> {
        self.stop.cancel();
        let ended = tokio::time::timeout(shutdown::DEADLINE, self.server).await;
        ended
            .expect("in time")
            .expect("no panic")
            .expect("no error");
        self.store
    }
}

fn request(n_spans: u64) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(export_request(n_spans, 0)).expect("an export request")
}

#[tokio::test]
async fn it_receives_counts_and_closes_the_store_when_stopped() {
    let running = Running::start(Mood::Willing, |_| {}).await;
    let partial = running.client().export(request(5)).await.expect("success");
    assert_eq!(partial, None);
    let (status, metrics) = running.get("/metrics").await;
    assert_eq!(status, 200);
    let line = r#"longpole_receiver_spans_total{transport="grpc",outcome="accepted",reason=""} 5"#;
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains("longpole_store_spans 5"), "{metrics}");
    let (addresses, store) = (running.addresses, running.stopped().await);
    assert_eq!(store.n_spans(), 5);
    assert!(store.is_closed());
    for address in [addresses.otlp_grpc, addresses.otlp_http, addresses.ui] {
        TcpStream::connect(address)
            .await
            .expect_err("nobody listens any more");
    }
}

#[tokio::test]
async fn readiness_names_what_does_not_work() {
    let running = Running::start(Mood::Willing, |_| {}).await;
    assert_eq!(running.get("/healthz").await, (200, "ok\n".to_owned()));
    let (status, body) = running.get("/readyz").await;
    assert_eq!(status, 200, "{body}");
    running.stopped().await;

    let running = Running::start(Mood::Broken, |_| {}).await;
    let (status, body) = running.get("/readyz").await;
    assert_eq!(status, 503);
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["ready"], false);
    assert_eq!(
        body["parts"][0],
        serde_json::json!({"name": "receivers", "ok": true, "reason": null})
    );
    assert_eq!(body["parts"][1]["name"], "storeWrite");
    assert_eq!(
        body["parts"][1]["reason"],
        "stored data is damaged: the log"
    );
    running.stopped().await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_once_and_for_all() {
    let running = Running::start(Mood::Willing, |config| config.max_request_bytes = 64 << 10).await;
    let mut large = request(1);
    // Random letters, which gzip cannot make small: the limit must hold before and after it.
    let mut rng = fastrand::Rng::with_seed(1);
    large.resource_spans[0].scope_spans[0].spans[0].name =
        std::iter::repeat_with(|| rng.alphanumeric())
            .take(8 << 20)
            .collect();
    let status = running
        .client()
        .export(large)
        .await
        .expect_err("over the limit");
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
    assert!(
        status.message().contains("65536 bytes"),
        "{}",
        status.message()
    );
    assert_eq!(running.stopped().await.n_spans(), 0);
}

#[tokio::test]
async fn a_client_that_writes_before_it_reads_hears_why_it_is_refused() {
    let running = Running::start(Mood::Willing, |config| config.max_request_bytes = 64 << 10).await;
    let mut stream = TcpStream::connect(running.addresses.otlp_http)
        .await
        .expect("a connection");
    let body = vec![b'x'; 16 << 20];
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(head.as_bytes())
        .await
        .expect("the head is taken");
    stream.write_all(&body).await.expect("the body is taken");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{answer}"
    );
    running.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_is_cut_off_in_time() {
    let mut parts = JoinSet::new();
    parts.spawn(std::future::pending());
    parts.spawn(async { Ok(()) });
    let began = tokio::time::Instant::now();
    drain(parts).await;
    assert_eq!(began.elapsed(), shutdown::DRAIN_DEADLINE);
}

#[tokio::test]
async fn the_demo_fills_its_own_server() {
    let running = Running::start(Mood::Willing, |config| config.demo = true).await;
    let history = running.store.filled_with(2_000);
    let filled = tokio::time::timeout(Duration::from_mins(1), history).await;
    filled.expect("the demo's history");
    let (_, metrics) = running.get("/metrics").await;
    assert!(!metrics.contains(r#"outcome="refused""#), "{metrics}");
    assert!(running.stopped().await.is_closed());
}

#[tokio::test]
async fn grpc_on_the_http_port_is_sent_to_its_own() {
    let running = Running::start(Mood::Willing, |_| {}).await;
    let client = Client::new(running.addresses.http_endpoint().parse().expect("a URL"));
    let status = client.export(request(1)).await.expect_err("refused");
    assert_eq!(status.code(), tonic::Code::Unimplemented, "{status:?}");
    let grpc_endpoint = running.addresses.grpc_endpoint();
    assert!(status.message().contains(&grpc_endpoint), "{status:?}");
    let (_, metrics) = running.get("/metrics").await;
    let line = r#"requests_total{transport="grpc",outcome="refused",reason="not_http"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    running.stopped().await;
}

#[test]
fn only_addresses_beyond_loopback_are_warned_of() {
    let at = |text: &str| text.parse().expect("an address");
    let addresses = Addresses {
        otlp_grpc: at("0.0.0.0:1"),
        otlp_http: at("127.0.0.1:2"),
        ui: at("[::]:3"),
    };
    let exposed: Vec<_> = addresses.exposed().map(|(flag, _)| flag).collect();
    assert_eq!(exposed, ["otlp-grpc", "ui"]);
}
