//! What holds for all queries on all traces.

use longpole_proto::testing::{SpanBuilder, any_trace, trace_of};
use longpole_proto::wire::{decode_outline, decode_traces, encode_traces};
use longpole_proto::{AttributeValue, Trace};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::reference::holds;
use crate::query::testing::{any_attribute_value, any_query, any_searchable_trace};
use crate::query::{
    Field, Matcher, MayHave, Needs, Op, Pattern, Query, RequestField, Scope, SpanField,
    SummaryLimits, Value, Values, canonical_texts,
};
use crate::{Analysis, PEER_KEYS, TraceSummary};

fn matcher(query: &Query) -> Matcher {
    Matcher::new(query).expect("the strategy makes queries that can be matched")
}

/// A trace that a store knows everything about, looked up naively.
struct Known<'a> {
    trace: &'a Trace,
    summary: TraceSummary,
}

impl Known<'_> {
    fn attributes(&self, scope: Scope) -> Vec<(&str, &AttributeValue)> {
        let is_in = |wanted| scope == Scope::Any || scope == wanted;
        let mut lists = Vec::new();
        for (at, span) in self.trace.spans().iter().enumerate() {
            if is_in(Scope::Span) {
                lists.push(&span.attributes);
            }
            if is_in(Scope::Resource) {
                lists.push(&self.trace.resource(at).attributes);
            }
            if is_in(Scope::Event) {
                lists.extend(span.events.iter().map(|event| &event.attributes));
            }
            if is_in(Scope::Link) {
                lists.extend(span.links.iter().map(|link| &link.attributes));
            }
        }
        lists
            .into_iter()
            .flatten()
            .map(|attribute| (attribute.key.as_str(), &attribute.value))
            .collect()
    }
}

impl MayHave for Known<'_> {
    fn attribute(&self, scope: Scope, key: &str, value: &str) -> bool {
        self.attributes(scope).iter().any(|(known, held)| {
            let mut has = false;
            canonical_texts(held, |text| has |= text == value);
            has && *known == key
        })
    }

    fn value(&self, scope: Scope, key: &str, values: &Values) -> bool {
        let attributes = self.attributes(scope);
        let mut of_key = attributes.iter().filter(|(known, _)| *known == key);
        of_key.any(|(_, held)| values.has(held))
    }

    fn key(&self, scope: Scope, key: &str) -> bool {
        self.attributes(scope)
            .iter()
            .any(|(known, _)| *known == key)
    }

    fn operation(&self, service: Option<&str>, name: Option<&str>) -> bool {
        (0..self.trace.len()).any(|at| {
            service.is_none_or(|service| self.trace.service(at) == service)
                && name.is_none_or(|name| *self.trace.span(at).name == *name)
        })
    }

    fn matching(&self, field: SpanField, pattern: &Pattern) -> bool {
        (0..self.trace.len()).any(|at| {
            pattern.is_in(match field {
                SpanField::Service => self.trace.service(at),
                SpanField::Name => &self.trace.span(at).name,
                field => panic!("{field:?} is no name"),
            })
        })
    }

    fn number(&self, field: RequestField, least: u64, greatest: u64) -> bool {
        let number = match field {
            RequestField::Start => self.summary.start.0,
            RequestField::Duration => self.summary.duration_nanos,
            RequestField::Spans => self.summary.n_spans,
            RequestField::Errors => self.summary.n_errors,
            RequestField::SlowestHopDuration => self.summary.slowest_hop.nanos,
            field => panic!("{field:?} is no number"),
        };
        (least..=greatest).contains(&number)
    }

    fn text(&self, field: RequestField, value: &str) -> bool {
        let summary = &self.summary;
        match field {
            RequestField::Id => summary.trace_id.to_string() == value,
            RequestField::RootService => summary.root_service == value,
            RequestField::RootName => summary.root_operation == value,
            RequestField::Service => summary.services.iter().any(|service| service == value),
            RequestField::SlowestHopService => summary.slowest_hop.service == value,
            RequestField::SlowestHopName => summary.slowest_hop.name == value,
            RequestField::CulpritService => summary.culprit.service == value,
            RequestField::CulpritName => summary.culprit.name == value,
            RequestField::CulpritPeer => summary.culprit.peer.as_deref() == Some(value),
            field => panic!("{field:?} is no text"),
        }
    }
}

