//! Outlines: as much of a trace as its summary needs, straight from the bytes it came in.

use std::borrow::Cow;
use std::sync::Arc;

use super::decode::{empty_span, keep, push_attribute, push_link};
use super::reader::Reader;
use super::{SpanSlice, WireError};
use crate::{Attributes, Link, Resource, Span, SpanKind};

impl SpanSlice {
    /// The span as [`decode_outline`](super::decode_outline) gives it, still without attributes and
    /// links; its scope is 0.
    pub fn outline(&self, name: Arc<str>, resource_idx: u32) -> Span {
        Span {
            name,
            ..empty_span(self, resource_idx, 0)
        }
    }

    /// Of the attributes of a CLIENT or PRODUCER span those that have one of `keys`; none of others.
    /// `bytes` is what the span was read from.
    pub fn attributes(&self, bytes: &[u8], keys: &[&str]) -> Attributes {
        let mut attributes = Attributes::default();
        if matches!(self.kind, SpanKind::Client | SpanKind::Producer) {
            let message = Reader::within(bytes, self.message());
            keep(fill_attributes(&mut attributes, message, keys));
        }
        attributes
    }

    /// The span's links. `bytes` is what it was read from.
    pub fn links(&self, bytes: &[u8]) -> Vec<Link> {
        let mut links = Vec::new();
        if self.has_links {
            let message = Reader::within(bytes, self.message());
            keep(fill_links(&mut links, message));
        }
        links
    }
}

fn fill_attributes(
    attributes: &mut Attributes,
    message: Reader<'_>,
    keys: &[&str],
) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        if field.number == 9 {
            let message = field.message()?;
            let key = plain_key(field.bytes()?).or_else(|| key_of(message.clone()));
            if key.is_some_and(|key| keys.iter().any(|wanted| wanted.as_bytes() == key)) {
                push_attribute(attributes, message, 0);
            }
        }
    }
    Ok(())
}

fn fill_links(links: &mut Vec<Link>, message: Reader<'_>) -> Result<(), WireError> {
    for field in message {
        let field = field?;
        if field.number == 13 {
            push_link(links, field.message()?);
        }
    }
    Ok(())
}

/// A resource's outline.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceOutline {
    /// Its message and schema URL: outlines with the same key are one resource.
    pub key: (Vec<u8>, Vec<u8>),
    /// The resource, with nothing but the service's name.
    pub resource: Resource,
}

impl ResourceOutline {
    /// Reads what [`ExportRequest::write_resource`](super::ExportRequest::write_resource) writes.
    ///
    /// # Errors
    /// When it is something else.
    pub fn read(fields: &[u8]) -> Result<Self, WireError> {
        let key = key(Reader::new(fields))?;
        let resource = resource(&key);
        Ok(Self {
            key: (key.0.into_owned(), key.1.to_vec()),
            resource,
        })
    }
}

/// A resource's or scope's message and its schema URL, as sent.
pub(super) type Key<'a> = (Cow<'a, [u8]>, &'a [u8]);

/// The message in field 1 and the schema URL in field 3. A message sent in several pieces is the
/// pieces joined.
pub(super) fn key(message: Reader<'_>) -> Result<Key<'_>, WireError> {
    let mut key: Key<'_> = (Cow::Borrowed(&[]), &[]);
    for field in message {
        let field = field?;
        match field.number {
            1 if key.0.is_empty() => key.0 = Cow::Borrowed(field.bytes()?),
            1 => key.0.to_mut().extend_from_slice(field.bytes()?),
            3 => key.1 = field.bytes()?,
            _ => {}
        }
    }
    Ok(key)
}

pub(super) fn resource((message, _): &Key<'_>) -> Resource {
    let mut resource = Resource::default();
    for field in Reader::new(message) {
        match field {
            Ok(field) if field.number == 1 => {
                let Ok(message) = field.message() else { break };
                if key_of(message.clone()) == Some(b"service.name") {
                    push_attribute(&mut resource.attributes, message, 0);
                }
            }
            Ok(field) if field.number == 2 && field.uint32().is_err() => break,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    resource
}

/// Whether a resource's message names its service, with text that is not empty.
pub(super) fn names_service(message: Reader<'_>) -> bool {
    message
        .map_while(Result::ok)
        .filter(|field| field.number == 1)
        .filter_map(|field| field.message().ok())
        .any(|attribute| {
            key_of(attribute.clone()) == Some(b"service.name") && text_of(attribute).is_some()
        })
}

/// The text of a `KeyValue`'s value, when it is text that is not empty.
fn text_of(message: Reader<'_>) -> Option<&[u8]> {
    let value = message
        .map_while(Result::ok)
        .filter(|field| field.number == 2)
        .last()?
        .message()
        .ok()?;
    let text = value
        .map_while(Result::ok)
        .filter(|field| field.number == 1)
        .last()?
        .bytes()
        .ok()?;
    (!text.is_empty()).then_some(text)
}

/// The key of a `KeyValue` that is a key, then a value, both short, as nearly all are.
fn plain_key(message: &[u8]) -> Option<&[u8]> {
    let &[0x0a, key_len @ ..0x80, ref rest @ ..] = message else {
        return None;
    };
    let (key, rest) = rest.split_at_checked(usize::from(key_len))?;
    let &[0x12, value_len @ ..0x80, ref value @ ..] = rest else {
        return None;
    };
    (value.len() == usize::from(value_len)).then_some(key)
}

/// The key of a `KeyValue`, as far as it can be read.
fn key_of(message: Reader<'_>) -> Option<&[u8]> {
    let mut key = None;
    for field in message.map_while(Result::ok) {
        match field.number {
            1 => match field.bytes() {
                Ok(bytes) => key = Some(bytes),
                Err(_) => break,
            },
            2 if field.range().is_err() => break,
            _ => {}
        }
    }
    key
}
