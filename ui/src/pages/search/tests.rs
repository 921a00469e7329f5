use std::time::Duration;

use http::StatusCode;
use longpole_analysis::query::QueryError;
use longpole_proto::testing::SpanBuilder;
use longpole_proto::{SpanKind, Trace};
use longpole_storage::{SearchLimit, Stopped, Unseen};

use crate::testing::{FakeStore, get, site, site_at, trace_with_id};

/// Request `n` took `n` milliseconds, half of it in a database.
fn request(n: u64) -> Trace {
    let service = ["web", "mobile"][usize::from(n.is_multiple_of(2))];
    let root = SpanBuilder::new(1, "GET /")
        .service(service)
        .kind(SpanKind::Server)
        .at(0, n);
    let query = SpanBuilder::new(2, "SELECT")
        .service("db")
        .kind(SpanKind::Server)
        .parent(1)
        .at_nanos(0, n * 600_000);
    let query = if n.is_multiple_of(5) {
        query.error("")
    } else {
        query
    };
    trace_with_id(n, [root, query])
}

fn requests(n: u64) -> Vec<Trace> {
    (1..=n).map(request).collect()
}

#[tokio::test]
async fn the_slowest_requests_come_first_with_what_made_them_slow() {
    let page = get(&site(requests(45)), "/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.texts("h1"), ["20 of 45 requests"]);
    assert_eq!(page.texts(".res .dur")[..2], ["45 ms", "44 ms"]);
    assert_eq!(
        page.texts(".res tbody tr:first-child td:nth-child(2)"),
        ["web GET / ✕ error◀ db SELECT 60 %"]
    );
    assert_eq!(
        page.attributes(".res tbody tr:first-child [role=img]", "aria-label"),
        ["Critical path: db 60 %, web 40 %"]
    );
    assert_eq!(page.texts(".res time")[0], "01:47:54.755");
    assert_eq!(
        page.attributes(".res .dur a", "href")[0],
        format!("/trace/{:032x}", 45)
    );
}

#[tokio::test]
async fn pages_follow_each_other_by_links() {
    let site = site(requests(45));
    let mut uri = "/?service=db&sort=newest&limit=20".to_owned();
    let mut n_rows = 0;
    let mut n_pages = 0;
    loop {
        let page = get(&site, &uri).await;
        n_rows += page.texts(".res tbody tr").len();
        n_pages += 1;
        match page.attributes("a[rel=next]", "href").pop() {
            Some(next) => uri = next,
            None => break,
        }
    }
    assert_eq!((n_rows, n_pages), (45, 3));
    assert!(
        uri.contains("service=db") && uri.contains("sort=newest"),
        "{uri} keeps the form"
    );
}

#[tokio::test]
async fn the_form_shows_what_was_asked_for() {
    let page = get(
        &site(requests(9)),
        "/?service=web&op=GET+%2F&status=ok&hopService=db&hopName=SELECT&min=3ms&last=24h&sort=errors&limit=50",
    )
    .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert_eq!(
        page.texts("option[selected]"),
        [
            "web",
            "without errors",
            "db SELECT",
            "last 24 h",
            "most errors",
            "50"
        ]
    );
    assert_eq!(page.attributes("input[name=op]", "value"), ["GET /"]);
    assert_eq!(page.attributes("input[name=min]", "value"), ["3ms"]);
    assert_eq!(
        page.attributes("#op-names option", "value"),
        ["GET /"],
        "the service's operations"
    );
    assert_eq!(
        page.texts(".found > .facts span"),
        [
            "last 24 h",
            "without errors",
            "service web",
            "operation GET /",
            "slowest hop db SELECT",
            "at least 3ms",
            "everything scanned",
            "clear",
            "JSON"
        ]
    );
}

#[tokio::test]
async fn no_match_is_not_the_empty_page() {
    let page = get(&site(requests(3)), "/?min=2s").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.texts("h1"), ["No request matches"]);
    assert!(!page.text().contains("OTEL_EXPORTER_OTLP_ENDPOINT"));
    assert!(page.texts("main").concat().contains("Widen the duration"));
}