/// Whether the query says something of the span itself, outside of `{ … }`.
fn is_of_spans(query: &Query) -> bool {
    match query {
        Query::SomeSpan(_) => false,
        Query::Related { .. } | Query::Word(_) => true,
        Query::Compare { field, .. } | Query::Pattern { field, .. } | Query::Exists(field) => {
            !matches!(field, Field::Request(_))
        }
        query => query.children().any(is_of_spans),
    }
}

/// Few numbers in many forms, so that some are equal.
fn any_scalar() -> impl Strategy<Value = Value> {
    (-2..3_i32, 0..8_u8).prop_map(|(number, form)| match form {
        0 => Value::Int(number.into()),
        1 => Value::Double(number.into()),
        2 => Value::Double(f64::from(number) + 0.5),
        3 => Value::String(number.to_string()),
        4 => Value::String(format!("{number}.0")),
        5 => Value::String(format!("{}", f64::from(number) + 0.5)),
        6 => Value::Bool(number > 0),
        _ => Value::String((number > 0).to_string()),
    })
}

fn attribute(value: Value) -> AttributeValue {
    match value {
        Value::String(text) => AttributeValue::String(text),
        Value::Int(number) => AttributeValue::Int(number),
        Value::Double(number) => AttributeValue::Double(number),
        Value::Bool(truth) => AttributeValue::Bool(truth),
        Value::Duration(_) => panic!("attributes have no durations"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_request_matches_when_the_query_holds_on_one_of_its_spans(
        query in any_query(),
        trace in any_searchable_trace(9),
    ) {
        let analysis = Analysis::of(&trace);
        let matcher = matcher(&query);
        let on: Vec<usize> = (0..trace.len()).filter(|&at| holds(&query, &trace, &analysis, at)).collect();
        prop_assert_eq!(matcher.is_match(&trace, &analysis), !on.is_empty());
        prop_assert_eq!(matcher.is_match_unanalysed(&trace), !on.is_empty());

        let pointed_at = matcher.matching_spans(&trace, &analysis);
        if on.is_empty() {
            prop_assert_eq!(pointed_at, on);
        } else if is_of_spans(&query) && on.len() < trace.len() {
            prop_assert_eq!(pointed_at, on);
        }
    }

    #[test]
    fn what_is_necessary_holds_on_every_trace_that_matches(
        query in any_query(),
        trace in any_searchable_trace(6),
    ) {
        let summary = Analysis::of(&trace).summary(&trace);
        let matcher = matcher(&query);
        let may_hold = matcher.necessary().may_hold(&Known { trace: &trace, summary });
        prop_assert!(may_hold || !matcher.is_match_unanalysed(&trace), "{:?}", matcher.necessary());
    }

    #[test]
    fn a_summary_decides_what_it_can_and_never_wrongly(
        query in any_query(),
        trace in any_searchable_trace(6),
        text_bytes_max in 0..12_usize,
        services_max in 0..4_usize,
    ) {
        let analysis = Analysis::of(&trace);
        let whole = analysis.summary(&trace);
        let matcher = matcher(&query);
        let is_match = matcher.is_match(&trace, &analysis);
        let judged = matcher.judge_summary(&whole, SummaryLimits::default());
        prop_assert!(judged.is_none_or(|judged| judged == is_match));
        prop_assert!(judged.is_some() || matcher.needs() > Needs::Summary);

        let limits = SummaryLimits { text_bytes_max, services_max };
        let judged = matcher.judge_summary(&cut(whole, limits), limits);
        prop_assert!(judged.is_none_or(|judged| judged == is_match));
    }

    #[test]
    fn an_outline_is_enough_for_what_needs_no_more(
        query in any_query().prop_filter("needs more", |query| matcher(query).needs() <= Needs::Outline),
        trace in any_searchable_trace(6),
    ) {
        let matcher = matcher(&query);
        let bytes = encode_traces(&trace);
        let whole = decode_traces(trace.id(), &bytes).expect("spans");
        let whole = Trace::new(trace.id(), whole).expect("spans");
        let outline = decode_outline(trace.id(), &bytes, &PEER_KEYS).expect("spans");
        let outline = Trace::new(trace.id(), outline).expect("spans");
        prop_assert_eq!(matcher.is_match_unanalysed(&outline), matcher.is_match_unanalysed(&whole));
    }

    #[test]
    fn values_are_equal_when_they_have_a_canonical_text_in_common(
        wanted in any_scalar(),
        values in prop::collection::vec(prop_oneof![any_scalar().prop_map(attribute), any_attribute_value()], 1..3),
    ) {
        let value = AttributeValue::Array(values);
        let mut texts = Vec::new();
        canonical_texts(&value, |text| texts.push(text.to_owned()));
        let trace = trace_of([SpanBuilder::new(1, "a").attribute("n", value)]);
        let query = Query::compare(Field::attribute(Scope::Span, "n"), Op::Eq, wanted.clone());
        prop_assert_eq!(
            matcher(&query).is_match_unanalysed(&trace),
            wanted.canonical_text().is_some_and(|text| texts.contains(&text))
        );
    }

    #[test]
    fn any_trace_can_be_asked_anything(query in any_query(), trace in any_trace(20)) {
        let analysis = Analysis::of(&trace);
        let matcher = matcher(&query);
        let is_match = matcher.is_match(&trace, &analysis);
        prop_assert_eq!(is_match, (0..trace.len()).any(|at| holds(&query, &trace, &analysis, at)));
        prop_assert!(is_match || matcher.matching_spans(&trace, &analysis).is_empty());
    }
}

/// The summary as a store with these limits keeps it.
fn cut(mut summary: TraceSummary, limits: SummaryLimits) -> TraceSummary {
    summary.services.truncate(limits.services_max);
    let TraceSummary {
        root_service,
        root_operation,
        services,
        slowest_hop,
        culprit,
        ..
    } = &mut summary;
    for text in [
        root_service,
        root_operation,
        &mut slowest_hop.service,
        &mut slowest_hop.name,
        &mut culprit.service,
        &mut culprit.name,
    ]
    .into_iter()
    .chain(services)
    .chain(&mut culprit.peer)
    {
        text.truncate(text.floor_char_boundary(limits.text_bytes_max));
    }
    summary
}

/// The strategies would prove nothing if nearly all queries matched, or nearly none.
#[test]
fn random_queries_find_some_random_traces_and_not_others() {
    let mut runner = TestRunner::deterministic();
    let (mut n_matched, mut n_left_out, mut n_judged) = (0, 0, 0);
    for _ in 0..500 {
        let query = any_query()
            .new_tree(&mut runner)
            .expect("a query")
            .current();
        let trace = any_searchable_trace(6)
            .new_tree(&mut runner)
            .expect("a trace")
            .current();
        let matcher = matcher(&query);
        let summary = Analysis::of(&trace).summary(&trace);
        n_matched += usize::from(matcher.is_match_unanalysed(&trace));
        n_judged += usize::from(
            matcher
                .judge_summary(&summary, SummaryLimits::default())
                .is_some(),
        );
        n_left_out += usize::from(!matcher.necessary().may_hold(&Known {
            trace: &trace,
            summary,
        }));
    }
    assert!((100..400).contains(&n_matched), "{n_matched} matched");
    assert!(n_left_out > 50, "{n_left_out} were left out");
    assert!((50..450).contains(&n_judged), "{n_judged} were judged");
}
