//! The attributes of a block's spans, taken from its columns: each distinct value about once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;

use longpole_proto::wire::reader::Reader;
use longpole_proto::wire::{decode_attribute, decode_value};
use longpole_proto::{Attribute, AttributeValue};

use super::shape::Part;
use super::{Block, BlockBuilder, Damage};

/// An attribute's value.
pub(crate) enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// Anything.
    Any(AttributeValue),
}

impl BlockBuilder {
    /// Calls `each` with the keys and values of all attributes of resources, spans, events and links.
    /// A key may come more than once, and so may a value.
    pub(crate) fn attributes(&self, each: &mut OfAttributes<'_>) {
        for column in self.columns() {
            of_column(column.part, &column.key, &mut column.values.iter(), each);
        }
        of_resources(self.resources(), each);
    }
}

impl Block<'_> {
    /// Which marks each of its fragments has: those that `mark` gives the keys and values of the
    /// attributes of its resources, spans, events and links, together. Equal ones are asked for about
    /// once.
    ///
    /// # Errors
    /// When the bytes are not a block as it was written.
    pub(crate) fn attribute_marks(
        &self,
        mark: &mut dyn FnMut(&str, &mut dyn Iterator<Item = Value<'_>>) -> u64,
    ) -> Result<Vec<u64>, Damage> {
        let mark = RefCell::new(mark);
        let together = |of: &mut dyn FnMut(&mut OfAttributes<'_>)| {
            let mut marks = 0;
            of(&mut |key, values| marks |= (*mark.borrow_mut())(key, values));
            marks
        };
        self.marks(
            &mut |part, key, value| {
                together(&mut |each| of_column(part, key, &mut std::iter::once(value), each))
            },
            &mut |resource| together(&mut |each| nested_in(resource, 1, 1, each)),
        )
    }
}

/// Takes a key and some of its values.
type OfAttributes<'f> = dyn FnMut(&str, &mut dyn Iterator<Item = Value<'_>>) + 'f;

fn of_column(
    part: Part,
    key: &[u8],
    values: &mut dyn Iterator<Item = &[u8]>,
    each: &mut OfAttributes<'_>,
) {
    match part {
        Part::SpanAttribute | Part::EventAttribute => {
            let key: Cow<'_, str> = String::from_utf8_lossy(key);
            each(&key, &mut values.map(value));
        }
        Part::SpanField(_) | Part::Message => {
            values.for_each(|fields| span(fields, each));
        }
        Part::EventField(_) => values.for_each(|fields| nested(fields, 3, each)),
    }
}

fn of_resources<'a>(resources: impl Iterator<Item = &'a [u8]>, each: &mut OfAttributes<'_>) {
    let mut seen = HashSet::new();
    for resource in resources.filter(|resource| seen.insert(*resource)) {
        nested_in(resource, 1, 1, each);
    }
}

/// Calls `each` with what a column's value is.
pub(super) fn value(bytes: &[u8]) -> Value<'_> {
    // Nearly all are short texts.
    if let [0x0a, len @ ..0x80, text @ ..] = bytes
        && text.len() == usize::from(*len)
        && let Ok(text) = str::from_utf8(text)
    {
        return Value::Text(text);
    }
    Value::Any(decode_value(bytes))
}

/// The attributes in some of a span's fields: its own, and those of its events and links.
fn span(fields: &[u8], each: &mut OfAttributes<'_>) {
    nested(fields, 9, each);
    nested_in(fields, 11, 3, each);
    nested_in(fields, 13, 4, each);
}

/// The attributes in field `attributes` of the messages in field `messages`.
pub(super) fn nested_in(
    fields: &[u8],
    messages: u32,
    attributes: u32,
    each: &mut OfAttributes<'_>,
) {
    for field in Reader::new(fields).map_while(Result::ok) {
        if field.number == messages
            && let Ok(message) = field.bytes()
        {
            nested(message, attributes, each);
        }
    }
}

/// The attributes in field `attributes`.
fn nested(fields: &[u8], attributes: u32, each: &mut OfAttributes<'_>) {
    for field in Reader::new(fields).map_while(Result::ok) {
        if field.number == attributes
            && let Ok(message) = field.bytes()
        {
            let Attribute { key, value } = decode_attribute(message);
            each(&key, &mut std::iter::once(Value::Any(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use longpole_analysis::query::testing::any_searchable_trace;
    use longpole_proto::wire::{ExportRequest, encode_traces};
    use longpole_proto::{Attributes, Trace};
    use proptest::prelude::*;

    use super::super::{BlockSpan, FragmentFacts};
    use super::*;

    fn block_of(traces: &[Trace]) -> BlockBuilder {
        let mut builder = BlockBuilder::new();
        for trace in traces {
            let request = ExportRequest::parse(encode_traces(trace).into()).expect("a request");
            let by_trace = request.by_trace();
            for spans in by_trace.traces() {
                let spans: Vec<_> = spans
                    .spans()
                    .map(|span| {
                        let (mut resource, mut scope) = (Vec::new(), Vec::new());
                        by_trace.request().write_resource(span, &mut resource);
                        by_trace.request().write_scope(span, &mut scope);
                        BlockSpan {
                            group: builder.group(&resource, &scope),
                            operation: 0,
                            message: &by_trace.request().bytes()[span.message()],
                        }
                    })
                    .collect();
                builder.add_trace(trace.id(), FragmentFacts::default(), spans.into_iter());
            }
        }
        builder
    }

    /// Each attribute as the text of its key and of its value.
    fn found(trace: &Trace) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        block_of(std::slice::from_ref(trace)).attributes(&mut |key, values| {
            found.extend(values.map(|value| (key.to_owned(), text(&value))));
        });
        found
    }

    fn text(value: &Value<'_>) -> String {
        match value {
            Value::Text(text) => format!("{:?}", AttributeValue::String((*text).to_owned())),
            Value::Any(value) => format!("{value:?}"),
        }
    }

    proptest! {
        #[test]
        fn marks_say_which_trace_has_what(
            traces in prop::collection::vec(any_searchable_trace(8), 1..5),
        ) {
            let sets: Vec<_> = traces.iter().map(found).collect();
            let asked: Vec<_> = sets.iter().flatten().take(64).collect();
            let bytes = block_of(&traces).finish();
            let block = Block::open(&bytes).expect("a block");
            let marks = block.attribute_marks(&mut |key, values| {
                let mut marks = 0;
                for value in values {
                    let found = (key.to_owned(), text(&value));
                    for (bit, asked) in asked.iter().enumerate() {
                        marks |= u64::from(**asked == found) << bit;
                    }
                }
                marks
            });
            let marks = marks.expect("a block");
            prop_assert_eq!(marks.len(), traces.len());
            for (marks, set) in marks.iter().zip(&sets) {
                for (bit, asked) in asked.iter().enumerate() {
                    prop_assert_eq!(marks >> bit & 1 == 1, set.contains(*asked), "{:?}", asked);
                }
            }
        }

        #[test]
        fn every_attribute_is_there_and_no_other(trace in any_searchable_trace(12)) {
            let mut expected = BTreeSet::new();
            let mut expect = |attributes: &Attributes| {
                for Attribute { key, value } in attributes {
                    expected.insert((key.clone(), format!("{value:?}")));
                }
            };
            for (at, span) in trace.spans().iter().enumerate() {
                expect(&span.attributes);
                expect(&trace.resource(at).attributes);
                span.events.iter().for_each(|event| expect(&event.attributes));
                span.links.iter().for_each(|link| expect(&link.attributes));
            }
            prop_assert_eq!(found(&trace), expected);
        }
    }
}
