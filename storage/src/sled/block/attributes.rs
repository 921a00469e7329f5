//! The attributes of a block's spans, taken from its columns: each distinct value about once.

use std::borrow::Cow;
use std::collections::HashSet;

use longpole_proto::wire::reader::Reader;
use longpole_proto::wire::{decode_attribute, decode_value};
use longpole_proto::{Attribute, AttributeValue};

use super::BlockBuilder;
use super::shape::Part;

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
    pub(crate) fn attributes(
        &self,
        each: &mut dyn FnMut(&str, &mut dyn Iterator<Item = Value<'_>>),
    ) {
        for column in self.columns() {
            let values = column.values.iter();
            match column.part {
                Part::SpanAttribute | Part::EventAttribute => {
                    let key: Cow<'_, str> = String::from_utf8_lossy(&column.key);
                    each(&key, &mut values.map(value));
                }
                Part::SpanField(_) | Part::Message => {
                    values.for_each(|fields| span(fields, each));
                }
                Part::EventField(_) => values.for_each(|fields| nested(fields, 3, each)),
            }
        }
        let mut seen = HashSet::new();
        for resource in self.resources().filter(|resource| seen.insert(*resource)) {
            nested_in(resource, 1, 1, each);
        }
    }
}

/// Calls `each` with what a column's value is.
fn value(bytes: &[u8]) -> Value<'_> {
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
fn span(fields: &[u8], each: &mut dyn FnMut(&str, &mut dyn Iterator<Item = Value<'_>>)) {
    nested(fields, 9, each);
    nested_in(fields, 11, 3, each);
    nested_in(fields, 13, 4, each);
}

/// The attributes in field `attributes` of the messages in field `messages`.
fn nested_in(
    fields: &[u8],
    messages: u32,
    attributes: u32,
    each: &mut dyn FnMut(&str, &mut dyn Iterator<Item = Value<'_>>),
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
fn nested(
    fields: &[u8],
    attributes: u32,
    each: &mut dyn FnMut(&str, &mut dyn Iterator<Item = Value<'_>>),
) {
    for field in Reader::new(fields).map_while(Result::ok) {
        if field.number == attributes
            && let Ok(message) = field.bytes()
        {
            let Attribute { key, value } = decode_attribute(message);
            each(&key, &mut std::iter::once(Value::Any(value)));
        }
    }
}
