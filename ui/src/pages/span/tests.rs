use std::sync::Arc;

use http::StatusCode;
use longpole_proto::testing::{self, START, SpanBuilder};
use longpole_proto::{Attribute, Attributes, Event, SpanKind, Trace};

use crate::testing::{FakeStore, Reply, checkout, get, site, site_linked};
use crate::{LinkTemplate, LinkTemplates};

const ID: &str = "b7ad6b7169203331a1b2c3d4e5f60709";

fn exception(kind: &str, message: &str, stack: &str) -> Event {
    let mut attributes = Attributes::default();
    attributes.push("exception.type", kind);
    attributes.push("exception.message", message);
    attributes.push("exception.stacktrace", stack);
    Event {
        time: START.plus_nanos(330 * testing::MS),
        name: "exception".to_owned(),
        attributes,
        ..Event::default()
    }
}

async fn page(trace: Trace, query: &str) -> Reply {
    let uri = format!("/trace/{}{query}", trace.id());
    get(&site([trace]), &uri).await
}

#[tokio::test]
async fn a_spans_details_open_by_url() {
    let page = page(
        checkout_with_details(),
        "?span=0000000000000005&x=0000000000000001",
    )
    .await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.texts("#dr h2"), ["paymentsPOST /charge"]);
    let text = page.texts("#dr").concat();
    let parts = [
        "150 ms (38 % of the request), from 230 ms to 380 ms. On the critical path for 150 ms.",
        "As a hop, payments with everything it does itself here: 150 ms of the critical path (38 %)",
        "Self time 150 ms",
        "✕ error declined",
        "Exception at +100 ms",
        "Declined: no funds",
        "at pay at charge",
        "retry",
        "http.url",
        "3 left out by the sender",
        "service.name",
        "trace IDb7ad6b7169203331a1b2c3d4e5f60709 copy",
        "inventory GET /stock of this request",
        "kind",
    ];
    for part in parts {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(
        text.find("Exception") < text.find("Attributes"),
        "what went wrong comes first: {text}"
    );
    let links = page.attributes("#dr a", "href");
    let close = format!("/trace/{ID}?x=0000000000000001#s-0000000000000005");
    let linked = format!("/trace/{ID}?span=0000000000000002&x=0000000000000001#s-0000000000000002");
    for href in [
        &close,
        &linked,
        "https://example.test/?a=1&b=2",
        "/?service=payments&op=POST%20%2Fcharge",
    ] {
        assert!(
            links.iter().any(|link| link == href),
            "{href} is not in: {links:?}"
        );
    }
    assert_eq!(
        page.attributes("#dr a[rel]", "href"),
        ["https://example.test/?a=1&b=2"]
    );
    assert_eq!(page.texts(".sel .o"), ["payments POST /charge"]);
}

#[tokio::test]
async fn events_lie_on_the_spans_own_time() {
    let page = page(checkout_with_details(), "?span=0000000000000005").await;
    assert_eq!(page.attributes("#dr .axis .ev", "d"), ["M0 0v1"]);
    assert_eq!(page.attributes("#dr .axis text", "x"), ["65.62%"]);
    assert_eq!(page.texts("#dr .evs dt"), ["+0 ns"]);
    let key = page.texts("#dr .legend span");
    let all = [
        "Self time 150 ms",
        "critical path",
        "❙ event",
        "✕ exception",
    ];
    assert_eq!(key, all);
}

#[tokio::test]
async fn links_lead_from_spans_and_requests_to_their_logs() {
    let template = |text: &str| -> LinkTemplate { text.parse().expect("a template") };
    let links = LinkTemplates::new(vec![
        template(
            "Logs <b>=https://logs.test/?q={traceId}&s={service}&from={startUnixMilli}&to={endUnixMilli}",
        ),
        template("Profile=https://profiles.test/{spanId}"),
    ]);
    let store = Arc::new(FakeStore::with([checkout()]));
    let site = site_linked("", store, links.expect("two links"));
    let page = get(&site, &format!("/trace/{ID}?span=0000000000000002")).await;
    let logs = |service, from: u64, to: u64| {
        let from = 1_795_312_074_755 + from;
        let to = 1_795_312_074_755 + to;
        format!("https://logs.test/?q={ID}&s={service}&from={from}&to={to}")
    };
    assert_eq!(
        page.attributes("#dr a[rel]", "href"),
        [
            logs("inventory", 20, 220),
            "https://profiles.test/0000000000000002".to_owned()
        ]
    );
    assert_eq!(page.texts("#dr a[rel]"), ["Logs <b> ↗", "Profile ↗"]);
    assert_eq!(
        page.attributes(".facts a[rel]", "href"),
        [logs("gateway", 0, 390)],
        "those of spans are not links of the request"
    );
}

#[tokio::test]
async fn what_is_under_a_span_can_be_looked_at_alone() {
    let subtree = |query: &'static str| async move {
        let page = page(checkout(), query).await;
        let links = page.attributes("#dr p a", "href").into_iter();
        links
            .filter(|href| href.contains("root="))
            .collect::<Vec<_>>()
    };
    let [href] = &subtree("?span=0000000000000002").await[..] else {
        panic!("one link");
    };
    assert!(href.contains("root=0000000000000002"), "{href}");
    let leaf = subtree("?span=0000000000000003").await;
    assert_eq!(leaf, [""; 0], "nothing is under it");
}

