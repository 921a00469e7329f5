use std::collections::HashSet;
use std::sync::Arc;

use http::{Method, StatusCode};
use longpole_proto::testing::{SpanBuilder, parts_of};
use longpole_proto::{SpanKind, Trace, TraceId};
use longpole_storage::{SearchLimit, Stopped, Unseen};

use crate::api::openapi::tests::check;
use crate::testing::{FakeStore, Reply, get, site, site_at};

fn trace_id(n: u64) -> TraceId {
    TraceId::new(u128::from(n).to_be_bytes()).expect("ids in tests start at 1")
}

/// Request `n` of an operation: the stock of a version takes nearly all of it, or the root itself does.
fn request(n: u64, took: u64, name: &str, version: &str, is_stock_slow: bool) -> Trace {
    let root = SpanBuilder::new(1, name)
        .service("gateway")
        .kind(SpanKind::Server)
        .attribute("order.id", i64::try_from(n).unwrap())
        .at(0, took);
    let stock = SpanBuilder::new(2, "GET /stock")
        .service("inventory")
        .kind(SpanKind::Server)
        .parent(1)
        .at(
            0,
            if is_stock_slow {
                took * 9 / 10
            } else {
                took / 10
            },
        );
    let mut parts = parts_of([root, stock]);
    for resource in &mut parts.resources {
        if resource.service_name() == "inventory" {
            let resource = Arc::make_mut(resource);
            resource.attributes.push("service.version", version);
        }
    }
    Trace::new(trace_id(n), parts).unwrap()
}

/// 16 slow checkouts, 15 with the new version and 14 slow in the stock; 100 others, of which 3 are so.
fn rollout() -> Vec<Trace> {
    const NAME: &str = "POST /checkout";
    let slow = (1..=16).map(|n| {
        let version = if n == 16 { "2.4.0" } else { "2.4.1" };
        request(n, 400 + n, NAME, version, n <= 14)
    });
    let quick = (101..=200).map(|n| {
        let version = if n <= 103 { "2.4.1" } else { "2.4.0" };
        request(n, n - 50, NAME, version, n <= 103)
    });
    slow.chain(quick).collect()
}

fn ids(reply: &Reply) -> HashSet<String> {
    let json = reply.json();
    let requests = json["requests"].as_array().expect("a list");
    requests
        .iter()
        .map(|request| request["traceId"].as_str().expect("an ID").to_owned())
        .collect()
}

#[tokio::test]
async fn the_sentence_says_how_many_share_a_slowest_hop_and_how_many_elsewhere() {
    let page = get(&site(rollout()), "/shared?min=300ms&last=1h").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert_eq!(
        page.texts(".shared .verdict"),
        [
            "14 of these 16 requests have the same slowest hop: inventory GET /stock. Of the 100 other \
             requests of the same operation in this time, it is the slowest in 3 %."
        ]
    );
    let all = get(&site(rollout()), "/shared?min=300ms").await;
    assert!(
        all.texts(".shared .verdict")[0]
            .ends_with("of the same operation, it is the slowest in 3 %.")
    );
}

#[tokio::test]
async fn what_is_more_frequent_is_told_with_both_shares() {
    let page = get(&site(rollout()), "/shared?min=300ms").await;
    assert_eq!(
        page.texts(".traits li"),
        ["service.version = 2.4.1 of inventory 15 of 16, elsewhere 3 %"]
    );
    assert_eq!(page.attributes(".traits rect", "width"), ["93.75%", "3%"]);
    assert_eq!(
        page.texts(".basis"),
        [
            "Compared: 16 requests with 100 others, each with those of its own operation. 1 found among 1 \
             attribute value, operations and errors tried (Fisher’s exact test by operation, Holm’s \
             correction, 1 %). Seen together: that is not yet a cause."
        ]
    );
}

