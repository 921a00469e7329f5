//! Stopping and starting again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use longpole_tests::{Server, eventually, spans};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_stop_is_served_after_it() {
    let server = Server::start().await;
    server
        .client()
        .export(&spans::request(spans::checkout(1)))
        .await;
    let id = format!("{:032x}", 1);
    let paths = [
        format!("/api/v1/traces/{id}"),
        format!("/api/v1/traces/{id}/analysis"),
    ];
    let mut before = Vec::new();
    for path in &paths {
        before.push(server.client().get(path).await.expect(200).text());
    }

    let server = server.restart().await;
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(
            server.client().get(path).await.expect(200).text(),
            before,
            "{path}"
        );
    }
    let found = server
        .client()
        .get("/api/v1/search")
        .await
        .expect(200)
        .json();
    assert_eq!(found["requests"][0]["traceId"], id);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    let server = Server::start().await;
    let n_acknowledged = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (1..=4_u128)
        .map(|sender| {
            let client = server.client().clone();
            let n_acknowledged = Arc::clone(&n_acknowledged);
            // Each sends until it is refused or cut off, and says what was acknowledged.
            tokio::spawn(async move {
                let mut acknowledged = BTreeSet::new();
                for n in 0.. {
                    let trace = sender << 64 | (n + 1);
                    let request = spans::single(trace, "shop", "GET /", 10);
                    match client.try_export(&request).await {
                        Some(reply) if reply.status == 200 => acknowledged.insert(trace),
                        _ => break,
                    };
                    n_acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                acknowledged
            })
        })
        .collect();
    eventually("some requests to be acknowledged", async || {
        (n_acknowledged.load(Ordering::Relaxed) >= 50).then_some(())
    })
    .await;

    let server = server.restart().await;
    let mut n_traces = 0;
    for sender in senders {
        for trace in sender.await.expect("the sender ends when the server does") {
            let stored = server.client().trace(trace).await;
            assert!(
                stored.is_some(),
                "trace {trace:032x} was acknowledged and is gone"
            );
            n_traces += 1;
        }
    }
    assert!(n_traces >= 50, "{n_traces} traces");
    server.stop().await;
}
