use axum::Router;
use http::StatusCode;
use longpole_proto::testing::{SpanBuilder, span_id, trace_of};
use longpole_proto::wire::{ExportRequest, encode_traces};
use longpole_storage::StoreConfig;

use crate::testing::{FakeStore, ask, checkout, get, site, site_at, site_over, trace_with_id};

const ID: &str = "b7ad6b7169203331a1b2c3d4e5f60709";

#[tokio::test]
async fn the_box_leads_to_the_trace_it_names_or_to_a_search() {
    for base in ["", "/tools/longpole"] {
        let site = site_at(base, FakeStore::with([checkout()]));
        for id in [
            ID.to_uppercase(),
            format!("%20{ID}%20"),
            format!("00-{ID}-00f067aa0ba902b7-01"),
        ] {
            let reply = get(&site, &format!("{base}/trace?id={id}")).await;
            assert_eq!(reply.status, StatusCode::SEE_OTHER, "{id}");
            assert_eq!(reply.header("location"), format!("{base}/trace/{ID}"));
        }
        let reply = get(&site, &format!("{base}/trace?id=%3Cb%3E%20x")).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER);
        assert_eq!(reply.header("location"), format!("{base}/?q=%3Cb%3E%20x"));
    }
}

#[tokio::test]
async fn the_box_leads_to_the_request_that_has_an_id_as_an_attribute() {
    const UUID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let request = |n: u64, key: &str, id: &str| {
        let root = SpanBuilder::new(1, "GET /").attribute(key, id);
        trace_with_id(n, [root])
    };
    let site = site([
        request(1, "http.request.header.x-request-id", UUID),
        request(2, "request.id", "twice-4711"),
        request(3, "request_id", "twice-4711"),
        request(4, "note", "nothing-4711"),
    ]);
    let trace = |n: u64| format!("/trace/{n:032x}");
    let unknown = UUID.replace('0', "1");
    for (text, page, is_asked_beside) in [
        (UUID, trace(1), false),
        ("twice-4711", "/?q=twice-4711".to_owned(), true),
        ("nothing-4711", "/?q=nothing-4711".to_owned(), true),
        // As before, an ID that nothing has is a trace's.
        (
            &unknown,
            format!("/trace/{}", unknown.replace('-', "")),
            false,
        ),
    ] {
        let reply = get(&site, &format!("/trace?id={text}")).await;
        assert_eq!(reply.header("location"), page, "{text}");
        let reply = get(&site, &format!("/?q={text}")).await;
        assert_eq!(reply.status == StatusCode::OK, is_asked_beside, "{text}");
        // Who asks for more than that wants a list.
        let reply = get(&site, &format!("/?q=x-{text}&min=1ms")).await;
        assert_eq!(reply.status, StatusCode::OK, "{text}");
    }
}

#[tokio::test]
async fn a_store_that_fails_is_told_without_its_secrets() {
    let mut broken = FakeStore::default();
    broken.is_broken = true;
    let site = site_at("", broken);
    for uri in [
        format!("/trace/{ID}"),
        "/".to_owned(),
        "/status".to_owned(),
        format!("/api/v1/traces/{ID}"),
    ] {
        let reply = get(&site, &uri).await;
        assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "{uri}");
        assert!(
            reply.text().contains("The log says why"),
            "{uri}: {}",
            reply.text()
        );
        assert!(!reply.text().contains("secret"), "{uri}");
    }
}

fn all_uris() -> [String; 12] {
    let asset = crate::Urls::default().asset(&crate::assets::CSS);
    [
        "/".to_owned(),
        "/?min=x".to_owned(),
        "/status".to_owned(),
        "/api/v1/status".to_owned(),
        "/nowhere".to_owned(),
        "/trace/x".to_owned(),
        format!("/trace/{ID}"),
        format!("/trace/{ID}/span/{}", span_id(1)),
        format!("/api/v1/traces/{ID}"),
        "/api/v1/traces/x".to_owned(),
        "/api/traces/x".to_owned(),
        asset,
    ]
}

