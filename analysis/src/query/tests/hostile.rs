//! Queries and traces that are meant to hurt.

use longpole_proto::Trace;
use longpole_proto::testing::{SpanBuilder, trace_of};

use crate::query::{
    DEPTH_MAX, Field, Matcher, NODES_MAX, Op, PATTERN_BYTES_MAX, PATTERNS_MAX, Query, QueryError,
    Relation, Scope, SpanField, TEXT_BYTES_MAX,
};

fn name(name: &str) -> Query {
    Query::compare(SpanField::Name, Op::Eq, name)
}

fn error(query: &Query) -> QueryError {
    Matcher::new(query).expect_err("the query is refused")
}

fn nested(depth: usize) -> Query {
    (1..depth).fold(name("a"), |query, _| Query::negated(query))
}

#[test]
fn a_query_is_nested_as_deep_as_is_allowed_and_no_deeper() {
    assert!(Matcher::new(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(error(&nested(DEPTH_MAX + 1)), QueryError::TooDeep);
    assert_eq!(error(&nested(2_000)), QueryError::TooDeep);
    let related = (1..=DEPTH_MAX).fold(name("a"), |query, _| {
        Query::related(query, Relation::Child, name("a"))
    });
    assert_eq!(error(&related), QueryError::TooDeep);
    assert_eq!(
        QueryError::TooDeep.to_string(),
        "the query is nested deeper than 64 levels"
    );
}

#[test]
fn a_query_has_as_many_nodes_as_are_allowed_and_no_more() {
    let wide = |n| Query::Or(vec![name("a"); n]);
    assert!(Matcher::new(&wide(NODES_MAX - 1)).is_ok());
    assert_eq!(error(&wide(NODES_MAX)), QueryError::TooLarge);
    assert_eq!(error(&wide(1_000_000)), QueryError::TooLarge);
}

#[test]
fn patterns_and_words_are_few_and_short() {
    let words = |n| Query::And(vec![Query::Word("a".to_owned()); n]);
    assert!(Matcher::new(&words(PATTERNS_MAX)).is_ok());
    assert_eq!(error(&words(PATTERNS_MAX + 1)), QueryError::TooManyPatterns);
    let long = "a".repeat(PATTERN_BYTES_MAX + 1);
    let found_bytes = PATTERN_BYTES_MAX + 1;
    for query in [
        Query::Word(long.clone()),
        Query::pattern(SpanField::Name, long),
    ] {
        assert_eq!(error(&query), QueryError::PatternTooLong { found_bytes });
    }
    assert!(Matcher::new(&Query::Word("ß".repeat(PATTERN_BYTES_MAX / 2))).is_ok());
}

#[test]
fn a_query_has_as_much_text_as_is_allowed_and_no_more() {
    let text = |n_bytes: usize| "a".repeat(n_bytes);
    let key = |n_bytes| Field::attribute(Scope::Any, text(n_bytes));
    let compare = |n_key, n_value| Query::compare(key(n_key), Op::Eq, text(n_value).as_str());
    assert!(Matcher::new(&compare(1, TEXT_BYTES_MAX - 1)).is_ok());
    let half = TEXT_BYTES_MAX / 2 + 1;
    for query in [
        compare(1, TEXT_BYTES_MAX),
        compare(half, half),
        Query::Exists(key(TEXT_BYTES_MAX + 1)),
        Query::Or(vec![compare(1, 999); 66]),
        Query::negated(Query::pattern(key(TEXT_BYTES_MAX), "a")),
    ] {
        assert_eq!(error(&query), QueryError::TooMuchText);
    }
    assert_eq!(
        QueryError::TooMuchText.to_string(),
        "the query has more than 65536 bytes of names and values"
    );
}

#[test]
fn a_pattern_that_cannot_be_used_says_why() {
    use std::error::Error as _;

    for (pattern, why) in [
        ("(", "unclosed group"),
        ("(?=a)", "look-around"),
        (r"(\w{100}){100}", "size limit"),
        (&format!("{}a{}", "(".repeat(400), ")".repeat(400)), "nest"),
    ] {
        let error = error(&Query::pattern(SpanField::Name, pattern));
        assert!(
            matches!(&error, QueryError::Pattern { pattern: named, .. } if named == pattern),
            "{error:?}"
        );
        let source = error.source().expect("its cause").to_string();
        assert!(source.contains(why), "{pattern}: {source}");
    }
}

/// With backtracking each of these would take longer than the universe is old.
#[test]
fn patterns_that_make_others_backtrack_are_linear() {
    let long = "a".repeat(20_000);
    let trace = trace_of([SpanBuilder::new(1, &long)]);
    for pattern in ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "^(.*a){20}$"] {
        let found = Matcher::new(&Query::pattern(SpanField::Name, pattern))
            .expect("a pattern")
            .is_match_unanalysed(&trace);
        assert!(found, "{pattern}");
        let none = Matcher::new(&Query::pattern(SpanField::Name, pattern.replace('$', "b$")))
            .expect("a pattern")
            .is_match_unanalysed(&trace);
        assert!(!none, "{pattern}");
    }
}

const N_SPANS: u64 = 100_000;

fn chain() -> Trace {
    trace_of((1..=N_SPANS).map(|n| {
        let span = SpanBuilder::new(n, if n % 2 == 0 { "even" } else { "odd" });
        if n == 1 { span } else { span.parent(n - 1) }
    }))
}

fn siblings() -> Trace {
    trace_of((1..=N_SPANS).map(|n| {
        let span = SpanBuilder::new(n, if n % 2 == 0 { "even" } else { "odd" });
        if n == 1 { span } else { span.parent(1) }
    }))
}

/// Each relation is one pass over the spans: with pairs of spans these 100 relations over 100,000
/// spans would be 10^12 steps, and the test would not end.
#[test]
fn relations_over_many_spans_look_at_each_span_once() {
    let relations = [
        Relation::Child,
        Relation::Parent,
        Relation::Descendant,
        Relation::Ancestor,
        Relation::Sibling,
    ];
    // How many odd spans there are in each of these relations to an even one.
    for (trace, counts) in [
        (chain(), [49_999, 50_000, 49_999, 50_000, 0]),
        (siblings(), [0, 1, 0, 1, 49_999]),
    ] {
        let analysis = crate::Analysis::of(&trace);
        for (relation, count) in relations.into_iter().zip(counts) {
            let found = |query| {
                Matcher::new(&Query::And(vec![query; 5]))
                    .expect("a query")
                    .matching_spans(&trace, &analysis)
                    .len()
            };
            let related = Query::related(name("even"), relation, name("odd"));
            assert_eq!(found(related), count, "{relation:?}");
            let not_related = Query::not_related(name("even"), relation, name("odd"));
            assert_eq!(found(not_related), 50_000 - count, "not {relation:?}");
        }
    }
}

#[test]
fn a_chain_of_relations_is_followed_to_its_end() {
    let trace = chain();
    // `odd > even > odd > …`, 31 relations deep: the 32nd span and those below it.
    let query = (0..31).fold(name("odd"), |query, at| {
        Query::related(
            query,
            Relation::Child,
            name(if at % 2 == 0 { "even" } else { "odd" }),
        )
    });
    let matcher = Matcher::new(&query).expect("a query");
    let analysis = crate::Analysis::of(&trace);
    let found = matcher.matching_spans(&trace, &analysis);
    assert_eq!(found.len() as u64, (N_SPANS - 32) / 2 + 1);
    assert_eq!(found[0], 31);
}

#[test]
fn a_value_nested_without_end_is_looked_through() {
    use longpole_proto::AttributeValue;

    let deep = (0..500).fold(AttributeValue::Int(500), |value, _| {
        AttributeValue::Array(vec![value])
    });
    let trace = trace_of([SpanBuilder::new(1, "a").attribute("n", deep)]);
    let query = Query::compare(Field::attribute(Scope::Any, "n"), Op::Eq, 500);
    assert!(
        Matcher::new(&query)
            .expect("a query")
            .is_match_unanalysed(&trace)
    );
}
