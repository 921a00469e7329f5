use longpole_proto::SpanKind;
use longpole_proto::testing::{self, SpanBuilder};

use super::*;

#[test]
fn spans_that_share_an_id_have_names_of_their_own() {
    let trace = testing::trace_of([
        SpanBuilder::new(1, "root").at(0, 100),
        SpanBuilder::new(2, "client")
            .parent(1)
            .kind(SpanKind::Client)
            .at(10, 90),
        SpanBuilder::new(2, "server")
            .parent(1)
            .kind(SpanKind::Server)
            .at(20, 80),
        SpanBuilder::new(2, "other").parent(1).at(95, 99),
    ]);
    let refs = SpanRefs::of(&trace);
    let names: Vec<String> = (0..trace.len())
        .map(|at| refs.name(at).to_string())
        .collect();
    assert_eq!(
        names,
        [
            "0000000000000001",
            "0000000000000002~1",
            "0000000000000002",
            "0000000000000002~3"
        ]
    );
    for (at, name) in names.iter().enumerate() {
        assert_eq!(refs.find(name.parse().expect("a span")), Some(at), "{name}");
    }
}

#[test]
fn a_view_survives_its_url() {
    let pairs = |texts: &[(&str, &str)]| -> Vec<(String, String)> {
        texts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let given = pairs(&[
        ("view", "table"),
        ("root", "00f067aa0ba902b8"),
        ("t0", "12"),
        ("t1", "500"),
        ("q", "a b="),
        ("sort", "self"),
        ("page", "3"),
        ("span", "00f067aa0ba902b7"),
        ("x", "top.2"),
        ("x", "00f067aa0ba902b7~2.3"),
        ("x", "missing"),
        ("x", "group-00f067aa0ba902b7~2.3"),
    ]);
    let view = TraceView::read(&given).expect("a view");
    let made: Vec<(String, String)> = view
        .pairs()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(made, given);
    for bad in [
        ("span", "xyz"),
        ("x", "top.0"),
        ("x", "00f067aa0ba902b7.x"),
        ("x", "group-"),
        ("view", "map"),
        ("root", "1"),
        ("sort", "name"),
        ("page", "-1"),
        ("y", "1"),
    ] {
        assert_eq!(
            TraceView::read(&pairs(&[bad])).expect_err("refused").len(),
            1,
            "{bad:?}"
        );
    }
}

#[test]
fn opening_more_rows_than_a_url_keeps_closes_the_first() {
    let mut view = TraceView::default();
    for n in 1..=20 {
        let span = SpanRef {
            span_id: testing::span_id(n),
            nth: None,
        };
        view = view.with_open(ExpansionRef {
            node: NodeRef::Span(span),
            page: 1,
        });
    }
    assert_eq!(view.expanded.len(), EXPANSIONS_MAX);
    assert_eq!(view.pairs()[0].1, "0000000000000005");
}