#[tokio::test]
async fn every_answer_forbids_what_spans_could_do() {
    let site = site([checkout()]);
    for uri in all_uris() {
        let reply = get(&site, &uri).await;
        assert_eq!(
            reply.header("content-security-policy"),
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; \
             frame-ancestors 'none'; form-action 'self'",
            "{uri}"
        );
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{uri}");
        assert_eq!(reply.header("referrer-policy"), "same-origin", "{uri}");
    }
}

#[tokio::test]
async fn head_is_answered_and_other_methods_are_not_allowed() {
    let site = site([checkout()]);
    for uri in all_uris() {
        let head = ask(&site, "HEAD", &uri, &[]).await;
        assert_eq!(
            (head.status, head.body.len()),
            (get(&site, &uri).await.status, 0),
            "{uri}"
        );
        if uri == "/nowhere" {
            continue;
        }
        let post = ask(&site, "POST", &uri, &[]).await;
        assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED, "{uri}");
        assert!(post.header("allow").starts_with("GET,HEAD"), "{uri}");
    }
}

#[tokio::test]
async fn files_are_kept_by_browsers_until_they_change() {
    let site: Router = site([checkout()]);
    let page = get(&site, "/").await;
    let mut urls = page.attributes("link[rel=stylesheet], link[rel=icon]", "href");
    urls.extend(page.attributes("script", "src"));
    assert_eq!(urls.len(), 5);
    for url in urls {
        let file = get(&site, &url).await;
        assert_eq!(file.status, StatusCode::OK, "{url}");
        assert_eq!(
            file.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        let tag = [(http::header::IF_NONE_MATCH, file.header("etag"))];
        let again = ask(&site, "GET", &url, &tag).await;
        assert_eq!(
            (again.status, again.body.len()),
            (StatusCode::NOT_MODIFIED, 0)
        );
        let name = url.rsplit('/').next().expect("a name");
        let old = get(&site, &format!("/assets/0000000000000000/{name}")).await;
        assert_eq!(
            (old.status, old.header("cache-control")),
            (StatusCode::OK, "no-cache")
        );
    }
    let missing = get(&site, "/assets/0/passwords").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn pages_are_compressed_when_asked_for() {
    let site = site([checkout()]);
    let gzip = [(http::header::ACCEPT_ENCODING, "gzip")];
    let page = ask(&site, "GET", &format!("/trace/{ID}"), &gzip).await;
    assert_eq!(page.header("content-encoding"), "gzip");
    assert!(page.body.len() < 10 * 1024, "{} bytes", page.body.len());
}

#[tokio::test]
async fn spans_that_arrive_are_seen_at_once_however_often_the_trace_was_opened() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let store = longpole_storage::open(&StoreConfig::new(dir.path())).expect("a store");
    let site = site_over("", std::sync::Arc::clone(&store));
    for n in 1..=3_usize {
        let span = SpanBuilder::new(n as u64, "work").at(0, 10 * n as u64);
        let span = if n == 1 { span } else { span.parent(1) };
        let bytes = encode_traces(&trace_of([span]));
        let request = ExportRequest::parse(bytes.into()).expect("an export request");
        let (sender, done) = std::sync::mpsc::sync_channel(1);
        let answer = Box::new(move |result| sender.send(result).expect("the test waits"));
        store.append(request, crate::testing::NOW, answer);
        done.recv().expect("an answer").expect("acknowledged");
        for _ in 0..2 {
            let page = get(&site, &format!("/trace/{ID}")).await;
            assert_eq!(page.texts("[role=row][id^=s-]").len(), n, "{}", page.text());
            let json = get(&site, &format!("/api/v1/traces/{ID}"))
                .await
                .text()
                .to_owned();
            assert_eq!(json.matches("\"spanId\"").count(), n, "{json}");
            let analysis = get(&site, &format!("/api/v1/traces/{ID}/analysis")).await;
            assert_eq!(analysis.json()["services"][0]["spans"], n);
            let span = get(&site, &format!("/trace/{ID}/span/{}", span_id(n as u64))).await;
            assert_eq!(span.status, StatusCode::OK);
        }
    }
    store.close().expect("it closes");
    let page = get(&site, &format!("/trace/{ID}")).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
}