#[tokio::test]
async fn a_search_that_was_stopped_says_what_it_saw_and_claims_nothing_more() {
    let mut store = FakeStore::with(requests(3));
    store.unseen = Unseen {
        stopped: Some(Stopped {
            limit: SearchLimit::Time(Duration::from_secs(10)),
            seen_beyond: Some(2_000_000),
        }),
        n_unreadable: 1,
        n_set_aside: 0,
    };
    let site = site_at("", store);
    let facts = [
        "stopped after 10.00 s",
        "everything that took more than 2.0 ms was looked at",
        "1 stored piece could not be read",
    ];
    let page = get(&site, "/").await;
    assert_eq!(page.texts(".facts span")[..3], facts);
    assert_eq!(page.texts("h1"), ["3 requests"]);
    let json = get(&site, "/api/v1/search").await.json();
    assert_eq!(json["report"]["text"], facts.join("; "));
    assert_eq!(
        json["report"]["stopped"],
        serde_json::json!({ "limit": "time", "seenBeyond": { "durationNanos": 2_000_000 } })
    );
    let none = get(&site, "/?min=2s").await;
    assert_eq!(
        none.texts("h1"),
        ["No request was found in what was looked at"]
    );
    assert!(!none.text().contains("no request is like this"));
}

#[tokio::test]
async fn what_is_too_much_to_count_is_counted_when_somebody_asks() {
    let mut store = FakeStore::with(requests(45));
    store.is_slow = true;
    let site = site_at("", store);
    let page = get(&site, "/?service=db").await;
    assert_eq!(page.texts("h1"), ["20 of at least 21 requests"]);
    let link = page.attributes(".facts a", "href").swap_remove(1);
    assert_eq!(link, "/?service=db&count=exact");
    let counted = get(&site, &link).await;
    assert_eq!(counted.texts("h1"), ["20 of 45 requests"]);
    assert!(!counted.text().contains("count all"));
}

#[tokio::test]
async fn a_query_that_cannot_be_used_is_the_clients_to_mend() {
    let mut store = FakeStore::with(requests(3));
    store.refusal = Some(QueryError::TooDeep);
    let site = site_at("", store);
    for uri in ["/", "/api/v1/search"] {
        let reply = get(&site, uri).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{uri}");
        let text = "the query cannot be used: the query is nested deeper than";
        assert!(reply.text().contains(text), "{uri}: {}", reply.text());
    }
    let error = &get(&site, "/api/v1/search").await.json()["error"];
    assert_eq!(error["code"], "invalid_query");
}

#[tokio::test]
async fn a_query_narrows_the_search_and_stays_in_the_links() {
    let site = site(requests(45));
    let page = get(
        &site,
        "/?q=service%20%3D%20db%20and%20trace.duration%20%3E%2030ms&limit=2",
    )
    .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert_eq!(page.texts("h1"), ["2 of 15 requests"]);
    assert_eq!(
        page.attributes("input[name=q]", "value"),
        ["service = db and trace.duration > 30ms"]
    );
    let next = &page.attributes("[rel=next]", "href")[0];
    let next = get(&site, next).await;
    assert_eq!(next.texts(".res .dur"), ["43 ms", "42 ms"]);
    let failed = get(&site, "/?q=%7Bstatus%20%3D%20error%7D&service=web").await;
    assert_eq!(failed.texts("h1"), ["5 requests"]);
}

#[tokio::test]
async fn a_wrong_query_is_shown_with_the_place_where_it_is_wrong() {
    let site = site(requests(3));
    let page = get(&site, "/?q=service%20%3D%3D%20%3Cb%3E").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(page.texts(".wrong"), ["service == <b>"]);
    assert_eq!(page.texts(".wrong mark"), ["=="]);
    assert_eq!(
        page.texts(".finds .err"),
        ["q service == <b> is wrong at character 9: there is no `==`: write ="]
    );
    assert_eq!(
        page.attributes("input[name=q]", "aria-describedby"),
        ["bad"]
    );
}

#[tokio::test]
async fn an_id_in_the_query_box_leads_to_its_trace() {
    let site = site(requests(3));
    let id = format!("{:032x}", 3);
    let reply = get(&site, &format!("/?q={id}")).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(reply.header("location"), format!("/trace/{id}"));
}

