//! Facts of traces: which there are, and that their queries say the same.

use longpole_proto::testing::{SpanBuilder, parts_of, trace_of};
use longpole_proto::{AttributeValue, Trace, TraceId};
use proptest::prelude::*;

use super::super::{Asked, AttributeOf, Fact, Shared, Side, Tally, What};
use crate::query::testing::any_searchable_trace;
use crate::query::{Matcher, Query};

/// Request `n`: a checkout that asks the stock, of a version.
fn checkout(n: u64, version: &str) -> Trace {
    let root = SpanBuilder::new(1, "POST /checkout")
        .service("web")
        .at(0, 100)
        .attribute("order.id", i64::try_from(n).unwrap())
        .attribute(
            "customer.tier",
            ["gold", "basic", "none"][usize::try_from(n % 3).unwrap()],
        );
    let stock = SpanBuilder::new(2, "GET /stock")
        .service("inventory")
        .parent(1)
        .at(10, 90)
        .attribute("http.route", "/stock");
    let mut parts = parts_of([root, stock]);
    for resource in &mut parts.resources {
        let resource = std::sync::Arc::make_mut(resource);
        if resource.service_name() == "inventory" {
            resource.attributes.push("service.version", version);
            resource.attributes.push("container.image.tag", version);
            resource
                .attributes
                .push("host.id", format!("host-{n}").as_str());
        }
    }
    let id = TraceId::new(u128::from(n).to_be_bytes()).unwrap();
    Trace::new(id, parts).unwrap()
}

fn shared(traces: &[(Trace, Side)], query: &str) -> Shared {
    let mut tally = Tally::default();
    for (trace, side) in traces {
        tally.add(trace, *side);
    }
    tally.shared(&Asked::of(&Query::parse(query).unwrap()))
}

/// 16 of these, 15 with the new version; 100 others, 3 with it.
fn rollout() -> Vec<(Trace, Side)> {
    let these = (1..=16).map(|n| {
        let version = if n == 16 { "2.4.0" } else { "2.4.1" };
        (checkout(n, version), Side::These)
    });
    let others = (101..=200).map(|n| {
        let version = if n <= 103 { "2.4.1" } else { "2.4.0" };
        (checkout(n, version), Side::Others)
    });
    these.chain(others).collect()
}

fn attribute(scope: AttributeOf, service: &str, key: &str, value: &str) -> Fact {
    Fact {
        service: service.to_owned(),
        what: What::Attribute {
            scope,
            key: key.to_owned(),
            value: value.to_owned(),
        },
    }
}

#[test]
fn a_version_is_told_with_its_service_and_its_twins_beside_it() {
    let shared = shared(&rollout(), "trace.duration > 50ms");
    let [found] = shared.traits.as_slice() else {
        panic!("one trait, not {shared:?}")
    };
    let version = attribute(
        AttributeOf::Resource,
        "inventory",
        "service.version",
        "2.4.1",
    );
    assert_eq!(found.fact, version);
    let tag = attribute(
        AttributeOf::Resource,
        "inventory",
        "container.image.tag",
        "2.4.1",
    );
    assert_eq!((&*found.also, found.n_more_also), (&[tag][..], 0));
    assert_eq!((found.n_these, found.n_others), (15, 3));
    assert!((found.others_share - 0.03).abs() < 1e-9 && found.p < 1e-9);
    assert_eq!(
        (shared.n_these, shared.n_others, shared.n_alone),
        (16, 100, 0)
    );
    assert!(shared.is_whole && shared.n_more == 0);
    assert_eq!(
        found.fact.query().to_string(),
        "{service = inventory and resource.service.version = 2.4.1}"
    );
}

#[test]
fn ids_are_not_tried() {
    // The new version under two names, and three tiers. Of each host and order there is but one request, and
    // the old version is on so many that these could not have it much more often.
    assert_eq!(shared(&rollout(), "").n_tried, 2 + 3);
}

#[test]
fn what_was_asked_for_is_no_news() {
    for query in [
        "service.version = 2.4.1 and container.image.tag = \"2.4.1\"",
        "{service = inventory and resource.service.version = 2.4.1} and {resource.container.image.tag = 2.4.1}",
    ] {
        assert_eq!(shared(&rollout(), query).traits, [], "{query}");
    }
    // What must not be, is of another scope or has another value, was not asked for.
    for query in [
        "not service.version = 2.4.1",
        "span.service.version = 2.4.1 or service.version = 2.4.2",
    ] {
        assert_eq!(shared(&rollout(), query).traits.len(), 1, "{query}");
    }
}

#[test]
fn a_search_is_narrow_when_it_asks_for_more_than_names() {
    let asked = |text: &str| Asked::of(&Query::parse(text).unwrap());
    for text in [
        "",
        "service = web",
        "service = web and name = \"GET /\"",
        "trace.rootService = web or {trace.rootName = x}",
    ] {
        assert!(!asked(text).is_narrow(), "{text}");
    }
    for text in [
        "status = error",
        "service != web",
        "trace.duration > 1s",
        "stock",
        "exists user.id",
        "service = web and not name = x",
        "{service = web} >> {service = db}",
    ] {
        assert!(asked(text).is_narrow(), "{text}");
    }
    assert!(asked("trace.slowestHopName = x").is_of_slowest_hop());
    assert!(!asked("name = x").is_of_slowest_hop());
}