#[tokio::test]
async fn links_find_what_they_say_and_keep_the_search() {
    let site = site(rollout());
    let page = get(&site, "/shared?min=300ms&sort=newest&limit=50").await;
    let of_search = ids(&get(&site, "/api/v1/search?min=300ms&limit=50").await);
    for (link, n) in [(".verdict a", 14), (".traits a", 15)] {
        let href = page.attributes(link, "href").pop().expect(link);
        for kept in ["min=300ms", "sort=newest", "limit=50"] {
            assert!(href.contains(kept), "{href}");
        }
        let found = ids(&get(&site, &href.replacen('/', "/api/v1/search", 1)).await);
        assert_eq!(found.len(), n, "{href}");
        assert!(found.is_subset(&of_search));
    }
    // What the search already asks for stays.
    let page = get(
        &site,
        "/shared?min=300ms&q=name%3D%22GET+%2Fstock%22+or+status%3Derror",
    )
    .await;
    let href = page.attributes(".traits a", "href").pop().expect("a link");
    let narrowed = get(&site, &href).await;
    assert_eq!(
        narrowed.attributes("input[name=q]", "value"),
        [
            "(name = \"GET /stock\" or status = error) and {service = inventory and \
             resource.service.version = 2.4.1}"
        ]
    );
    assert_eq!(narrowed.texts("h1"), ["15 requests"]);
}

#[tokio::test]
async fn without_more_to_narrow_it_those_listed_are_compared_with_the_rest() {
    let page = get(&site(rollout()), "/shared?service=gateway").await;
    // The 20 slowest: the 16, and 4 of the others.
    let sentence = "14 of the 20 requests listed have the same slowest hop: inventory GET /stock. Of the 96 \
                    other requests of the same operation with service = gateway, it is the slowest in 3 %.";
    assert_eq!(page.texts(".shared .verdict"), [sentence]);
    assert_eq!(
        page.texts(".traits li"),
        ["service.version = 2.4.1 of inventory 15 of 20, elsewhere 3 %"]
    );
    // The second page is another one.
    let second = get(&site(rollout()), "/shared?after=20").await;
    assert_eq!(
        second.texts(".shared .verdict"),
        [
            "All 20 requests listed have the same slowest hop: gateway POST /checkout. Of the 96 other \
             requests of the same operation, it is the slowest in 82 %."
        ]
    );
}

#[tokio::test]
async fn what_comes_with_the_service_that_is_asked_for_is_no_news() {
    // Some slow and some quick checkouts ask a fraud service, which is always in Bern.
    let with_fraud = |n: u64, took: u64, is_asked: bool| {
        let root = SpanBuilder::new(1, "POST /checkout").service("gateway");
        let fraud = SpanBuilder::new(2, "POST /score")
            .service("fraud")
            .attribute("city", "Bern")
            .parent(1);
        let spans = [root.at(0, took), fraud.at(0, 1)];
        let trace = parts_of(spans.into_iter().take(if is_asked { 2 } else { 1 }));
        Trace::new(trace_id(n), trace).unwrap()
    };
    let traces = (1..=100_u64).map(|n| {
        let took = if n <= 20 { 500 + n } else { n };
        with_fraud(n, took, n % 2 == 0)
    });
    let page = get(&site(traces), "/shared?service=fraud&min=300ms").await;
    assert!(page.texts(".traits li").is_empty(), "{}", page.text());
    let basis = page.texts(".shared .basis").concat();
    assert!(
        basis.starts_with("Compared: 10 requests with 40 others,"),
        "{basis}"
    );
}

#[tokio::test]
async fn a_hop_that_is_as_frequent_elsewhere_is_said_but_does_not_strike() {
    // All spend most in the stock.
    let traces = (1..=60).map(|n| request(n, 10 * n, "GET /", "1", true));
    let page = get(&site(traces), "/shared?min=300ms").await;
    assert_eq!(page.texts(".shared .verdict").len(), 0);
    assert_eq!(
        page.texts(".shared .note"),
        [
            "All 31 requests have the same slowest hop: inventory GET /stock. Of the 29 other requests of the \
             same operation, it is the slowest in 100 %."
        ]
    );
}

#[tokio::test]
async fn the_search_page_says_what_its_rows_tell_and_leads_to_the_rest() {
    let page = get(&site(rollout()), "/?min=300ms").await;
    assert_eq!(
        page.texts(".shared .verdict"),
        ["14 of the 16 requests listed have the same slowest hop: inventory GET /stock."]
    );
    assert_eq!(
        page.texts(".shared [role=status]"),
        ["What do these have in common?"]
    );
    assert_eq!(
        page.attributes("[role=status] a", "href"),
        ["/shared?min=300ms"]
    );
    assert_eq!(
        page.attributes("#shared", "data-shared"),
        ["/shared?min=300ms"]
    );
    // Nothing is shared by one, or by none.
    for path in ["/?min=416ms", "/?min=2s"] {
        let page = get(&site(rollout()), path).await;
        assert_eq!(page.texts("#shared").len(), 0, "{path}");
    }
}

