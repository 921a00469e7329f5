//! The forest, case by case and at random.

use proptest::prelude::*;

use super::*;
use crate::testing::{self, SpanBuilder};
use crate::{Attribute, AttributeValue, Attributes, Event};

fn names(trace: &Trace) -> Vec<String> {
    (0..trace.len())
        .map(|at| format!("{}{}", "  ".repeat(trace.depth(at)), trace.span(at).name))
        .collect()
}

#[test]
fn spans_stand_in_pre_order_whatever_order_they_came_in() {
    let trace = testing::trace_of([
        SpanBuilder::new(4, "d").parent(2).at(25, 30),
        SpanBuilder::new(3, "c").parent(1).at(50, 90),
        SpanBuilder::new(2, "b").parent(1).at(10, 40),
        SpanBuilder::new(1, "a").at(0, 100),
    ]);
    assert_eq!(names(&trace), ["a", "  b", "    d", "  c"]);
    assert_eq!(trace.subtree(1), 1..3);
    assert_eq!(trace.children(0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(trace.parent(2), Some(1));
    assert_eq!(trace.parent(0), None);
}

#[test]
fn duplicates_are_one_span_and_the_first_stored_wins() {
    let trace = testing::trace_of([
        SpanBuilder::new(1, "first").at(0, 100),
        SpanBuilder::new(1, "again").at(0, 100),
        SpanBuilder::new(1, "another start").at(1, 100),
    ]);
    assert_eq!(names(&trace), ["first", "another start"]);
    assert_eq!(trace.n_duplicates(), 1);
}

#[test]
fn a_server_that_shares_its_clients_id_owns_the_children() {
    let trace = testing::trace_of([
        SpanBuilder::new(1, "root").at(0, 100),
        SpanBuilder::new(2, "server")
            .parent(1)
            .kind(SpanKind::Server)
            .at(20, 80),
        SpanBuilder::new(2, "client")
            .parent(1)
            .kind(SpanKind::Client)
            .at(10, 90),
        SpanBuilder::new(3, "query").parent(2).at(30, 40),
    ]);
    assert_eq!(
        names(&trace),
        ["root", "  client", "    server", "      query"]
    );
    assert_eq!(trace.find(testing::span_id(2)), Some(2));
}

#[test]
fn an_orphan_stands_on_its_own_and_a_request_of_orphans_is_incomplete() {
    let trace = testing::trace_of([
        SpanBuilder::new(2, "late").parent(9).at(30, 40),
        SpanBuilder::new(1, "early").parent(8).at(20, 25),
    ]);
    assert_eq!(names(&trace), ["early", "late"]);
    assert_eq!(trace.attachment(1), Attachment::Orphan);
    assert_eq!(trace.request_root(), 0);
    assert!(trace.is_incomplete());
}

#[test]
fn the_longest_root_is_the_requests_and_ties_go_to_the_earlier() {
    let trace = testing::trace_of([
        SpanBuilder::new(5, "short").at(0, 10),
        SpanBuilder::new(2, "long, later").at(7, 57),
        SpanBuilder::new(1, "long").at(5, 55),
    ]);
    assert_eq!(&*trace.span(trace.request_root()).name, "long");
    assert!(!trace.is_incomplete());
}

#[test]
fn a_cycle_is_cut_at_its_earliest_span() {
    let trace = testing::trace_of([
        SpanBuilder::new(1, "a").parent(3).at(20, 30),
        SpanBuilder::new(2, "b").parent(1).at(10, 30),
        SpanBuilder::new(3, "c").parent(2).at(15, 30),
        SpanBuilder::new(4, "self").parent(4).at(40, 50),
        SpanBuilder::new(5, "under a").parent(1).at(45, 50),
    ]);
    assert_eq!(
        names(&trace),
        ["b", "  c", "    a", "      under a", "self"]
    );
    assert_eq!(trace.attachment(0), Attachment::CycleCut);
    assert_eq!(trace.attachment(4), Attachment::CycleCut);
    assert!(trace.is_incomplete());
}

#[test]
fn a_chain_of_a_hundred_thousand_spans_is_a_trace_like_any_other() {
    let trace = testing::trace_of((1..=100_000_u64).map(|n| {
        let span = SpanBuilder::new(n, "link").at(n, 300_000 - n);
        if n == 1 { span } else { span.parent(n - 1) }
    }));
    assert_eq!(trace.depth(99_999), 99_999);
    assert_eq!(trace.subtree(0), 0..100_000);
}

#[test]
fn all_that_a_trace_holds_takes_memory() {
    const KB: usize = 1 << 10;
    let size = |span: SpanBuilder| testing::trace_of([span]).memory_bytes();
    let span = || SpanBuilder::new(1, "work");
    let text = || "x".repeat(64 * KB);
    let small = size(span());
    assert!((200..2 * KB).contains(&small), "{small}");
    let nested = AttributeValue::Array(vec![AttributeValue::Map(Attributes(vec![Attribute {
        key: "key".to_owned(),
        value: text().as_str().into(),
    }]))]);
    let large = [
        SpanBuilder::new(1, &text()),
        span().service(&text()),
        span().attribute(&text(), true),
        span().attribute("key", text().as_str()),
        span().attribute("key", AttributeValue::Bytes(text().into())),
        span().attribute("key", nested),
        span().error(&text()),
        span().with(|span| span.trace_state = text()),
        span().with(|span| {
            span.events.push(Event {
                name: text(),
                ..Event::default()
            });
        }),
        span()
            .link(2)
            .with(|span| span.links[0].trace_state = text()),
    ];
    for (n, span) in large.into_iter().enumerate() {
        // A service's name is in its resource and in the list of services.
        let more = size(span) - small;
        assert!((63 * KB..130 * KB).contains(&more), "{n}: {more}");
    }
    let name: Arc<str> = text().into();
    let shared = testing::trace_of(
        (1..=10).map(|n| SpanBuilder::new(n, "").with(|span| span.name = Arc::clone(&name))),
    );
    drop(name);
    assert!(
        shared.memory_bytes() < 80 * KB,
        "a name is shared by ten spans"
    );
}

proptest! {
    #[test]
    fn every_span_stands_in_the_forest_once(trace in testing::any_trace(40)) {
        let mut seen = vec![false; trace.len()];
        let mut stack: Vec<usize> = trace.roots().to_vec();
        while let Some(at) = stack.pop() {
            prop_assert!(!std::mem::replace(&mut seen[at], true), "span {at} is reached twice");
            for child in trace.children(at) {
                prop_assert_eq!(trace.parent(child), Some(at));
                prop_assert_eq!(trace.depth(child), trace.depth(at) + 1);
                prop_assert!(trace.subtree(at).contains(&child));
                stack.push(child);
            }
        }
        prop_assert!(seen.into_iter().all(|seen| seen));
    }
}
