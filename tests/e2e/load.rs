//! `longpole load`: what it says was acknowledged is what is stored.

use longpole::LogConfig;
use longpole::load::{LoadConfig, Protocol};
use longpole_tests::Server;
use tokio_util::sync::CancellationToken;

/// Sends a small load and compares the file of ids with what the server has.
async fn ids_are_stored(protocol: Protocol) {
    let server = Server::start().await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ids = dir.path().join("ids");
    let endpoint = match protocol {
        Protocol::Grpc => server.grpc_endpoint(),
        Protocol::Http => server.http_endpoint(),
    };
    let config = LoadConfig {
        endpoint: endpoint.parse().expect("a URL"),
        token_file: None,
        tls_ca: None,
        protocol,
        n_spans: 5_000,
        concurrency: 3,
        server_pid: None,
        ids: Some(ids.clone()),
        seed: 5,
        log: LogConfig::default(),
    };
    let report = longpole::load::run(config, CancellationToken::new())
        .await
        .expect("a report")
        .to_string();
    assert!(report.contains("requests failed      0"), "{report}");
    assert!(report.contains("spans refused        0"), "{report}");

    let ids = std::fs::read_to_string(ids).expect("a file of ids");
    let mut n_spans = 0;
    for line in ids.lines() {
        let (id, n) = line.split_once(' ').expect("an ID and a count");
        n_spans += n.parse::<usize>().expect("a count");
        let trace = server.client().get(&format!("/api/v1/traces/{id}")).await;
        let trace: serde_json::Value = trace.expect(200).json();
        assert_eq!(spans(&trace), n, "{id}");
    }
    assert!(
        report.contains(&format!("spans acknowledged   {n_spans} in")),
        "{report}"
    );
    assert!(
        (5_000..10_000).contains(&n_spans),
        "requests are never cut: {n_spans}"
    );
}

fn spans(trace: &serde_json::Value) -> String {
    let list =
        |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let n_spans: usize = list(trace, "resourceSpans")
        .iter()
        .flat_map(|resource| list(resource, "scopeSpans"))
        .map(|scope| list(&scope, "spans").len())
        .sum();
    n_spans.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_be_acknowledged_over_grpc_is_stored() {
    ids_are_stored(Protocol::Grpc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_be_acknowledged_over_http_is_stored() {
    ids_are_stored(Protocol::Http).await;
}
