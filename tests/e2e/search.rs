//! Search: exact, slowest first, in pages, the page and its JSON alike.

use longpole_tests::spans::{Draft, MS, request};
use longpole_tests::{Server, spans};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;

/// Requests of three services; trace `n` took `n` milliseconds and began `n` minutes after the first.
async fn filled(n_traces: u32) -> Server {
    let server = Server::start().await;
    for n in 1..=n_traces {
        let service = ["web", "mobile", "batch"][n as usize % 3];
        let minutes = u64::from(n) * 60_000;
        let root = Draft::new(n.into(), 1, &format!("GET /{}", n % 2))
            .service(service)
            .kind(SpanKind::Server)
            .at(minutes, minutes + u64::from(n));
        let child = Draft::new(n.into(), 2, "SELECT")
            .service("db")
            .kind(SpanKind::Server)
            .parent(1)
            .at(minutes, minutes + u64::from(n) / 2);
        let failed = n % 5 == 0;
        let child = if failed {
            child.exception("Timeout", "no answer", "")
        } else {
            child
        };
        server.client().export(&request([root, child])).await;
    }
    server
}

async fn search(server: &Server, query: &str) -> Value {
    server
        .client()
        .get(&format!("/api/v1/search?{query}"))
        .await
        .expect(200)
        .json()
}

/// The durations found, in milliseconds: each names its trace.
fn took_ms(found: &Value) -> Vec<u64> {
    let requests = found["requests"].as_array().expect("a list of requests");
    requests
        .iter()
        .map(|request| request["durationNanos"].as_u64().unwrap_or(0) / MS)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slowest_request_comes_first() {
    let server = filled(25).await;
    let found = search(&server, "").await;
    assert_eq!(
        took_ms(&found),
        (6..=25).rev().collect::<Vec<u64>>(),
        "the 20 slowest of all"
    );
    let slowest = &found["requests"][0];
    assert_eq!(slowest["traceId"], format!("{:032x}", 25));
    assert_eq!(slowest["rootService"], "mobile");
    assert_eq!(slowest["rootOperation"], "GET /1");
    assert_eq!(slowest["spans"], 2);
    assert_eq!(slowest["errors"], 1);
    assert_eq!(slowest["services"], serde_json::json!(["db", "mobile"]));
    assert_eq!(slowest["slowestHop"]["service"], "mobile");
    assert_eq!(slowest["slowestHop"]["nanos"], 13 * MS);
    let start = spans::START_NANOS + 25 * 60_000 * MS;
    assert_eq!(
        slowest["startUnixNano"],
        start.to_string(),
        "times are strings"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_hold_together() {
    let server = filled(30).await;
    let from = spans::START_NANOS / MS + 10 * 60_000;
    let cases: [(&str, &[u64]); 8] = [
        ("service=web", &[30, 27, 24, 21, 18, 15, 12, 9, 6, 3]),
        ("service=web&op=GET+/1", &[27, 21, 15, 9, 3]),
        ("service=db&op=SELECT&min=28ms", &[30, 29, 28]),
        ("min=10ms&max=12ms", &[12, 11, 10]),
        ("max=2500us", &[2, 1]),
        ("service=nobody", &[]),
        ("min=31ms", &[]),
        ("service=web&sort=newest&min=20ms", &[30, 27, 24, 21]),
    ];
    for (query, expected) in cases {
        assert_eq!(took_ms(&search(&server, query).await), expected, "{query}");
    }
    let since = |from: u64| format!("from={}&limit=50", rfc3339(from));
    assert_eq!(
        took_ms(&search(&server, &since(from)).await),
        (10..=30).rev().collect::<Vec<u64>>()
    );
    let failed = search(&server, "sort=errors&limit=20").await;
    assert_eq!(
        took_ms(&failed)[..6],
        [5, 10, 15, 20, 25, 30],
        "ties are by trace ID"
    );
}

/// `unix_ms` as text: an hour of one day is enough here.
fn rfc3339(unix_ms: u64) -> String {
    // The drawn traces begin at 01:47:54.755 of this day.
    let of_day = unix_ms % 86_400_000;
    let (hours, rest) = (of_day / 3_600_000, of_day % 3_600_000);
    let (minutes, seconds, ms) = (rest / 60_000, rest % 60_000 / 1_000, rest % 1_000);
    format!("2026-11-22T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_gaps_or_repeats() {
    let server = filled(45).await;
    for query in ["", "service=db", "sort=newest"] {
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let found = search(&server, &format!("{query}&limit=20{after}")).await;
            let page = took_ms(&found);
            assert!(page.len() <= 20, "{query}: a page has at most its limit");
            seen.extend(page);
            match found["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
            assert!(seen.len() < 100, "{query}: the pages do not end");
        }
        assert_eq!(seen, (1..=45).rev().collect::<Vec<u64>>(), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn matches_are_counted_when_asked_for() {
    let server = filled(30).await;
    let found = search(&server, "service=web&count=exact&limit=20").await;
    assert_eq!(found["matched"], 10);
    assert_eq!(found["complete"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_parameter_is_named() {
    let server = Server::start().await;
    for query in [
        "min=fast",
        "limit=0",
        "sort=prettiest",
        "after=nonsense",
        "from=yesterday%3F",
    ] {
        let reply = server
            .client()
            .get(&format!("/api/v1/search?{query}"))
            .await
            .expect(400);
        let error = &reply.json()["error"];
        let message = error["message"].as_str().unwrap_or_default();
        let (name, value) = query.split_once('=').expect("written so above");
        let named = message.contains(name) || message.contains(value.trim_end_matches("%3F"));
        assert!(named, "{query}: {message}");
    }
}
