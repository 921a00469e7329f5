//! What a store learns from a query without reading traces.

use std::time::Duration;

use longpole_proto::AttributeValue;
use longpole_proto::testing::draw;

use crate::Analysis;
use crate::query::{
    Field, Matcher, MayHave, Necessary, Needs, Op, Pattern, Query, Relation, RequestField, Scope,
    SpanField, SummaryLimits, Value,
};

fn matcher(query: &Query) -> Matcher {
    Matcher::new(query).expect("a query")
}

fn name(name: &str) -> Query {
    Query::compare(SpanField::Name, Op::Eq, name)
}

fn service(service: &str) -> Query {
    Query::compare(SpanField::Service, Op::Eq, service)
}

fn user(op: Op, value: impl Into<Value>) -> Query {
    Query::compare(Field::attribute(Scope::Span, "user"), op, value)
}

fn longer_than_a_second() -> Query {
    Query::compare(
        RequestField::Duration,
        Op::Gt,
        Value::Duration(Duration::from_secs(1)),
    )
}

fn necessary(query: &Query) -> Necessary {
    matcher(query).necessary().clone()
}

fn operation(service: Option<&str>, name: Option<&str>) -> Necessary {
    Necessary::Operation {
        service: service.map(str::to_owned),
        name: name.map(str::to_owned),
    }
}

fn user_is(value: &str) -> Necessary {
    Necessary::Attribute {
        scope: Scope::Span,
        keys: vec!["user".to_owned()],
        value: value.to_owned(),
    }
}

fn has_user() -> Necessary {
    Necessary::Key {
        scope: Scope::Span,
        keys: vec!["user".to_owned()],
    }
}

#[test]
fn an_equal_attribute_is_looked_up_under_all_its_names_by_its_canonical_text() {
    let query = Query::compare(
        Field::attribute(Scope::Any, "http.status_code"),
        Op::Eq,
        Value::Double(500.0),
    );
    assert_eq!(
        necessary(&query),
        Necessary::Attribute {
            scope: Scope::Any,
            keys: vec![
                "http.response.status_code".to_owned(),
                "http.status_code".to_owned()
            ],
            value: "500".to_owned(),
        }
    );
}

#[test]
fn what_compares_in_another_way_must_at_least_be_there() {
    for query in [
        user(Op::Ne, "ann"),
        Query::Exists(Field::attribute(Scope::Span, "user")),
    ] {
        assert_eq!(necessary(&query), has_user(), "{query:?}");
    }
}

#[test]
fn numbers_in_order_and_texts_with_a_pattern_are_told_from_others() {
    let cases = [
        (user(Op::Gt, 5), ["5", "x"], ["6", "7.5"]),
        (
            Query::pattern(Field::attribute(Scope::Span, "user"), "^a"),
            ["banana", "5"],
            ["a", "ann"],
        ),
    ];
    for (query, others, expected) in cases {
        let Necessary::Value {
            scope: Scope::Span,
            keys,
            values,
        } = necessary(&query)
        else {
            panic!("{query:?}");
        };
        assert_eq!(keys, ["user"]);
        for (texts, is_among) in [(others, false), (expected, true)] {
            for text in texts {
                assert_eq!(values.has_text(text), is_among, "{text}: {query:?}");
                let in_list = AttributeValue::Array(vec![AttributeValue::String(text.to_owned())]);
                assert_eq!(values.has(&in_list), is_among, "{text}: {query:?}");
            }
        }
    }
}

#[test]
fn a_service_and_a_name_of_one_span_are_an_operation() {
    let query = Query::all_of([name("GET /"), user(Op::Eq, "ann"), service("web")]);
    assert_eq!(
        necessary(&query),
        Necessary::All(vec![operation(Some("web"), Some("GET /")), user_is("ann")])
    );
    let apart = Query::all_of([
        Query::some_span(service("web")),
        Query::some_span(name("GET /")),
    ]);
    assert_eq!(
        necessary(&apart),
        Necessary::All(vec![
            operation(Some("web"), None),
            operation(None, Some("GET /"))
        ])
    );
}