#[tokio::test]
async fn nothing_to_compare_with_is_said() {
    let page = get(&site(rollout()), "/shared?min=1ms&last=15m").await;
    let said = page.texts(".shared").concat();
    assert!(
        said.contains("There are no other requests of the same operation in this time."),
        "{said}"
    );
    assert!(said.contains("There is nothing to compare with."), "{said}");
    let none = get(&site(rollout()), "/shared?min=2s").await;
    assert_eq!(
        none.texts(".basis"),
        ["No request was found: there is nothing to share."]
    );
    let one = get(&site(rollout()), "/shared?min=416ms").await;
    assert_eq!(
        one.texts(".basis"),
        ["Only one request was found: there is nothing to share."]
    );
}

/// Five requests of operations of which there is no other, and ten of one of which there are.
#[tokio::test]
async fn those_that_cannot_be_compared_are_said() {
    let alone = (1..=5).map(|n| request(n, 500 + n, &format!("GET /{n}"), "1", true));
    let slow = (11..=20).map(|n| request(n, 500 + n, "GET /", "1", true));
    let others = (2_000..=2_029).map(|n| request(n, 5, "GET /", "1", true));
    let few: Vec<_> = alone.chain(slow).chain(others).collect();
    let basis = |page: &Reply| page.texts(".basis").concat();
    let page = get(&site(few.clone()), "/shared?min=300ms").await;
    assert!(
        basis(&page).starts_with(
            "Compared: 15 requests with 30 others, each with those of its own operation. For 5 there is no \
             other of the operation."
        ),
        "{}",
        basis(&page)
    );
    let more = (3_000..=3_499).map(|n| request(n, 5, "GET /", "1", true));
    let page = get(&site(few.into_iter().chain(more)), "/shared?min=300ms").await;
    assert!(
        basis(&page).starts_with(
            "Compared: 15 requests with 400 of 530 others, each with those of its own operation. For 5 no other \
             of the operation was among those drawn."
        ),
        "{}",
        basis(&page)
    );
}

#[tokio::test]
async fn where_nothing_differs_it_is_said_what_was_tried() {
    // Every second of 60 has another version, whatever it took.
    let traces = (1..=60).map(|n| {
        let version = ["1", "2"][usize::from(n % 2 == 0)];
        request(
            n,
            if n <= 20 { 500 } else { 50 },
            "GET /",
            version,
            n % 3 == 0,
        )
    });
    let page = get(&site(traces), "/shared?min=300ms").await;
    assert_eq!(
        page.texts(".basis"),
        [
            "Compared: 20 requests with 40 others, each with those of its own operation. None of 2 attribute \
             values, operations and errors tried is clearly more frequent here, by 20 % or more (Fisher’s exact \
             test by operation, Holm’s correction, 1 %)."
        ]
    );
    assert_eq!(page.texts(".traits li").len(), 0);
}

#[tokio::test]
async fn no_hop_in_common_is_said_plainly() {
    let traces = (1..=60).map(|n| {
        let root = SpanBuilder::new(1, "GET /").service("web").at(0, 1);
        let hop = SpanBuilder::new(2, "call")
            .service(["a", "b", "c"][usize::try_from(n % 3).unwrap()])
            .parent(1)
            .at_nanos(0, 900_000 + n);
        crate::testing::trace_with_id(n, [root, hop])
    });
    let page = get(&site(traces), "/shared?q=trace.spans=2").await;
    assert_eq!(
        page.texts(".shared .note"),
        [
            "These 60 requests have no slowest hop in common. The most frequent is a call, in 20. There are no \
             other requests of the same operation."
        ]
    );
    assert_eq!(page.texts(".shared .verdict").len(), 0);
}

