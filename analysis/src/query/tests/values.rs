//! How values compare, and where they are looked for.

use std::time::Duration;

use longpole_proto::testing::{draw, span_id};
use longpole_proto::{Attributes, Event};

use super::*;

#[test]
fn a_status_code_is_found_under_its_old_and_new_name_as_number_and_text() {
    let shop = draw(SHOP);
    assert_eq!(
        found(&shop, &attribute("http.status_code", Op::Eq, 500)),
        ["GET /stock"]
    );
    assert_eq!(
        found(
            &shop,
            &attribute("http.response.status_code", Op::Ne, "500")
        ),
        ["POST /quote"]
    );
    assert_eq!(
        found(&shop, &attribute("http.status_code", Op::Ge, 200)),
        ["GET /stock", "POST /quote"]
    );
    for value in [500.into(), "500".into(), AttributeValue::Double(500.0)] {
        let trace = with(value);
        assert!(is_match(&trace, &attribute("n", Op::Eq, 500)));
        assert!(is_match(&trace, &attribute("n", Op::Eq, "500")));
        assert!(is_match(&trace, &attribute("n", Op::Eq, 500.0)));
        assert!(!is_match(&trace, &attribute("n", Op::Ne, 500)));
        assert!(!is_match(&trace, &attribute("n", Op::Eq, "500.0")));
    }
}

#[test]
fn equality_is_by_type_only_where_that_makes_a_difference_to_people() {
    let equal = |held: AttributeValue, wanted: Value| {
        is_match(
            &with(held),
            &Query::compare(Field::attribute(Scope::Any, "n"), Op::Eq, wanted),
        )
    };
    assert!(equal(true.into(), "true".into()));
    assert!(equal("true".into(), true.into()));
    assert!(!equal(1.into(), true.into()));
    assert!(equal("500.0".into(), "500.0".into()));
    assert!(!equal(500.into(), "500.0".into()));
    assert!(!equal(500.into(), "0500".into()));
    assert!(!equal("1.10".into(), "1.1".into()));
    assert!(!equal("1.10".into(), Value::Double(1.1)));
    assert!(equal("1.1".into(), Value::Double(1.1)));
    assert!(!equal("a".into(), "A".into()));
    assert!(equal(
        5_000_000.into(),
        Value::Duration(Duration::from_millis(5))
    ));
    assert!(equal(AttributeValue::Double(-0.0), 0.into()));
    assert!(!equal(
        AttributeValue::Double(f64::NAN),
        Value::Double(f64::NAN)
    ));
    assert!(!equal(
        9_007_199_254_740_993.into(),
        Value::Double(9_007_199_254_740_992.0)
    ));
    assert!(!equal(AttributeValue::Empty, "".into()));
    assert!(!equal(AttributeValue::Bytes(b"a".to_vec()), "a".into()));
}

#[test]
fn order_is_by_number() {
    let holds = |held: AttributeValue, op, wanted: Value| {
        is_match(
            &with(held),
            &Query::compare(Field::attribute(Scope::Any, "n"), op, wanted),
        )
    };
    assert!(holds(500.into(), Op::Ge, 500.into()));
    assert!(!holds(500.into(), Op::Gt, 500.into()));
    assert!(holds("0499".into(), Op::Lt, 500.into()));
    assert!(holds("4.9e2".into(), Op::Le, "500".into()));
    assert!(holds(AttributeValue::Double(0.5), Op::Gt, 0.into()));
    assert!(holds(
        6_000_000.into(),
        Op::Gt,
        Value::Duration(Duration::from_millis(5))
    ));
    for op in [Op::Lt, Op::Le, Op::Gt, Op::Ge] {
        assert!(!holds("five".into(), op, 5.into()), "text is not in order");
        assert!(!holds(true.into(), op, 0.into()), "truth is not in order");
        assert!(!holds(
            AttributeValue::Double(f64::NAN),
            op,
            Value::Double(f64::NAN)
        ));
        assert!(!holds(5.into(), op, Value::Double(f64::NAN)));
    }
}

#[test]
fn an_array_matches_when_an_element_does_and_differs_when_none_is_equal() {
    let trace = with(AttributeValue::Array(vec!["GET".into(), 500.into()]));
    assert!(is_match(&trace, &attribute("n", Op::Eq, "GET")));
    assert!(is_match(&trace, &attribute("n", Op::Eq, "500")));
    assert!(is_match(&trace, &attribute("n", Op::Gt, 499)));
    assert!(!is_match(&trace, &attribute("n", Op::Ne, "GET")));
    assert!(is_match(&trace, &attribute("n", Op::Ne, "PUT")));
}

#[test]
fn on_what_is_absent_only_not_holds() {
    let trace = draw("app a [--]");
    let field = || Field::attribute(Scope::Any, "n");
    let pattern = |negated| Query::Pattern {
        field: field(),
        negated,
        pattern: String::new(),
    };
    for query in [
        attribute("n", Op::Eq, 1),
        attribute("n", Op::Ne, 1),
        attribute("n", Op::Lt, 1),
        pattern(false),
        pattern(true),
        Query::Exists(field()),
        Query::compare(SpanField::ParentId, Op::Ne, span_id(1).to_string().as_str()),
        Query::compare(SpanField::StatusMessage, Op::Ne, "a"),
        Query::compare(SpanField::EventName, Op::Ne, "a"),
        Query::compare(RequestField::CulpritPeer, Op::Ne, "a"),
    ] {
        assert!(!is_match(&trace, &query), "{query:?}");
        assert!(
            is_match(&trace, &Query::negated(query.clone())),
            "{query:?}"
        );
    }
}