#[tokio::test]
async fn a_link_to_another_trace_leads_there() {
    let elsewhere = testing::trace_id().to_string().replace("b7", "c8");
    let span = SpanBuilder::new(1, "root").at(0, 10).link(9).link(9);
    let span = span.with(|span| {
        span.links[0].trace_id = elsewhere.parse().ok();
        span.links[1].span_id = None;
    });
    let page = page(testing::trace_of([span]), "?span=0000000000000001").await;
    assert_eq!(
        page.attributes("#dr .links a", "href"),
        [
            format!("/trace/{elsewhere}?span=0000000000000009"),
            format!("/trace/{ID}")
        ]
    );
}

#[tokio::test]
async fn a_span_off_the_critical_path_says_so() {
    let text = page(checkout(), "?span=0000000000000004")
        .await
        .texts("#dr")
        .concat();
    let said = "Not on the critical path: making it faster would not help";
    assert!(text.contains(said), "{text}");
}

fn checkout_with_details() -> Trace {
    let gateway = SpanBuilder::new(1, "POST /checkout")
        .service("gateway")
        .kind(SpanKind::Server)
        .at(0, 390);
    let stock = SpanBuilder::new(2, "GET /stock")
        .service("inventory")
        .kind(SpanKind::Server)
        .parent(1)
        .at(20, 220);
    let charge = SpanBuilder::new(5, "POST /charge")
        .service("payments")
        .kind(SpanKind::Server)
        .parent(1)
        .at(230, 380)
        .error("declined")
        .attribute("http.url", "https://example.test/?a=1&b=2")
        .attribute("evil.url", "javascript:alert(1)")
        .link(2)
        .with(|span| {
            span.dropped_attributes_count = 3;
            span.events.push(Event {
                name: "retry".to_owned(),
                time: span.start,
                ..Event::default()
            });
            span.events
                .push(exception("Declined", "no funds", "at pay\n  at charge"));
        });
    testing::trace_of([gateway, stock, charge])
}

#[tokio::test]
async fn the_details_alone_are_what_the_page_shows() {
    let trace = checkout_with_details();
    let site = site([trace]);
    let page = get(&site, &format!("/trace/{ID}?span=0000000000000005")).await;
    let fragment = get(
        &site,
        &format!("/trace/{ID}/span/0000000000000005?span=0000000000000005"),
    )
    .await;
    assert_eq!(fragment.status, StatusCode::OK);
    assert!(!fragment.text().contains("<html"), "{}", fragment.text());
    assert_eq!(page.texts("#dr"), fragment.texts("#dr"));
    let prefix = page.attributes("#lay", "data-span-url");
    assert_eq!(prefix, [format!("/trace/{ID}/span/")]);

    let unknown = get(&site, &format!("/trace/{ID}/span/00000000000000ff")).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let page = get(&site, &format!("/trace/{ID}?span=00000000000000ff")).await;
    assert_eq!(page.status, StatusCode::OK, "the trace is there");
    assert!(
        page.texts("#dr")
            .concat()
            .contains("00000000000000ff is not stored in this trace")
    );
}

#[tokio::test]
async fn long_values_are_cut_and_shown_on_demand() {
    let long = "x".repeat(5_000);
    let span = SpanBuilder::new(1, "root")
        .at(0, 10)
        .attribute("long", long.as_str());
    let page = page(testing::trace_of([span]), "?span=0000000000000001").await;
    let shown = page
        .texts("#dr dd > .m")
        .into_iter()
        .find(|text| text.starts_with("xx"))
        .expect("the value");
    assert_eq!(shown.chars().count(), 2_049);
    assert_eq!(page.texts("#dr details pre"), [long]);
}

#[tokio::test]
async fn what_spans_say_is_text_and_never_markup() {
    const EVIL: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";
    let span = SpanBuilder::new(1, EVIL)
        .service(EVIL)
        .at(0, 10)
        .error(EVIL)
        .attribute(EVIL, EVIL)
        .attribute("db.system.name", EVIL)
        .link(1)
        .with(|span| {
            span.events.push(exception(EVIL, EVIL, EVIL));
            span.events.push(Event {
                name: EVIL.to_owned(),
                ..Event::default()
            });
            span.trace_state = EVIL.to_owned();
            span.links[0].attributes.0.push(Attribute {
                key: EVIL.to_owned(),
                value: EVIL.into(),
            });
        });
    let site = site([testing::trace_of([
        span,
        SpanBuilder::new(2, EVIL).parent(1).at(2, 8),
    ])]);
    let uris = [
        "/".to_owned(),
        format!("/trace/{ID}"),
        format!("/trace/{ID}?span=0000000000000001"),
    ];
    for uri in uris {
        let page = get(&site, &uri).await;
        assert_eq!(page.status, StatusCode::OK, "{uri}");
        assert!(
            page.texts("body").concat().contains("alert(1)"),
            "{uri} shows what the span says"
        );
        assert_eq!(page.texts("script:not([src])").len(), 0, "{uri}");
        assert_eq!(
            page.texts("img, [onerror], [href^=javascript]").len(),
            0,
            "{uri}"
        );
    }
}