#[tokio::test]
async fn a_hop_that_was_asked_for_is_no_news() {
    for uri in [
        "/shared?q=trace.slowestHopName%3D%22GET+%2Fstock%22",
        "/shared?hopService=inventory&hopName=GET+%2Fstock",
    ] {
        let page = get(&site(rollout()), uri).await;
        let said = page.texts(".shared .verdict").concat();
        assert!(
            said.starts_with(
                "All 17 requests have the same slowest hop, as asked for: inventory GET /stock."
            ),
            "{said}"
        );
        assert_eq!(page.attributes(".verdict a", "href").len(), 0);
    }
}

#[tokio::test]
async fn they_are_compared_with_others_of_their_own_operation_only() {
    // Many quick requests of another operation, which never ask the stock of the new version.
    let others = (1_001..=1_200).map(|n| request(n, 20, "GET /", "1.0.0", false));
    let page = get(
        &site(rollout().into_iter().chain(others)),
        "/shared?min=300ms",
    )
    .await;
    assert!(page.texts(".shared .verdict")[0].contains("Of the 100 other requests"));
    assert_eq!(page.texts(".traits li").len(), 1);
}

#[tokio::test]
async fn hostile_names_and_values_are_inert() {
    const NAME: &str = "<script>alert(1)</script>\"'&\n`";
    let traces = (1..=60).map(|n| {
        let root = SpanBuilder::new(1, NAME)
            .service(NAME)
            .at(0, if n <= 20 { 500 } else { 5 });
        let value = if n <= 20 { NAME } else { "usual" };
        let root = root
            .attribute(NAME, value)
            .attribute(&"k".repeat(200), "v".repeat(200).as_str());
        crate::testing::trace_with_id(n, [root])
    });
    let site = site(traces);
    for path in ["/shared?min=300ms", "/?min=300ms"] {
        let page = get(&site, path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.text().contains("<script>alert"), "{path}");
    }
    let page = get(&site, "/shared?min=300ms").await;
    let href = page
        .attributes(".traits a", "href")
        .pop()
        .expect("it is found");
    let found = get(&site, &href).await;
    assert_eq!(found.texts("h1"), ["20 requests"], "{href}");
}

#[tokio::test]
async fn what_could_not_all_be_looked_at_is_not_claimed() {
    let mut store = FakeStore::with(rollout());
    store.unseen = Unseen {
        stopped: Some(Stopped {
            limit: SearchLimit::Bytes(1),
            seen_beyond: None,
        }),
        n_unreadable: 0,
        n_set_aside: 0,
    };
    let page = get(&site_at("", store), "/shared?min=300ms").await;
    let said = page.texts(".shared").concat();
    assert!(said.contains("14 of the 16 requests listed"), "{said}");
    assert!(said.contains("was not counted"), "{said}");
    assert!(said.contains("with 100 of at least 100 others"), "{said}");
}

#[tokio::test]
async fn what_means_nothing_is_told() {
    for path in ["/shared?min=soon", "/shared?q=%28", "/shared?part=1"] {
        let page = get(&site(rollout()), path).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(page.texts("#bad li").len(), 1, "{path}");
    }
    let json = get(&site(rollout()), "/api/v1/shared?min=soon").await;
    assert_eq!(json.status, StatusCode::BAD_REQUEST);
    assert!(
        json.json()["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("min"))
    );
}

#[tokio::test]
async fn the_json_has_the_same_numbers() {
    let reply = get(&site(rollout()), "/api/v1/shared?min=300ms").await;
    check("/api/v1/shared", &Method::GET, &reply);
    let json = reply.json();
    assert_eq!(
        json["these"],
        serde_json::json!({"which": "matches", "requests": 16, "leftOut": 0, "operations": 1})
    );
    assert_eq!(
        json["others"],
        serde_json::json!({"requests": 100, "requestsAtLeast": 100})
    );
    assert_eq!(
        json["slowestHop"],
        serde_json::json!({"service": "inventory", "name": "GET /stock", "these": 14, "others": 3})
    );
    let found = &json["traits"][0];
    assert_eq!(found["text"], "service.version = 2.4.1 of inventory");
    assert_eq!(
        found["query"],
        "{service = inventory and resource.service.version = 2.4.1}"
    );
    assert_eq!((&found["these"], &found["others"]), (&15.into(), &3.into()));
    assert!(
        found["p"].as_f64().is_some_and(|p| p > 0.0 && p < 1e-9),
        "{found}"
    );
    assert_eq!(json["compared"]["tried"], 1);
    assert_eq!(json["more"], 0);
}
