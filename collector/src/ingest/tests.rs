use tokio::task::JoinSet;

use super::*;
use crate::testing::{FakeStore, Mood, export_request, ingest};

#[tokio::test(start_paused = true)]
async fn under_overload_only_what_is_stored_is_acknowledged_and_memory_stays_counted() {
    let store = FakeStore::new(Mood::Silent);
    let ingest = ingest(&store, 64 << 10);
    let request = export_request(3, 0);
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let (ingest, bytes) = (Arc::clone(&ingest), request.clone());
        requests.spawn(async move {
            let mut room = ingest.reserve(ConnectionBytes::default());
            room.grow(bytes.len()).expect("room");
            let body = Body {
                bytes,
                encoding: Encoding::Identity,
                format: Format::Protobuf,
            };
            ingest.export(Transport::Grpc, body, room).await
        });
    }
    let used = |n_requests: u64| n_requests * request.len() as u64;
    // All of them are given to the store before time moves on.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ingest.in_flight.used_bytes(), used(20));
    store.settle(7, || Ok(Appended { n_spans: 3 }));
    store.settle(5, || Err(StorageError::Closed));
    assert_eq!(ingest.in_flight.used_bytes(), used(8));

    let (mut n_acknowledged, mut n_closing, mut n_slow) = (0, 0, 0);
    while let Some(outcome) = requests.join_next().await {
        match outcome.expect("no panic") {
            Ok(taken) => {
                assert_eq!(taken.rejections.total(), 0);
                n_acknowledged += 1;
            }
            Err(Refusal::Closing) => n_closing += 1,
            Err(Refusal::Slow { .. }) => n_slow += 1,
            Err(refusal) => panic!("{refusal:?}"),
        }
    }
    assert_eq!((n_acknowledged, n_closing, n_slow), (7, 5, 8));
    // Their clients are gone, but the store still has their bytes.
    assert_eq!(ingest.in_flight.used_bytes(), used(8));
    store.settle(8, || Ok(Appended { n_spans: 3 }));
    assert_eq!(ingest.in_flight.used_bytes(), 0);
    assert_eq!(ingest.metrics.n_spans_accepted(), 15 * 3);
}
