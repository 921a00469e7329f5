use std::time::Duration;

use proptest::prelude::*;

use crate::query::testing::any_query;
use crate::query::{Field, Op, Query, Relation, RequestField, Scope, SpanField, Value};

fn parse(text: &str) -> Query {
    Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn attribute(key: &str, op: Op, value: impl Into<Value>) -> Query {
    Query::compare(Field::attribute(Scope::Any, key), op, value)
}

fn service(name: &str) -> Query {
    Query::compare(SpanField::Service, Op::Eq, name)
}

fn word(word: &str) -> Query {
    Query::Word(word.to_owned())
}

#[test]
fn what_people_write_is_the_tree_they_mean() {
    let some = Query::some_span;
    let slow = Query::compare(SpanField::Duration, Op::Gt, Duration::from_millis(300));
    let failed = attribute("http.response.status_code", Op::Ge, 500);
    let cases = [
        ("", Query::default()),
        (
            "service = checkout and duration > 300ms and http.response.status_code >= 500",
            Query::And(vec![service("checkout"), slow.clone(), failed.clone()]),
        ),
        (
            "service=checkout duration>300ms",
            Query::And(vec![service("checkout"), slow.clone()]),
        ),
        (
            "checkout \"connection refused\"",
            Query::And(vec![word("checkout"), word("connection refused")]),
        ),
        ("GET /stock", Query::And(vec![word("GET"), word("/stock")])),
        (
            "a or b c or not d",
            Query::Or(vec![
                word("a"),
                Query::And(vec![word("b"), word("c")]),
                Query::negated(word("d")),
            ]),
        ),
        (
            "(a or b) and c",
            Query::And(vec![Query::Or(vec![word("a"), word("b")]), word("c")]),
        ),
        (
            "a && b || c",
            Query::Or(vec![Query::And(vec![word("a"), word("b")]), word("c")]),
        ),
        ("{service = checkout}", some(service("checkout"))),
        ("{}", some(Query::default())),
        ("{ true }", some(Query::default())),
        (
            "{service=web} >> {status = error}",
            some(Query::related(
                service("web"),
                Relation::Descendant,
                Query::compare(SpanField::Status, Op::Eq, "error"),
            )),
        ),
        (
            "{a} > {b} !~ {c} && {d}",
            Query::And(vec![
                some(Query::not_related(
                    Query::related(word("a"), Relation::Child, word("b")),
                    Relation::Sibling,
                    word("c"),
                )),
                some(word("d")),
            ]),
        ),
        (
            "(a) > (b)",
            Query::related(word("a"), Relation::Child, word("b")),
        ),
        (
            "(a) > some {b}",
            Query::related(word("a"), Relation::Child, some(word("b"))),
        ),
    ];
    are_read(cases);
}

#[test]
fn fields_and_values_are_what_they_are_called() {
    let cases = [
        (
            "span.user = ann",
            Query::compare(Field::attribute(Scope::Span, "user"), Op::Eq, "ann"),
        ),
        (
            "resource.\"my key\" = 1",
            Query::compare(Field::attribute(Scope::Resource, "my key"), Op::Eq, 1),
        ),
        (".name = x", attribute("name", Op::Eq, "x")),
        (
            "exists user",
            Query::Exists(Field::attribute(Scope::Any, "user")),
        ),
        (
            "user != nil",
            Query::Exists(Field::attribute(Scope::Any, "user")),
        ),
        (
            "user = nil",
            Query::negated(Query::Exists(Field::attribute(Scope::Any, "user"))),
        ),
        (
            "trace.duration > 1.5s",
            Query::compare(RequestField::Duration, Op::Gt, Duration::from_millis(1_500)),
        ),
        (
            "traceDuration > 1m30s",
            Query::compare(RequestField::Duration, Op::Gt, Duration::from_secs(90)),
        ),
        (
            "rootServiceName = web",
            Query::compare(RequestField::RootService, Op::Eq, "web"),
        ),
        (
            "name =~ `^GET /\\d+$`",
            Query::pattern(SpanField::Name, "^GET /\\d+$"),
        ),
        ("size > 10KiB", attribute("size", Op::Gt, 10_240)),
        ("size > 1.5MB", attribute("size", Op::Gt, 1_500_000)),
        ("version = \"1\"", attribute("version", Op::Eq, "1")),
        ("version = 1.0", attribute("version", Op::Eq, 1.0)),
        ("version = 1.2.3", attribute("version", Op::Eq, "1.2.3")),
        ("ok = true", attribute("ok", Op::Eq, true)),
        ("and = 1", attribute("and", Op::Eq, 1)),
        (
            "name='it''s'",
            Query::And(vec![
                Query::compare(SpanField::Name, Op::Eq, "it"),
                word("s"),
            ]),
        ),
        ("café = ☕", attribute("café", Op::Eq, "☕")),
    ];
    are_read(cases);
}

/// They are read as that, and written so that they are read as that again.
fn are_read<const N: usize>(cases: [(&str, Query); N]) {
    for (text, expected) in cases {
        let found = parse(text);
        assert_eq!(found, expected, "{text}");
        assert_eq!(parse(&found.to_string()), expected, "{text} as {found}");
    }
}

#[test]
fn what_is_wrong_is_said_where_it_is() {
    let deep = "(".repeat(100);
    let long = "x ".repeat(40_000);
    let many = "a=1 ".repeat(1_001);
    let words = "a ".repeat(40);
    let cases = [
        ("service =", 10, "expected a value behind =, found the end"),
        ("= 5", 1, "expected a condition, found `=`"),
        ("a and", 6, "expected a condition, found the end"),
        ("a and or b", 7, "expected a condition, found `or`"),
        (
            "(a or b",
            8,
            "expected ) for what was opened at character 1, found the end",
        ),
        (
            "x {a",
            5,
            "expected } for what was opened at character 3, found the end",
        ),
        ("a)", 2, "expected and, or, or the end, found `)`"),
        (
            "name = \"x",
            8,
            "expected \" at the end of what this one begins",
        ),
        ("name = \"\\d\"", 9, "after a backslash"),
        (
            "duration > soon",
            1,
            "`duration` is compared with \"soon\", but takes a duration",
        ),
        ("ärger duration > x", 7, "`duration` is compared with"),
        ("status = broken", 1, "but takes unset, ok or error"),
        ("name > 5", 1, "`name` does not take `>`"),
        (
            "name =~ \"(\"",
            1,
            "the pattern \"(\" cannot be used: unclosed group",
        ),
        (
            "trace.color = red",
            1,
            "expected a field of the request, not trace.color: there are trace.id",
        ),
        (
            "span. = red",
            1,
            "expected the name of an attribute behind \"span.\"",
        ),
        ("a == 5", 3, "there is no `==`: write ="),
        ("x in (1, 2)", 3, "there is no `in`: write (x = a or x = b)"),
        ("\"my key\" = 5", 1, "is written .\"my key\""),
        ("exists", 7, "expected a field behind exists, found the end"),
        ("user > nil", 8, "nil takes = and != only"),
        ("{a} > ", 7, "expected { behind >, found the end"),
        ("a > {b}", 5, "expected a value behind >, found `{`"),
        (
            "name = a > {b}",
            10,
            "found `>`: what it relates stands in { }",
        ),
        ("{a} &>> {b}", 5, "TraceQL's &>> is not supported"),
        (
            "{a} | count() > 2",
            5,
            "TraceQL's pipelines are not supported",
        ),
        (
            "{childCount > 2}",
            2,
            "longpole does not know TraceQL's childCount",
        ),
        ("{parent.user = x}", 2, "write { … } > { … }"),
        ("span:size > 2", 1, "there is no such one"),
        ("a, b", 2, "expected and, or, or the end, found `,`"),
        (&deep, 66, "nested deeper than 64 levels"),
        (
            &long,
            1,
            "the query has 80000 bytes, over the limit of 65536",
        ),
        (&many, 4_001, "more than 1000 conditions"),
        (&words, 1, "more than 32 patterns and words"),
    ];
    for (text, character, message) in cases {
        let error = Query::parse(text).expect_err(text);
        let said = error.to_string();
        assert!(said.contains(message), "{text}: {said}");
        assert_eq!(error.character(), character, "{text}: {said}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(query in any_query()) {
        let text = query.to_string();
        let read = Query::parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&query), "{}", text);
    }

    #[test]
    fn any_text_is_a_query_or_an_error_in_it(text in "\\PC{0,60}") {
        check(&text)?;
    }

    #[test]
    fn any_pieces_are_a_query_or_an_error_in_them(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "(", ")", "and ", "or ", "not ", "exists ", "some ", "nil", " ", "name", "=", "!=", ">",
                ">>", "!~", "=~", "~", "\"", "'", "`", "\\", "5ms", "-1", ".", "span.", "é", "&&", "||", "!", "true",
            ]),
            0..20,
        ),
    ) {
        check(&pieces.concat())?;
    }
}

/// What was read is read again from how it is written; an error lies in the text.
fn check(text: &str) -> Result<(), TestCaseError> {
    match Query::parse(text) {
        Ok(query) => {
            let written = query.to_string();
            let read = Query::parse(&written);
            prop_assert_eq!(read.as_ref(), Ok(&query), "{} as {}", text, written);
        }
        Err(error) => {
            prop_assert!(error.at.start <= error.at.end && error.at.end <= text.len());
            prop_assert!(
                text.is_char_boundary(error.at.start) && text.is_char_boundary(error.at.end)
            );
            prop_assert!(error.character() <= text.chars().count() + 1);
        }
    }
    Ok(())
}
