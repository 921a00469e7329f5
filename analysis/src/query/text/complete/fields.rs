//! What the fields of the language have, as far as it is suggested.

use crate::query::field::Sort;
use crate::query::{Field, RequestField, SpanField};

/// The fields that are services.
pub(super) const SERVICES: [Field; 5] = [
    Field::Span(SpanField::Service),
    Field::Request(RequestField::Service),
    Field::Request(RequestField::RootService),
    Field::Request(RequestField::SlowestHopService),
    Field::Request(RequestField::CulpritService),
];

/// Those that are operations, with the field that is their service.
pub(super) const OPERATIONS: [(Field, Field); 4] = [
    (
        Field::Span(SpanField::Name),
        Field::Span(SpanField::Service),
    ),
    (
        Field::Request(RequestField::RootName),
        Field::Request(RequestField::RootService),
    ),
    (
        Field::Request(RequestField::SlowestHopName),
        Field::Request(RequestField::SlowestHopService),
    ),
    (
        Field::Request(RequestField::CulpritName),
        Field::Request(RequestField::CulpritService),
    ),
];

/// The fields that are no attributes; what is asked for most, first.
pub(super) fn intrinsics() -> Vec<&'static str> {
    const FIRST: [SpanField; 5] = [
        SpanField::Service,
        SpanField::Name,
        SpanField::Duration,
        SpanField::Status,
        SpanField::Kind,
    ];
    let rest = SpanField::ALL.into_iter().filter(|of| !FIRST.contains(of));
    let of_span = FIRST.into_iter().chain(rest).map(SpanField::name);
    let of_request = RequestField::ALL.into_iter().map(RequestField::name);
    of_span.chain(of_request).collect()
}

/// What may stand between a field and a value.
pub(super) fn operators(field: &Field) -> &'static [&'static str] {
    match field.sort() {
        Sort::Attribute => &["=", "!=", ">", ">=", "<", "<=", "=~", "!~"],
        Sort::Text => &["=", "!=", "=~", "!~"],
        Sort::Choice { .. } | Sort::SpanId | Sort::TraceId => &["=", "!="],
        Sort::Duration | Sort::Count => &[">", ">=", "<", "<=", "=", "!="],
    }
}