#[test]
fn an_operation_that_fails_and_what_it_says_are_told() {
    let request = |n: u64, fails: bool| {
        let root = SpanBuilder::new(1, "GET /").service("web").at(0, 9);
        let call = SpanBuilder::new(2, "charge")
            .service("payments")
            .parent(1)
            .at(1, 8);
        let call = if fails {
            call.error("card declined")
        } else {
            call
        };
        let id = TraceId::new(u128::from(n).to_be_bytes()).unwrap();
        Trace::new(id, parts_of([root, call])).unwrap()
    };
    let these = (1..=10).map(|n| (request(n, n > 1), Side::These));
    let others = (11..=60).map(|n| (request(n, n < 13), Side::Others));
    let all: Vec<_> = these.chain(others).collect();
    let told = shared(&all, "").traits;
    let of = |what| Fact {
        service: "payments".to_owned(),
        what,
    };
    assert_eq!(
        told[0].fact,
        of(What::StatusMessage("card declined".to_owned()))
    );
    assert_eq!(
        told[0].also,
        [
            of(What::Fails(Some("charge".to_owned()))),
            of(What::Fails(None))
        ]
    );
    // Who looks for errors still learns where they are.
    let told = shared(&all, "status = error and statusMessage = \"card declined\"").traits;
    assert_eq!(told[0].fact, of(What::Fails(Some("charge".to_owned()))));
    assert_eq!(told[0].also, []);
}

#[test]
fn old_and_new_names_are_one_attribute() {
    let request = |n: u64, key: &str, code: i64| {
        let root = SpanBuilder::new(1, "GET /")
            .service("web")
            .at(0, 9)
            .attribute(key, code);
        let id = TraceId::new(u128::from(n).to_be_bytes()).unwrap();
        (Trace::new(id, parts_of([root])).unwrap(), n)
    };
    let these = (1..=10).map(|n| {
        let key = if n % 2 == 0 {
            "http.status_code"
        } else {
            "http.response.status_code"
        };
        request(n, key, 503)
    });
    let others = (11..=60).map(|n| request(n, "http.status_code", 200));
    let sides = these.map(|(trace, _)| (trace, Side::These));
    let all: Vec<_> = sides
        .chain(others.map(|(trace, _)| (trace, Side::Others)))
        .collect();
    let told = shared(&all, "").traits;
    assert_eq!((told.len(), told[0].n_these), (1, 10));
    assert_eq!(
        told[0].fact.query().to_string(),
        "{service = web and span.http.status_code = 503}"
    );
}

/// Each of a hostile sender's 12 requests has 20,000 new values of nearly the longest length there may be,
/// 11,000 that come again, and one that is too long.
#[test]
fn hostile_values_are_bounded_and_that_is_said() {
    let mut tally = Tally::default();
    for n in 0..12_u64 {
        let mut root = SpanBuilder::new(1, "GET /")
            .service("web")
            .at(0, 9)
            .attribute("long", "x".repeat(1 << 20).as_str());
        for value in 0..31_000 {
            let number = if value < 11_000 {
                value
            } else {
                n * 31_000 + value
            };
            root = root.attribute("k", format!("{number:0>250}").as_str());
        }
        let side = if n < 6 { Side::These } else { Side::Others };
        tally.add(&trace_of([root]), side);
    }
    let shared = tally.shared(&Asked::of(&Query::default()));
    assert!(!shared.is_whole);
    assert_eq!(
        (shared.n_these, shared.n_others, &*shared.traits),
        (6, 6, &[][..])
    );
    assert!(shared.n_tried <= 10_000);
}

#[test]
fn what_no_query_can_say_is_no_fact() {
    let root = SpanBuilder::new(1, "GET /")
        .attribute("nothing", AttributeValue::Empty)
        .attribute("bytes", AttributeValue::Bytes(vec![1]))
        .attribute("nan", AttributeValue::Double(f64::NAN));
    let root = trace_of([root]);
    assert_eq!(facts(&root).len(), 2, "the service and its operation");
}

/// All facts of a trace.
fn facts(trace: &Trace) -> Vec<Fact> {
    let mut tally = Tally::default();
    tally.add(trace, Side::These);
    // What holds on more than one request has its texts kept.
    tally.add(trace, Side::Others);
    tally.facts().map(|(fact, _)| fact.clone()).collect()
}

#[test]
fn who_is_compared_has_the_services_and_names_that_are_asked_for() {
    let cases = [
        ("service = web", "service = web"),
        (
            "service = web and duration > 1s and name = x",
            "service = web and name = x",
        ),
        (
            "(service = web or name = x) and status = error",
            "service = web or name = x",
        ),
        (
            "{service = web} and trace.rootName = x",
            "{service = web} and trace.rootName = x",
        ),
        ("{service = web and status = error}", ""),
        ("not service = web", ""),
        ("service = web or status = error", ""),
        ("duration > 1s", ""),
    ];
    for (asked, frame) in cases {
        let query = Query::parse(asked).unwrap();
        assert_eq!(
            Asked::frame(&query),
            Query::parse(frame).unwrap(),
            "{asked}"
        );
    }
}

proptest! {
    /// A fact's query finds the requests on which the fact holds, and no others.
    #[test]
    fn a_facts_query_finds_what_it_holds_on(
        trace in any_searchable_trace(6),
        other in any_searchable_trace(6),
    ) {
        let there = facts(&other);
        let mut tally = Tally::default();
        tally.add(&trace, Side::These);
        tally.add(&trace, Side::These);
        tally.add(&other, Side::Others);
        for (fact, requests) in tally.facts().filter(|(_, requests)| requests.contains(0)) {
            let query = fact.query();
            let text = query.to_string();
            prop_assert_eq!(&Query::parse(&text).unwrap(), &query, "{}", text);
            let matcher = Matcher::new(&query).unwrap();
            prop_assert!(matcher.is_match_unanalysed(&trace), "{} holds", text);
            let is_there = requests.contains(2);
            prop_assert_eq!(matcher.is_match_unanalysed(&other), is_there, "{} of {:?}", text, there);
        }
    }
}