#[test]
fn an_empty_value_exists_and_differs_from_all() {
    for value in [AttributeValue::Empty, AttributeValue::Array(Vec::new())] {
        let trace = with(value);
        assert!(is_match(
            &trace,
            &Query::Exists(Field::attribute(Scope::Span, "n"))
        ));
        assert!(is_match(&trace, &attribute("n", Op::Ne, "")));
        assert!(!is_match(&trace, &attribute("n", Op::Eq, "")));
    }
}

#[test]
fn an_attribute_is_looked_for_in_its_scope() {
    let mut attributes = Attributes::default();
    attributes.push("exception.type", "Timeout");
    let event = Event {
        name: "exception".to_owned(),
        attributes,
        ..Event::default()
    };
    let trace = trace_of([
        SpanBuilder::new(1, "of span").attribute("host", "a"),
        SpanBuilder::new(2, "of resource").instance("blue"),
        SpanBuilder::new(3, "of event").with(|span| span.events.push(event)),
        SpanBuilder::new(4, "of link")
            .link(1)
            .with(|span| span.links[0].attributes.push("batch", 7)),
    ]);
    let cases = [
        (Scope::Span, "host", Value::from("a"), "of span"),
        (
            Scope::Resource,
            "service.instance.id",
            Value::from("blue"),
            "of resource",
        ),
        (
            Scope::Event,
            "exception.type",
            Value::from("Timeout"),
            "of event",
        ),
        (Scope::Link, "batch", Value::from(7), "of link"),
    ];
    for (own, key, value, expected) in cases {
        for scope in Scope::ALL {
            let query = Query::compare(Field::attribute(scope, key), Op::Eq, value.clone());
            let is_there = scope == own || scope == Scope::Any;
            let expected: &[&str] = if is_there { &[expected] } else { &[] };
            assert_eq!(found(&trace, &query), expected, "{scope:?} {key}");
        }
    }
}

#[test]
fn a_value_anywhere_makes_it_not_different() {
    let trace = trace_of([SpanBuilder::new(1, "a")
        .attribute("http.method", "GET")
        .attribute("http.request.method", "PUT")
        .attribute("user", "ann")
        .attribute("user", "bob")]);
    for (key, value) in [
        ("http.method", "GET"),
        ("http.method", "PUT"),
        ("user", "ann"),
        ("user", "bob"),
    ] {
        assert!(is_match(&trace, &attribute(key, Op::Eq, value)));
        assert!(!is_match(&trace, &attribute(key, Op::Ne, value)));
    }
    assert!(is_match(&trace, &attribute("user", Op::Ne, "eve")));
}

#[test]
fn patterns_are_found_anywhere_in_texts_and_in_numbers_as_text() {
    let shop = draw(SHOP);
    let pattern = |field: Field, negated, pattern: &str| Query::Pattern {
        field,
        negated,
        pattern: pattern.to_owned(),
    };
    let name = || Field::Span(SpanField::Name);
    assert_eq!(
        found(&shop, &pattern(name(), false, "stock$")),
        ["GET /stock", "SELECT stock"]
    );
    assert_eq!(
        found(&shop, &pattern(name(), true, "^(POST|GET) /")),
        ["SELECT stock", "lock wait"]
    );
    let n = || Field::attribute(Scope::Any, "n");
    assert!(is_match(&with(503), &pattern(n(), false, "^5..$")));
    assert!(is_match(&with(true), &pattern(n(), false, "^true$")));
    assert!(!is_match(
        &with(AttributeValue::Empty),
        &pattern(n(), false, "")
    ));
    assert!(is_match(
        &with(AttributeValue::Empty),
        &pattern(n(), true, "")
    ));
    let status = Field::Span(SpanField::Status);
    assert_eq!(found(&shop, &pattern(status, false, "err")), ["GET /stock"]);
}

#[test]
fn words_are_found_in_names_and_values_whatever_their_case() {
    let mut inside = Attributes::default();
    inside.push("inner", "Deep Value");
    let mut of_event = Attributes::default();
    of_event.push("exception.message", "Connection RESET by peer");
    let trace = trace_of([
        SpanBuilder::new(1, "POST /Bücher").service("Katalog"),
        SpanBuilder::new(2, "status").parent(1).error("Zeit ist um"),
        SpanBuilder::new(3, "attribute")
            .parent(1)
            .attribute("order.id", "A-4711")
            .attribute("list", AttributeValue::Array(vec![1234.into()]))
            .attribute("map", AttributeValue::Map(inside)),
        SpanBuilder::new(4, "event").parent(1).with(|span| {
            span.events.push(Event {
                name: "exception".to_owned(),
                attributes: of_event,
                ..Event::default()
            });
        }),
        SpanBuilder::new(5, "link")
            .parent(1)
            .link(1)
            .with(|span| span.links[0].attributes.push("reason", "Batch")),
        SpanBuilder::new(6, "resource").parent(1).instance("pod-7"),
    ]);
    for (word, expected) in [
        ("bÜCHER", "POST /Bücher"),
        ("ZEIT IST", "status"),
        ("a-4711", "attribute"),
        ("23", "attribute"),
        ("deep", "attribute"),
        ("excep", "event"),
        ("reset", "event"),
        ("batch", "link"),
        ("POD", "resource"),
    ] {
        assert_eq!(
            found(&trace, &Query::Word(word.to_owned())),
            [expected],
            "{word}"
        );
    }
    assert!(is_match(&trace, &Query::Word("katalog".to_owned())));
    for word in ["order.id", "inner", "a.4711", "katalo.", "app$"] {
        let query = Query::Word(word.to_owned());
        assert!(!is_match(&trace, &query), "{word} is no name or value");
    }
}
