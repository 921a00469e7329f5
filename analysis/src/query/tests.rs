//! Drawn traces and what is found in them; the matcher against a naive reading of its definition.

mod fields;
mod hostile;
mod properties;
mod reference;
mod semantics;
mod stores;
mod values;

use longpole_proto::testing::SpanBuilder;
use longpole_proto::testing::trace_of;
use longpole_proto::{AttributeValue, Trace};

use super::*;
use crate::Analysis;

/// A shop's checkout; `inventory GET /stock` is slow and fails.
const SHOP: &str = "
gateway POST /checkout       [-----------------------------------------]
  checkout POST /orders       [---------------------------------------]
    inventory GET /stock        [--------------------]       server http.response.status_code=500 error
      inventory SELECT stock    [---]                        client db.system.name=postgresql
      inventory lock wait            [-------------]
    pricing POST /quote         [------]                     server http.status_code=200
    payments POST /charge                             [------------]
";

/// The names of the spans that the matcher points at.
fn found(trace: &Trace, query: &Query) -> Vec<String> {
    let analysis = Analysis::of(trace);
    let matcher = Matcher::new(query).expect("a query");
    let spans = matcher.matching_spans(trace, &analysis);
    assert!(spans.is_empty() || matcher.is_match(trace, &analysis));
    spans
        .into_iter()
        .map(|at| trace.span(at).name.to_string())
        .collect()
}

fn is_match(trace: &Trace, query: &Query) -> bool {
    Matcher::new(query)
        .expect("a query")
        .is_match(trace, &Analysis::of(trace))
}

fn attribute(key: &str, op: Op, value: impl Into<Value>) -> Query {
    Query::compare(Field::attribute(Scope::Any, key), op, value)
}

fn name(name: &str) -> Query {
    Query::compare(SpanField::Name, Op::Eq, name)
}

fn service(service: &str) -> Query {
    Query::compare(SpanField::Service, Op::Eq, service)
}

/// One span with the attribute `n`.
fn with(value: impl Into<AttributeValue>) -> Trace {
    trace_of([SpanBuilder::new(1, "a").attribute("n", value)])
}