#[tokio::test]
async fn the_empty_page_teaches() {
    for uri in ["/", "/?min=2s"] {
        let page = get(&site_at("", FakeStore::default()), uri).await;
        assert_eq!(page.status, StatusCode::OK);
        let text = page.texts("main").concat();
        let parts = [
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317",
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318",
            "0 spans received",
            "2 refused",
            "last refused: 2 spans refused: <b>invalid</b> trace ID (22 Nov 2026 01:47:54.755 UTC)",
            "longpole demo",
        ];
        for part in parts {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}

#[tokio::test]
async fn wrong_values_are_named_and_the_form_is_kept() {
    let site = site(requests(3));
    let page = get(&site, "/?service=web&min=fast&limit=0").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let said = page.texts(".finds .err");
    assert!(
        said[0].starts_with("min fast is not understood: expected a number with its unit"),
        "{said:?}"
    );
    assert!(said[1].starts_with("limit 0 is not understood"), "{said:?}");
    assert_eq!(page.attributes("input[name=min]", "value"), ["fast"]);
    assert_eq!(page.texts("option[selected]")[0], "web");
    let cursor = get(&site, "/?after=nonsense").await;
    assert_eq!(cursor.status, StatusCode::BAD_REQUEST);
    assert!(
        cursor.texts(".finds .err")[0].starts_with("after nonsense"),
        "{}",
        cursor.text()
    );
}

#[tokio::test]
async fn below_a_base_path_every_link_keeps_it() {
    let base = "/tools/longpole";
    let site = site_at(base, FakeStore::with(requests(25)));
    let home = get(&site, base).await;
    assert_eq!(home.header("location"), "/tools/longpole/");
    for uri in [
        "/tools/longpole/",
        "/tools/longpole/trace/00000000000000000000000000000001?span=0000000000000002",
    ] {
        let page = get(&site, uri).await;
        assert_eq!(page.status, StatusCode::OK, "{uri}");
        let mut urls = page.attributes("[href]", "href");
        urls.extend(page.attributes("[src]", "src"));
        urls.extend(page.attributes("[action]", "action"));
        for url in urls.iter().filter(|url| !url.starts_with('#')) {
            assert!(url.starts_with("/tools/longpole/"), "{url} on {uri}");
            let reply = get(&site, url).await;
            assert!(
                !reply.status.is_server_error() && reply.status != StatusCode::NOT_FOUND,
                "{url} on {uri}"
            );
        }
    }
    assert_eq!(get(&site, "/").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn names_are_chosen_from_a_list_that_has_an_end() {
    let spans = (1..=400).map(|n| {
        let span = SpanBuilder::new(n, &format!("operation {n}"))
            .service(&format!("service {n}"))
            .at(0, 1);
        if n == 1 { span } else { span.parent(1) }
    });
    let site = site([trace_with_id(1, spans)]);
    let page = get(&site, "/?service=service+7").await;
    assert_eq!(
        page.texts("datalist#service-names option").len(),
        301,
        "300, and the one that is chosen"
    );
    assert_eq!(
        page.attributes("input[name=service]", "value"),
        ["service 7"]
    );
}

#[tokio::test]
async fn requests_are_narrowed_by_errors_and_by_their_slowest_hop() {
    let mut traces = requests(9);
    // No database: its root is the slowest hop.
    traces.push(trace_with_id(
        10,
        [SpanBuilder::new(1, "GET /")
            .service("web")
            .kind(SpanKind::Server)
            .at(0, 5)],
    ));
    let site = site(traces);
    for (query, heading) in [
        ("status=error", "1 request"),
        ("status=ok", "9 requests"),
        ("status=any", "10 requests"),
        ("hopService=db&hopName=SELECT", "9 requests"),
        ("hopService=db&hopName=SELECT&status=error", "1 request"),
        ("hopService=web", "1 request"),
        ("hopName=INSERT", "No request matches"),
    ] {
        let page = get(&site, &format!("/?{query}")).await;
        assert_eq!(page.texts("h1"), [heading], "{query}");
        let found = get(&site, &format!("/api/v1/search?{query}")).await.json();
        let n_requests = found["requests"].as_array().map_or(0, Vec::len);
        let said = heading.split(' ').next().and_then(|n| n.parse().ok());
        assert_eq!(n_requests, said.unwrap_or(0), "{query}");
    }
    let page = get(&site, "/").await;
    let offered = ["anything", "db SELECT", "web GET /"];
    assert_eq!(page.texts("select[name=hop] option"), offered);
    let none = get(&site, "/?hopName=INSERT").await;
    assert_eq!(
        none.texts("select[name=hop] option"),
        ["anything", "INSERT"]
    );
}

#[tokio::test]
async fn a_hop_that_is_chosen_in_the_form_becomes_a_plain_url() {
    let site = site(requests(3));
    let page = get(&site, "/").await;
    let value = page
        .attributes("select[name=hop] option", "value")
        .swap_remove(1);
    let value = value.replace('%', "%25").replace('/', "%2F");
    let reply = get(&site, &format!("/?q=&service=db&hop={value}&limit=20")).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    let plain = "/?service=db&hopService=db&hopName=SELECT";
    assert_eq!(reply.header("location"), plain);
    let chosen = get(&site, plain).await;
    assert_eq!(
        chosen.texts("select[name=hop] option[selected]"),
        ["db SELECT"]
    );
    assert_eq!(chosen.attributes(".facts a", "href")[0], "/", "clear");
    let wrong = get(&site, "/?hop=inventory").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}
