//! Who may delete and pin traces, and what they see.

use longpole_proto::testing::{SpanBuilder, trace_of};
use longpole_proto::wire::{ExportRequest, encode_traces};
use longpole_storage::{Store, StoreConfig};
use tempfile::TempDir;

use super::*;
use crate::testing::site_over;

/// Of one of the site's own pages.
const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

/// A store with a trace of a span.
fn store(dir: &TempDir) -> Arc<dyn Store> {
    let store = longpole_storage::open(&StoreConfig::new(dir.path())).expect("a store");
    let bytes = encode_traces(&trace_of([SpanBuilder::new(1, "work")]));
    let request = ExportRequest::parse(bytes.into()).expect("an export request");
    let (sender, done) = std::sync::mpsc::sync_channel(1);
    let answer = Box::new(move |result| sender.send(result).expect("the test waits"));
    store.append(request, crate::testing::NOW, answer);
    done.recv().expect("an answer").expect("acknowledged");
    store
}

fn is_stored(store: &Arc<dyn Store>) -> bool {
    let trace_id = ID.parse().expect("a trace ID");
    store.trace(trace_id).expect("readable").is_some()
}

#[tokio::test]
async fn traces_are_pinned_and_deleted_through_the_api() {
    let dir = TempDir::new().expect("a directory");
    let store = store(&dir);
    let site = site_with("", Arc::clone(&store), Arc::new(Door));
    let (trace, pin) = (
        format!("/api/v1/traces/{ID}"),
        format!("/api/v1/traces/{ID}/pin"),
    );
    let pins = async || send(&site, "GET", "/api/v1/pins", &[BEARER], "").await;
    assert_eq!(pins().await.json()["pinned"], serde_json::json!([]));
    for _ in 0..2 {
        let pinned = send(&site, "PUT", &pin, &[BEARER], "").await;
        assert_eq!(pinned.status, StatusCode::OK, "{}", pinned.text());
        assert_eq!(
            pinned.json(),
            serde_json::json!({ "traceId": ID, "pinned": true })
        );
        assert_eq!(pins().await.json()["pinned"], serde_json::json!([ID]));
    }
    let unpinned = send(&site, "DELETE", &pin, &[BEARER], "").await;
    assert_eq!(unpinned.json()["pinned"], false);
    assert_eq!(pins().await.json()["pinned"], serde_json::json!([]));
    let odd = send(&site, "DELETE", &format!("{trace}?span=1"), &[BEARER], "").await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
    assert!(is_stored(&store));
    let deleted = send(&site, "DELETE", &trace, &[BEARER], "").await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text());
    assert_eq!(
        deleted.json(),
        serde_json::json!({ "traceId": ID, "deleted": true })
    );
    assert!(!is_stored(&store));
    for (method, path) in [("DELETE", &trace), ("PUT", &pin), ("GET", &trace)] {
        let missing = send(&site, method, path, &[BEARER], "").await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{method} {path}");
        assert_eq!(missing.json()["error"]["code"], "trace_not_found");
    }
}

#[tokio::test]
async fn the_page_has_buttons_that_pin_and_delete() {
    let dir = TempDir::new().expect("a directory");
    let store = store(&dir);
    let site = site_with("/x", Arc::clone(&store), Arc::new(Door));
    let page = format!("/x/trace/{ID}");
    let targets = async || {
        let page = send(&site, "GET", &page, &[COOKIE], "").await;
        page.attributes("#keep form", "action")
    };
    let change = |change| format!("{page}/{change}");
    assert_eq!(targets().await, [change("pin"), change("delete")]);
    let pinned = send(&site, "POST", &change("pin"), &[COOKIE, OWN], "").await;
    assert_eq!(pinned.status, StatusCode::SEE_OTHER);
    assert_eq!(pinned.header("location"), page);
    assert_eq!(targets().await, [change("unpin"), change("delete")]);
    send(&site, "POST", &change("unpin"), &[COOKIE, OWN], "").await;
    assert_eq!(targets().await, [change("pin"), change("delete")]);
    let deleted = send(&site, "POST", &change("delete"), &[COOKIE, OWN], "").await;
    assert_eq!(deleted.status, StatusCode::SEE_OTHER);
    assert_eq!(deleted.header("location"), "/x/");
    assert!(!is_stored(&store));
    let gone = send(&site, "GET", &page, &[COOKIE], "").await;
    assert!(gone.text().contains("It was deleted at"), "{}", gone.text());
    let again = send(&site, "POST", &change("delete"), &[COOKIE, OWN], "").await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_else_changes_anything() {
    let dir = TempDir::new().expect("a directory");
    let store = store(&dir);
    let guarded = site_with("", Arc::clone(&store), Arc::new(Door));
    let open = site_over("", Arc::clone(&store));
    let all = [
        ("DELETE", format!("/api/v1/traces/{ID}")),
        ("PUT", format!("/api/v1/traces/{ID}/pin")),
        ("DELETE", format!("/api/v1/traces/{ID}/pin")),
        ("POST", format!("/trace/{ID}/pin")),
        ("POST", format!("/trace/{ID}/unpin")),
        ("POST", format!("/trace/{ID}/delete")),
    ];
    for (method, path) in &all {
        let elsewhere = [COOKIE, ("sec-fetch-site", "cross-site")];
        let refused = send(&guarded, method, path, &elsewhere, "").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {path}");
        let missing = send(&guarded, method, path, &[OWN], "").await;
        assert_eq!(missing.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let unguarded = send(&open, method, path, &[OWN], "").await;
        if path.starts_with("/api/") {
            assert_eq!(unguarded.status, StatusCode::FORBIDDEN, "{method} {path}");
            assert_eq!(unguarded.json()["error"]["code"], "no_tokens");
        } else {
            assert_eq!(unguarded.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
    assert!(is_stored(&store));
    assert!(store.pinned().expect("open").is_empty());
    let page = send(&open, "GET", &format!("/trace/{ID}"), &[], "").await;
    assert!(page.texts("#keep").is_empty(), "no buttons that do nothing");
}