#[test]
fn what_is_said_of_the_request_is_a_range_or_a_text() {
    assert_eq!(
        necessary(&longer_than_a_second()),
        Necessary::Number {
            field: RequestField::Duration,
            least: 1_000_000_001,
            greatest: u64::MAX,
        }
    );
    assert_eq!(
        necessary(&Query::compare(RequestField::RootService, Op::Eq, "web")),
        Necessary::All(vec![
            Necessary::Text {
                field: RequestField::RootService,
                value: "web".to_owned(),
            },
            operation(Some("web"), None),
        ])
    );
    assert_eq!(
        necessary(&Query::compare(SpanField::Status, Op::Eq, "ERROR")),
        Necessary::Number {
            field: RequestField::Errors,
            least: 1,
            greatest: u64::MAX,
        }
    );
}

#[test]
fn relations_need_both_sides_unless_they_must_not_be() {
    let (left, right) = (service("web"), user(Op::Eq, "ann"));
    let related = Query::related(left.clone(), Relation::Descendant, right.clone());
    assert_eq!(
        necessary(&related),
        Necessary::All(vec![user_is("ann"), operation(Some("web"), None)])
    );
    let not_related = Query::not_related(left, Relation::Descendant, right);
    assert_eq!(necessary(&not_related), user_is("ann"));
}

#[test]
fn nothing_is_known_of_what_is_not_and_of_words() {
    let unknown = [
        Query::default(),
        Query::negated(user(Op::Eq, "ann")),
        Query::Word("ann".to_owned()),
        Query::pattern(SpanField::Kind, "a"),
        Query::compare(RequestField::Service, Op::Ne, "web"),
        Query::any_of([user(Op::Eq, "ann"), Query::Word("ann".to_owned())]),
    ];
    for query in unknown {
        assert_eq!(necessary(&query), Necessary::Unknown, "{query:?}");
    }
    let some = Query::all_of([user(Op::Eq, "ann"), Query::Word("ann".to_owned())]);
    assert_eq!(necessary(&some), user_is("ann"));
}

