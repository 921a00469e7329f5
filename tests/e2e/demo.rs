//! The demo: what a new user sees first.

use longpole_tests::Server;
use longpole_tests::spans::MS;

#[tokio::test(flavor = "multi_thread")]
async fn the_demos_slow_checkout_is_explained_in_words() {
    let server = Server::start_with(|config| config.demo = true).await;
    let client = server.client();
    let request = client.slow_checkout().await;
    assert_eq!(request["durationNanos"], 390 * MS);
    assert_eq!(request["slowestHop"]["nanos"], 200 * MS);

    let id = request["traceId"].as_str().expect("an ID is text");
    let analysis = client
        .get(&format!("/api/v1/traces/{id}/analysis"))
        .await
        .expect(200)
        .json();
    let verdict = analysis["verdict"].as_str().expect("a verdict is text");
    assert!(verdict.starts_with("Slowest hop: inventory"), "{verdict}");
    assert!(
        verdict.contains("took 200 ms of 390 ms (51 %)"),
        "{verdict}"
    );
    let page = client.get(&format!("/trace/{id}")).await.expect(200).html();
    let text = page.root_element().text().collect::<String>();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("took 200 ms of 390 ms (51 %)"), "{text}");
    server.stop().await;
}
