//! Conditions on one span: which spans of a trace meet them.

use std::fmt::Write as _;

use fixedbitset::FixedBitSet;
use longpole_proto::{Attributes, Span, StatusCode, Trace};
use regex::Regex;

use super::check::{Check, Outcome};
use super::field::{Scope, SpanField};
use super::request::Seen;
use super::value::{Nested, any_scalar};

/// A condition on one span.
#[derive(Debug, Clone)]
pub(super) enum SpanCondition {
    Field {
        field: SpanField,
        check: Check,
    },
    Attribute {
        scope: Scope,
        /// All names of it.
        keys: Vec<String>,
        check: Check,
    },
    Word(Regex),
}

impl SpanCondition {
    /// Those of the spans `within` that meet it.
    pub(super) fn spans(&self, seen: &Seen<'_>, within: &FixedBitSet) -> FixedBitSet {
        let trace = seen.trace;
        let mut buffer = String::new();
        let mut found = FixedBitSet::with_capacity(trace.len());
        match self {
            Self::Field {
                field: SpanField::Service,
                check,
            } => {
                let services: Vec<bool> = trace
                    .services()
                    .iter()
                    .map(|service| check.holds(check.of_text(service)))
                    .collect();
                found.extend(within.ones().filter(|&at| services[trace.service_idx(at)]));
            }
            Self::Field {
                field: SpanField::SelfTime,
                check,
            } => {
                let self_nanos = &seen.analysis().self_nanos;
                found.extend(
                    within
                        .ones()
                        .filter(|&at| check.holds(check.of_number(self_nanos[at]))),
                );
            }
            Self::Field { field, check } => {
                found.extend(within.ones().filter(|&at| {
                    check.holds(of_field(*field, trace.span(at), check, &mut buffer))
                }));
            }
            Self::Attribute { scope, keys, check } => {
                let attribute = Attribute {
                    scope: *scope,
                    keys,
                    check,
                };
                let mut resources = OncePerResource::new(trace);
                found.extend(within.ones().filter(|&at| {
                    check.holds(attribute.outcome(trace, at, &mut resources, &mut buffer))
                }));
            }
            Self::Word(word) => {
                let services: Vec<bool> = trace
                    .services()
                    .iter()
                    .map(|service| word.is_match(service))
                    .collect();
                let mut resources = OncePerResource::new(trace);
                found.extend(within.ones().filter(|&at| {
                    services[trace.service_idx(at)]
                        || has_word(trace.span(at), word, &mut buffer)
                        || resources.get(trace, at, |attributes| {
                            attributes_have_word(attributes, word, &mut buffer)
                        })
                }));
            }
        }
        found
    }
}

fn of_field(field: SpanField, span: &Span, check: &Check, buffer: &mut String) -> Outcome {
    let mut id = |id: &dyn std::fmt::Display| {
        buffer.clear();
        write!(buffer, "{id}").expect("a string takes all");
        check.of_text(buffer)
    };
    match field {
        SpanField::Name => check.of_text(&span.name),
        SpanField::Kind => check.of_text(span.kind.name()),
        SpanField::Status => check.of_text(status_name(span.status.code)),
        SpanField::StatusMessage if span.status.message.is_empty() => Outcome::Absent,
        SpanField::StatusMessage => check.of_text(&span.status.message),
        SpanField::Duration => check.of_number(span.duration_nanos()),
        SpanField::SpanId => id(&span.span_id),
        SpanField::ParentId => span.parent_id.map_or(Outcome::Absent, |parent| id(&parent)),
        SpanField::EventName => span
            .events
            .iter()
            .map(|event| check.of_text(&event.name))
            .max()
            .unwrap_or(Outcome::Absent),
        SpanField::Service | SpanField::SelfTime => unreachable!("the span alone does not say"),
    }
}

const fn status_name(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    }
}

/// An attribute that is looked for.
struct Attribute<'a> {
    scope: Scope,
    keys: &'a [String],
    check: &'a Check,
}

impl Attribute<'_> {
    fn outcome(
        &self,
        trace: &Trace,
        span_idx: usize,
        resources: &mut OncePerResource<Outcome>,
        buffer: &mut String,
    ) -> Outcome {
        let span = trace.span(span_idx);
        let mut outcome = Outcome::Absent;
        let is_in = |scope| self.scope == Scope::Any || self.scope == scope;
        if is_in(Scope::Span) {
            outcome = self.among(&span.attributes, buffer);
        }
        if is_in(Scope::Resource) && outcome != Outcome::Hit {
            outcome = outcome
                .max(resources.get(trace, span_idx, |attributes| self.among(attributes, buffer)));
        }
        if is_in(Scope::Event) {
            for event in &span.events {
                if outcome == Outcome::Hit {
                    break;
                }
                outcome = outcome.max(self.among(&event.attributes, buffer));
            }
        }
        if is_in(Scope::Link) {
            for link in &span.links {
                if outcome == Outcome::Hit {
                    break;
                }
                outcome = outcome.max(self.among(&link.attributes, buffer));
            }
        }
        outcome
    }

    fn among(&self, attributes: &Attributes, buffer: &mut String) -> Outcome {
        let mut outcome = Outcome::Absent;
        for attribute in attributes {
            if self.keys.contains(&attribute.key) {
                outcome = outcome.max(self.check.of_value(&attribute.value, buffer));
                if outcome == Outcome::Hit {
                    break;
                }
            }
        }
        outcome
    }
}

/// What was found out about each resource.
struct OncePerResource<T> {
    known: Vec<Option<T>>,
}

impl<T: Copy> OncePerResource<T> {
    fn new(trace: &Trace) -> Self {
        Self {
            known: vec![None; trace.resources().len()],
        }
    }

    fn get(&mut self, trace: &Trace, span_idx: usize, find: impl FnOnce(&Attributes) -> T) -> T {
        let slot = &mut self.known[trace.span(span_idx).resource_idx as usize];
        *slot.get_or_insert_with(|| find(&trace.resource(span_idx).attributes))
    }
}

fn has_word(span: &Span, word: &Regex, buffer: &mut String) -> bool {
    word.is_match(&span.name)
        || word.is_match(&span.status.message)
        || attributes_have_word(&span.attributes, word, buffer)
        || span.events.iter().any(|event| {
            word.is_match(&event.name) || attributes_have_word(&event.attributes, word, buffer)
        })
        || span
            .links
            .iter()
            .any(|link| attributes_have_word(&link.attributes, word, buffer))
}

fn attributes_have_word(attributes: &Attributes, word: &Regex, buffer: &mut String) -> bool {
    attributes.iter().any(|attribute| {
        any_scalar(&attribute.value, Nested::ListsAndMaps, |scalar| {
            scalar
                .canonical_text(buffer)
                .is_some_and(|text| word.is_match(text))
        })
    })
}