#[test]
fn a_pattern_on_names_rules_out_names_without_it() {
    struct Names(&'static [(&'static str, &'static str)]);

    impl MayHave for Names {
        fn matching(&self, field: SpanField, pattern: &Pattern) -> bool {
            self.0.iter().any(|(service, name)| {
                pattern.is_in(if field == SpanField::Service {
                    service
                } else {
                    name
                })
            })
        }
    }

    let names = Names(&[("web", "GET /"), ("shop", "stock")]);
    let may = |query: Query| necessary(&query).may_hold(&names);
    let has = |pattern: &str| Query::pattern(SpanField::Name, pattern);
    assert!(may(has("^st.ck$")));
    assert!(!may(has("^web$")));
    assert!(may(Query::pattern(SpanField::Service, "^web$")));
    assert!(!may(Query::all_of([has("GET"), has("POST")])));
    assert!(may(Query::negated(has("POST"))));
    assert_eq!(necessary(&has("a")), necessary(&has("a")));
    assert_ne!(necessary(&has("a")), necessary(&has("b")));
}

#[test]
fn what_never_matches_needs_what_nothing_has() {
    for query in [
        Query::any_of([]),
        user(Op::Eq, Value::Double(f64::NAN)),
        Query::compare(RequestField::Spans, Op::Lt, 0),
        Query::compare(RequestField::Errors, Op::Eq, Value::Double(0.5)),
        Query::all_of([name("a"), Query::compare(SpanField::Duration, Op::Lt, 0)]),
    ] {
        assert!(!necessary(&query).may_hold(&Anything), "{query:?}");
    }
}

/// A store that knows nothing.
struct Anything;

impl MayHave for Anything {}

#[test]
fn a_store_that_knows_nothing_leaves_nothing_out() {
    let query = Query::all_of([
        user(Op::Eq, "ann"),
        longer_than_a_second(),
        service("web"),
        Query::Exists(Field::attribute(Scope::Any, "n")),
        Query::compare(RequestField::RootName, Op::Eq, "GET /"),
    ]);
    assert!(necessary(&query).may_hold(&Anything));
}

#[test]
fn a_store_leaves_out_what_it_is_sure_of() {
    /// Spans of one user.
    struct Ann;

    impl MayHave for Ann {
        fn attribute(&self, _: Scope, key: &str, value: &str) -> bool {
            key == "user" && value == "ann"
        }
    }

    let is_left_out = |query| !necessary(&query).may_hold(&Ann);
    assert!(!is_left_out(user(Op::Eq, "ann")));
    assert!(is_left_out(user(Op::Eq, "bob")));
    assert!(is_left_out(Query::all_of([user(Op::Eq, "bob"), name("a")])));
    assert!(!is_left_out(Query::any_of([
        user(Op::Eq, "bob"),
        name("a")
    ])));
}

#[test]
fn a_query_says_how_much_of_a_trace_it_needs() {
    for (query, needs) in [
        (Query::default(), Needs::Summary),
        (longer_than_a_second(), Needs::Summary),
        (
            Query::negated(Query::some_span(longer_than_a_second())),
            Needs::Summary,
        ),
        (name("a"), Needs::Outline),
        (
            Query::all_of([longer_than_a_second(), service("web")]),
            Needs::Outline,
        ),
        (
            Query::related(Query::default(), Relation::Child, Query::default()),
            Needs::Outline,
        ),
        (
            Query::compare(SpanField::StatusMessage, Op::Eq, "a"),
            Needs::Trace,
        ),
        (
            Query::compare(SpanField::EventName, Op::Eq, "a"),
            Needs::Trace,
        ),
        (user(Op::Eq, "ann"), Needs::Trace),
        (Query::Word("a".to_owned()), Needs::Trace),
    ] {
        assert_eq!(matcher(&query).needs(), needs, "{query:?}");
    }
}

#[test]
fn a_summary_answers_for_the_request_and_rules_out_the_rest() {
    let trace = draw("web GET / [----]");
    let summary = Analysis::of(&trace).summary(&trace);
    let judge = |query: &Query| matcher(query).judge_summary(&summary, SummaryLimits::default());
    let longer = longer_than_a_second();
    assert_eq!(judge(&longer), Some(false));
    assert_eq!(judge(&Query::negated(longer.clone())), Some(true));
    assert_eq!(judge(&name("GET /")), None);
    assert_eq!(
        judge(&Query::all_of([name("GET /"), longer.clone()])),
        Some(false)
    );
    assert_eq!(
        judge(&Query::any_of([
            name("GET /"),
            Query::negated(longer.clone())
        ])),
        Some(true)
    );
    assert_eq!(
        judge(&Query::related(longer, Relation::Child, name("GET /"))),
        Some(false)
    );
}

#[test]
fn a_summary_that_was_cut_decides_only_what_is_whole() {
    let trace = draw(
        "
web GET /     [-----------]
  shop stock    [-------]
    zoo lions     [---]
",
    );
    let mut summary = Analysis::of(&trace).summary(&trace);
    summary.services.truncate(2);
    let limits = SummaryLimits {
        text_bytes_max: 512,
        services_max: 2,
    };
    let service = |service: &str| {
        let query = Query::compare(RequestField::Service, Op::Eq, service);
        matcher(&query).judge_summary(&summary, limits)
    };
    assert_eq!(service("web"), Some(true));
    assert_eq!(service("shop"), Some(true));
    assert_eq!(
        service("zoo"),
        None,
        "it comes after the two that were kept"
    );

    let limits = SummaryLimits {
        text_bytes_max: 8,
        services_max: 64,
    };
    let root_name = |name: &str| {
        let query = Query::compare(RequestField::RootName, Op::Eq, name);
        matcher(&query).judge_summary(&summary, limits)
    };
    assert_eq!(root_name("GET /"), None, "it may be a longer one");
    let limits = SummaryLimits {
        text_bytes_max: 9,
        ..limits
    };
    let query = Query::compare(RequestField::RootName, Op::Eq, "GET /");
    assert_eq!(matcher(&query).judge_summary(&summary, limits), Some(true));
}
