//! What holds for every trace.

use std::collections::BTreeMap;

use longpole_proto::TraceId;
use longpole_tests::Client;
use scraper::Selector;
use serde_json::Value;

/// Checks what holds for every stored trace: its page opens with one row as the slowest hop, there is a
/// verdict, and the critical path's sections follow each other and sum to the duration. Gives the
/// analysis.
pub(crate) async fn check_trace(client: &Client, name: &str, trace: TraceId) -> Value {
    let page = client.get(&format!("/trace/{trace}")).await;
    assert_eq!(page.status, 200, "{name} {trace}");
    let html = page.html();
    let hot = Selector::parse(".hot").expect("a valid selector");
    assert_eq!(
        html.select(&hot).count(),
        1,
        "{name} {trace}: one row is the slowest hop"
    );

    let analysis = client
        .get(&format!("/api/v1/traces/{trace}/analysis"))
        .await
        .expect(200)
        .json();
    let verdict = analysis["verdict"].as_str().unwrap_or_default();
    assert_ne!(verdict, "", "{name} {trace}");
    let nanos = |value: &Value| -> u64 {
        value
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("a time is a number in a string")
    };
    let mut sections = BTreeMap::new();
    for section in analysis["criticalPath"]
        .as_array()
        .expect("a list of sections")
    {
        let (start, end) = (
            nanos(&section["startUnixNano"]),
            nanos(&section["endUnixNano"]),
        );
        assert!(start < end, "{name} {trace}: section {section}");
        assert_eq!(
            sections.insert(start, end),
            None,
            "{name} {trace}: two sections at {start}"
        );
    }
    let ends = sections.values().copied();
    let starts = sections.keys().copied().skip(1);
    assert!(
        ends.zip(starts).all(|(end, start)| end <= start),
        "{name} {trace}: sections overlap"
    );
    let total: u64 = sections.iter().map(|(start, end)| end - start).sum();
    assert_eq!(
        Some(total),
        analysis["durationNanos"].as_u64(),
        "{name} {trace}"
    );
    analysis
}
