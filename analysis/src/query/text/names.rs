//! What fields are called: longpole's names, those of `TraceQL` for the same, and attributes.

use super::super::{Field, RequestField, Scope, SpanField};
use super::lexer::ends_word;
use super::literal::write_quoted;

/// Words that are no fields and, bare, no words to look for.
pub(super) const KEYWORDS: [&str; 8] =
    ["and", "or", "not", "exists", "some", "nil", "true", "false"];

/// `TraceQL`'s names of fields there are here under another.
const TRACEQL: [(&str, Field); 15] = [
    ("traceDuration", Field::Request(RequestField::Duration)),
    ("rootName", Field::Request(RequestField::RootName)),
    ("rootServiceName", Field::Request(RequestField::RootService)),
    ("trace:duration", Field::Request(RequestField::Duration)),
    ("trace:rootName", Field::Request(RequestField::RootName)),
    (
        "trace:rootService",
        Field::Request(RequestField::RootService),
    ),
    ("trace:id", Field::Request(RequestField::Id)),
    ("span:name", Field::Span(SpanField::Name)),
    ("span:kind", Field::Span(SpanField::Kind)),
    ("span:status", Field::Span(SpanField::Status)),
    ("span:statusMessage", Field::Span(SpanField::StatusMessage)),
    ("span:duration", Field::Span(SpanField::Duration)),
    ("span:id", Field::Span(SpanField::SpanId)),
    ("span:parentID", Field::Span(SpanField::ParentId)),
    ("event:name", Field::Span(SpanField::EventName)),
];

/// `TraceQL`'s names of what there is nothing of here.
const NOT_THERE: [&str; 12] = [
    "childCount",
    "span:childCount",
    "nestedSetLeft",
    "nestedSetRight",
    "nestedSetParent",
    "parent",
    "event:timeSinceStart",
    "link:traceID",
    "link:spanID",
    "instrumentation:name",
    "instrumentation:version",
    "trace:nestedSetParent",
];

/// What a bare word before an operator names.
///
/// # Errors
/// With what is wrong with it.
pub(super) fn field(word: &str) -> Result<Field, String> {
    if let Some(field) = intrinsics().find(|field| field.to_string() == word) {
        return Ok(field);
    }
    if let Some((_, field)) = TRACEQL.into_iter().find(|(name, _)| *name == word) {
        return Ok(field);
    }
    if NOT_THERE.contains(&word) {
        return Err(format!("longpole does not know TraceQL's {word}"));
    }
    if let Some(("span" | "trace" | "event" | "link" | "instrumentation", _)) = word.split_once(':')
    {
        return Err(format!(
            "expected a field, not {word:?}: there is no such one"
        ));
    }
    if word.starts_with("parent.") {
        return Err(format!(
            "longpole does not know TraceQL's {word}: write {{ … }} > {{ … }}"
        ));
    }
    if let Some(name) = word.strip_prefix("trace.") {
        let known: Vec<&str> = RequestField::ALL.iter().map(|field| field.name()).collect();
        return Err(format!(
            "expected a field of the request, not trace.{name}: there are {}",
            known.join(", ")
        ));
    }
    let (scope, key) = match word.split_once('.') {
        Some((scope, key)) => match Scope::ALL.into_iter().find(|of| of.name() == scope) {
            Some(scope) => (scope, key),
            None => (Scope::Any, word),
        },
        None => (Scope::Any, word),
    };
    if key.is_empty() {
        return Err(format!("expected the name of an attribute behind {word:?}"));
    }
    Ok(Field::attribute(scope, key))
}

fn intrinsics() -> impl Iterator<Item = Field> {
    let of_span = SpanField::ALL.into_iter().map(Field::Span);
    of_span.chain(RequestField::ALL.into_iter().map(Field::Request))
}

/// Writes a field so that it is read back.
pub(super) fn write(to: &mut String, field: &Field) {
    let Field::Attribute { scope, key } = field else {
        to.push_str(&field.to_string());
        return;
    };
    let is_plain = !key.is_empty() && !key.contains(ends_word) && !key.contains('\\');
    let reads_back = |text: &str| self::field(text).as_ref() == Ok(field);
    if is_plain && *scope == Scope::Any && !KEYWORDS.contains(&key.as_str()) && reads_back(key) {
        to.push_str(key);
        return;
    }
    to.push_str(scope.name());
    to.push('.');
    if is_plain {
        to.push_str(key);
    } else {
        write_quoted(to, key);
    }
}
