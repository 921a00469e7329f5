//! Which spans a query is about: one and the same, others, those related to it.

use std::time::Duration;

use longpole_proto::testing::draw;

use super::*;

#[test]
fn the_empty_query_matches_and_points_at_nothing() {
    let trace = draw(SHOP);
    assert!(is_match(&trace, &Query::default()));
    assert_eq!(found(&trace, &Query::default()), Vec::<String>::new());
    assert!(!is_match(&trace, &Query::any_of([])));
    assert_eq!(Query::all_of([name("a")]), name("a"));
}

#[test]
fn conditions_hold_on_one_and_the_same_span() {
    let trace = draw(SHOP);
    let of = |one, other| Query::all_of([one, other]);
    assert_eq!(
        found(&trace, &of(service("inventory"), name("SELECT stock"))),
        ["SELECT stock"]
    );
    assert!(!is_match(
        &trace,
        &of(service("pricing"), name("SELECT stock"))
    ));
    let apart = of(
        Query::some_span(service("pricing")),
        Query::some_span(name("SELECT stock")),
    );
    assert_eq!(found(&trace, &apart), ["SELECT stock", "POST /quote"]);
    assert_eq!(
        found(
            &trace,
            &of(name("lock wait"), Query::some_span(service("pricing")))
        ),
        ["lock wait"]
    );
    let none = of(
        Query::some_span(service("pricing")),
        Query::negated(Query::some_span(service("bank"))),
    );
    assert_eq!(found(&trace, &none), ["POST /quote"]);
}

#[test]
fn not_is_another_span_unless_it_is_said_of_all() {
    let trace = draw(SHOP);
    let other = Query::negated(service("inventory"));
    assert_eq!(
        found(&trace, &other),
        [
            "POST /checkout",
            "POST /orders",
            "POST /quote",
            "POST /charge"
        ]
    );
    let nowhere = Query::negated(Query::some_span(service("inventory")));
    assert!(!is_match(&trace, &nowhere));
    let only_inventory = Query::negated(Query::some_span(Query::negated(service("inventory"))));
    assert!(!is_match(&trace, &only_inventory));
    assert!(is_match(
        &draw("inventory GET /stock [--]"),
        &only_inventory
    ));
}

#[test]
fn what_is_said_of_the_request_holds_on_all_its_spans_or_none() {
    let trace = draw(SHOP);
    let longer = |ms| {
        Query::compare(
            RequestField::Duration,
            Op::Gt,
            Value::Duration(Duration::from_millis(ms)),
        )
    };
    assert!(is_match(&trace, &longer(40)));
    assert!(!is_match(&trace, &longer(43)));
    assert_eq!(
        found(&trace, &Query::all_of([longer(40), name("lock wait")])),
        ["lock wait"]
    );
    assert!(!is_match(
        &trace,
        &Query::all_of([longer(43), name("lock wait")])
    ));
    assert_eq!(
        found(&trace, &Query::any_of([longer(43), name("lock wait")])),
        ["lock wait"]
    );
    assert_eq!(
        found(&trace, &Query::any_of([longer(40), name("lock wait")])),
        ["lock wait"],
        "the request alone would do, but this is where to look"
    );
    assert!(is_match(&trace, &Query::negated(longer(43))));
}

#[test]
fn relations_are_said_of_the_right_span() {
    let trace = draw(SHOP);
    let related = |left, relation, right| found(&trace, &Query::related(left, relation, right));
    let any = Query::default;
    assert_eq!(
        related(name("POST /orders"), Relation::Child, any()),
        ["GET /stock", "POST /quote", "POST /charge"]
    );
    assert_eq!(
        related(name("lock wait"), Relation::Parent, any()),
        ["GET /stock"]
    );
    assert_eq!(
        related(
            name("POST /orders"),
            Relation::Descendant,
            service("inventory")
        ),
        ["GET /stock", "SELECT stock", "lock wait"]
    );
    assert_eq!(
        related(name("lock wait"), Relation::Ancestor, any()),
        ["POST /checkout", "POST /orders", "GET /stock"]
    );
    assert_eq!(
        related(name("POST /quote"), Relation::Sibling, any()),
        ["GET /stock", "POST /charge"]
    );
    assert_eq!(
        related(service("inventory"), Relation::Descendant, any()),
        ["SELECT stock", "lock wait"]
    );
}

#[test]
fn a_relation_that_must_not_be_leaves_the_right_side_standing() {
    let trace = draw(SHOP);
    let not_related =
        |left, relation, right| found(&trace, &Query::not_related(left, relation, right));
    assert_eq!(
        not_related(name("GET /stock"), Relation::Child, service("inventory")),
        ["GET /stock"]
    );
    assert_eq!(
        not_related(Query::default(), Relation::Parent, service("inventory")),
        ["SELECT stock", "lock wait"],
        "those that have no children"
    );
    assert_eq!(
        not_related(Query::default(), Relation::Child, Query::default()),
        ["POST /checkout"],
        "those that have no parent"
    );
    assert_eq!(
        not_related(
            service("inventory"),
            Relation::Sibling,
            service("inventory")
        ),
        ["GET /stock"]
    );
    assert_eq!(
        not_related(name("bank"), Relation::Descendant, name("lock wait")),
        ["lock wait"]
    );
}

#[test]
fn spans_on_their_own_have_no_siblings_and_no_parents() {
    let trace = draw(
        "
web a  [--]
web b  [--]  orphan
web c  [--]  orphan
",
    );
    for relation in [
        Relation::Child,
        Relation::Parent,
        Relation::Descendant,
        Relation::Ancestor,
        Relation::Sibling,
    ] {
        let query = Query::related(Query::default(), relation, Query::default());
        assert!(!is_match(&trace, &query), "{relation:?}");
    }
}

#[test]
fn relations_nest() {
    let trace = draw(SHOP);
    let below_gateway = Query::related(service("gateway"), Relation::Child, service("checkout"));
    let query = Query::related(below_gateway, Relation::Child, service("inventory"));
    assert_eq!(found(&trace, &query), ["GET /stock"]);
    let query = Query::related(
        Query::all_of([
            service("inventory"),
            Query::compare(RequestField::Spans, Op::Eq, 7),
        ]),
        Relation::Parent,
        Query::some_span(name("lock wait")),
    );
    assert_eq!(found(&trace, &query), ["POST /orders", "GET /stock"]);
}
