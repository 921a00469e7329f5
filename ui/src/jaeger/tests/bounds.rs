//! What is hostile, broken or too much.

use longpole_storage::{Cancel, SearchLimit, Stopped, Unseen};
use tokio::sync::Mutex;

use super::*;
use crate::testing::{FakeStore, Gate, site_at};

#[tokio::test]
async fn hostile_names_come_through_as_they_are() {
    let names = [
        "a/b",
        "<script>alert(1)</script>",
        "\"'\\\u{0}\n",
        "ü 世界",
        "%2F..%2F",
        "{service}",
    ];
    let spans = (1..)
        .zip(names)
        .map(|(n, name)| SpanBuilder::new(n, name).service(name));
    let site = site([trace_with_id(1, spans)]);
    for name in names {
        let path = "/api/services/{service}/operations";
        let uri = format!("/api/services/{}/operations", encoded(name));
        let found = document(&site, path, &uri, 200).await;
        assert_eq!(found["data"], serde_json::json!([name]));
        let query = format!("service={0}&operation={0}", encoded(name));
        let found = document(&site, "/api/traces", &format!("/api/traces?{query}"), 200).await;
        assert_eq!(numbers(&found), [1], "{name}");
    }
}

#[tokio::test]
async fn a_query_of_too_much_is_refused() {
    let site = site(shop());
    let tags = "tag=a:b&".repeat(1_001);
    let refused = document(&site, "/api/traces", &format!("/api/traces?{tags}"), 400).await;
    let said = refused["errors"][0]["msg"].as_str().expect("a text");
    assert!(said.starts_with("the query cannot be used"), "{said}");
    let ids: Vec<String> = (1..=1_501).map(|n| format!("traceID={n:x}")).collect();
    let uri = format!("/api/traces?{}", ids.join("&"));
    let refused = document(&site, "/api/traces", &uri, 400).await;
    let said = refused["errors"][0]["msg"].as_str().expect("a text");
    assert!(said.contains("no more than 1500 of them"), "{said}");
}

#[tokio::test]
async fn an_answer_that_is_full_says_how_many_are_left_out() {
    let large = "x".repeat(12 << 20);
    let trace = |n| {
        let span = SpanBuilder::new(1, "large").at(n, n + 1);
        trace_with_id(n, [span.attribute("text", large.as_str())])
    };
    let site = site((1..=5).map(trace));
    let reply = get(&site, "/api/traces").await;
    let left_out = "2 more of the traces left out: the answer has 32 MiB already, which is the most; ask for fewer";
    assert_eq!(reply.header("longpole-incomplete"), left_out);
    let found = reply.json();
    assert_eq!(numbers(&found), [5, 4, 3]);
    assert_eq!(found["errors"][0]["msg"], left_out);
}

#[tokio::test]
async fn a_search_that_did_not_see_all_says_so() {
    let mut store = FakeStore::with(shop());
    store.unseen = Unseen {
        stopped: Some(Stopped {
            limit: SearchLimit::Bytes(1 << 20),
            seen_beyond: None,
        }),
        n_unreadable: 2,
        n_set_aside: 0,
    };
    let site = site_at("", store);
    let range = "query.startTimeMin=2026-11-22T00:00:00Z&query.startTimeMax=2026-11-23T00:00:00Z";
    for (path, query) in [
        ("/api/traces", ""),
        ("/api/v3/traces", range),
        ("/api/v3/trace-summaries", range),
    ] {
        let reply = get(&site, &format!("{path}?{query}")).await;
        assert_eq!(reply.status, StatusCode::OK);
        let said = reply.header("longpole-incomplete");
        assert!(
            said.contains("2 stored pieces could not be read"),
            "{path}: {said}"
        );
    }
    let found = document(&site, "/api/traces", "/api/traces", 200).await;
    assert_eq!(found["errors"].as_array().map(Vec::len), Some(3), "{found}");
    let uri = format!("/api/v3/traces?query.serviceName=nobody&{range}");
    let none = document(&site, "/api/v3/traces", &uri, 404).await;
    let said = none["error"]["message"].as_str().expect("a text");
    assert!(said.starts_with("No traces found; stopped after"), "{said}");
}

#[tokio::test]
async fn a_search_ends_when_its_client_is_gone() {
    let range = "query.startTimeMin=2026-11-22T00:00:00Z&query.startTimeMax=2026-11-23T00:00:00Z";
    for uri in [
        "/api/traces".to_owned(),
        format!("/api/v3/traces?{range}"),
        format!("/api/v3/trace-summaries?{range}"),
    ] {
        let (began, mut searches) = tokio::sync::mpsc::channel::<Cancel>(1);
        let held = Arc::new(Mutex::new(()));
        let mut store = FakeStore::with(shop());
        store.gate = Some(Gate {
            began,
            held: Arc::clone(&held),
        });
        let site = site_at("", store);
        let _held = held.lock().await;
        let asked = uri.clone();
        let client = tokio::spawn(async move { get(&site, &asked).await });
        let cancel = searches.recv().await.expect("a search");
        assert!(!cancel.is_cancelled(), "{uri}");
        client.abort();
        client.await.expect_err("it is gone");
        assert!(cancel.is_cancelled(), "{uri}");
    }
}

#[tokio::test]
async fn a_store_that_fails_is_told_in_jaegers_shapes() {
    let mut broken = FakeStore::default();
    broken.is_broken = true;
    let site = site_at("", broken);
    for (path, uri) in [
        ("/api/services", "/api/services"),
        ("/api/traces", "/api/traces"),
        ("/api/traces", "/api/traces?traceID=1"),
        ("/api/traces/{trace_id}", "/api/traces/1"),
        ("/api/dependencies", "/api/dependencies"),
        ("/api/v3/services", "/api/v3/services"),
        ("/api/v3/traces/{trace_id}", "/api/v3/traces/1"),
    ] {
        let said = document(&site, path, uri, 500).await.to_string();
        assert!(said.contains("the store cannot be read"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[tokio::test]
async fn more_than_the_store_gives_at_once_is_given() {
    let traces: Vec<Trace> = (1..=1_100)
        .map(|n| trace_with_id(n, [SpanBuilder::new(1, "tick").at(n, n + 1)]))
        .collect();
    let (_dir, store) = stored(&traces);
    let site = site_over("", Arc::clone(&store));
    for (limit, expected) in [("1500", 1_100), ("1050", 1_050), ("1", 1)] {
        let found = get(&site, &format!("/api/traces?limit={limit}"))
            .await
            .json();
        let numbers = numbers(&found);
        assert_eq!(numbers.len(), expected, "{limit}");
        assert!(
            numbers.is_sorted_by(|a, b| a > b),
            "newest first, each once"
        );
    }
    store.close().expect("it closes");
}
