use http::StatusCode;
use longpole_storage::{Concern, PartitionState, PartitionStatus};

use crate::testing::{FakeStore, checkout, eventful, get, site, site_at};

const TRACE: &str = "/trace/b7ad6b7169203331a1b2c3d4e5f60709";

/// The facts of the page, each as its name and value.
fn facts(page: &crate::testing::Reply) -> Vec<(String, String)> {
    page.texts(".st dt")
        .into_iter()
        .zip(page.texts(".st dd"))
        .collect()
}

#[tokio::test]
async fn everything_known_is_on_the_page() {
    let mut store = FakeStore::with([checkout()]);
    store.status = eventful();
    let page = get(&site_at("", store), "/status").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.texts("h1"), ["Status"]);
    let line = page.texts(".facts").concat();
    assert!(
        line.contains("up for 1 day 3 h, since 20 Nov 2026 22:48:54.755 UTC")
            && line.contains("spans are refused"),
        "{line}"
    );
    assert_eq!(page.attributes(".facts a", "href"), ["/api/v1/status"]);
    let facts = facts(&page);
    for (name, value) in [
        ("Traces", "1"),
        ("Spans", "5"),
        ("Oldest", "22 Nov 2026 01:47:54.755 UTC"),
        ("Newest", "22 Nov 2026 01:48:54.755 UTC"),
        ("Refused", "2 spans"),
        ("Exact retries", "12 not stored again"),
        (
            "Durability",
            "fsync: what is acknowledged survives a power cut",
        ),
        ("For", "7 days"),
        ("At most", "10.0 GiB"),
        ("Removed", "2 partitions, 1 span"),
        (
            "Last removed",
            "2026-11-14T22-0000 at 22 Nov 2026 01:48:54.755 UTC, to make room: 1 span, received until \
             22 Nov 2026 01:47:54.755 UTC",
        ),
        ("Data directory", "/var/lib/<longpole>"),
        ("Format", "longpole sled 2"),
        ("Log", "0 B in 3 segments"),
        ("Free", "4.0 GiB of 100.0 GiB; 5.0 GiB must be"),
        ("The process takes", "100.0 MiB of 512.0 MiB"),
        ("Took", "1.25 s"),
        ("Found", "2 partitions"),
        ("Read back", "7 requests with 70 spans"),
        ("Rebuilt", "yes, from the log's beginning"),
        ("Cut off", "17 B, a write that was never acknowledged"),
        (
            "Damaged",
            "2 parts of the log skipped, 1 partition set aside",
        ),
    ] {
        let fact = (name.to_owned(), value.to_owned());
        assert!(facts.contains(&fact), "{fact:?} is not in {facts:#?}");
    }
    assert_eq!(
        page.texts(".res tbody tr"),
        [
            "quarantine/2026-11-21T23-0009page <7> is gone3.0 MiB",
            "log/00000042.logbytes 3 to 9 are damaged and were skipped22 Nov 2026 01:47:54.755 UTC",
            "2026-11-22T01-0002open takes what comes; the log has it too-2,0002.0 MiB",
            "2026-11-22T01-0001closed checked, changes no more22 Nov 2026 01:47:54.755 to \
             22 Nov 2026 01:47:59.7551,0001.0 MiB",
        ]
    );
}

#[tokio::test]
async fn what_needs_attention_is_said_on_every_page_and_explained_on_this_one() {
    for base in ["", "/tools"] {
        let mut store = FakeStore::with([checkout()]);
        store.status = eventful();
        let site = site_at(base, store);
        for uri in ["/", TRACE] {
            let page = get(&site, &format!("{base}{uri}")).await;
            assert_eq!(page.status, StatusCode::OK);
            assert_eq!(
                page.texts(".alert[role=status]"),
                [
                    "The disk is nearly full: spans are refused. 1 damaged piece was set aside. \
                     2 damaged parts of the log were skipped. What to do"
                ],
                "{uri}"
            );
            let links = page.attributes(".alert a", "href");
            assert_eq!(links, [format!("{base}/status")]);
        }
        let page = get(&site, &format!("{base}/status")).await;
        let alerts = page.texts(".alert");
        assert_eq!(alerts.len(), 3);
        assert!(
            alerts[0].starts_with(
                "The disk is nearly full: spans are refused. 4.0 GiB are free, 5.0 GiB must be."
            ),
            "{alerts:?}"
        );
    }
}

#[tokio::test]
async fn a_failed_store_says_why_and_what_to_do() {
    let mut store = FakeStore::default();
    let cause = "page <7> is gone".to_owned();
    store.status.health.concerns = vec![Concern::Failed { cause }];
    let site = site_at("", store);
    let page = get(&site, "/status").await;
    assert_eq!(
        page.texts(".alert"),
        [
            "The store failed: spans are refused. page <7> is gone. What was acknowledged is in the \
             log; longpole opens the store anew from there as soon as it can, on a full disk once there is room. \
             Exporters are told to try later."
        ]
    );
    let waiting = get(&site, "/").await;
    assert_eq!(
        waiting.texts(".alert"),
        ["The store failed: spans are refused. What to do"]
    );
}

#[tokio::test]
async fn a_store_that_is_well_says_so_and_no_other_page_says_anything() {
    let site = site([checkout()]);
    let page = get(&site, "/status").await;
    assert_eq!(
        page.texts(".note"),
        ["All is well: nothing needs attention."]
    );
    for uri in ["/status", "/", TRACE] {
        let page = get(&site, uri).await;
        assert_eq!(page.texts(".alert"), [""; 0], "{uri}");
        assert!(
            page.attributes("nav a", "href")
                .contains(&"/status".to_owned()),
            "{uri}"
        );
    }
    assert_eq!(page.texts("nav a[aria-current]"), ["Status"]);
    assert_eq!(
        get(&site, "/status?x=1").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_long_list_of_partitions_has_an_end() {
    let mut store = FakeStore::default();
    store.status.partitions = (1..=1_240)
        .map(|n| PartitionStatus {
            id: format!("partition {n}"),
            state: PartitionState::Closed,
            received: None,
            n_spans: n,
            bytes: n,
        })
        .collect();
    let page = get(&site_at("", store), "/status").await;
    let rows = page.texts(".res tbody td:first-child");
    assert_eq!((rows.len(), rows[0].as_str()), (200, "partition 1240"));
    let main = page.texts("main").concat();
    assert!(main.contains("1,240 partitions, newest first"));
    assert!(main.contains("1,040 more, as JSON"));
}
