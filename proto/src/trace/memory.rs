//! How much memory a trace takes.

use std::sync::Arc;

use super::Trace;
use crate::{Attribute, AttributeValue, Attributes, Event, Link, Resource, Scope, Span};

/// What the allocator adds to a text or list, about.
const BLOCK_BYTES: usize = 16;

/// The counts before an [`Arc`]'s value.
const ARC_BYTES: usize = 16;

impl Trace {
    /// How much memory it takes, in bytes: its lists and texts by their capacity, those that several
    /// share once, and 16 bytes more for each. What allocators round up is not counted; it makes a
    /// tenth or so. Walks all of it.
    pub fn memory_bytes(&self) -> usize {
        let spans: usize = self.spans.iter().map(of_span).sum();
        let resources: usize = self.resources.iter().map(|of| of_resource(of)).sum();
        let scopes: usize = self.scopes.iter().map(of_scope).sum();
        let services: usize = self.services.iter().map(of_text).sum();
        let shape = [
            of_list(&self.service_of),
            of_list(&self.parents),
            of_list(&self.attachments),
            of_list(&self.ends),
            of_list(&self.depths),
            of_list(&self.roots),
            // By ID, once somebody asks.
            self.spans.len() * size_of::<u32>(),
        ];
        let lists = [
            of_list(&self.spans),
            of_list(&self.resources),
            of_list(&self.scopes),
            of_list(&self.services),
        ];
        let known: usize = lists.into_iter().chain(shape).sum();
        size_of::<Self>() + known + spans + resources + scopes + services
    }
}

fn of_span(span: &Span) -> usize {
    let events: usize = span.events.iter().map(of_event).sum();
    let links: usize = span.links.iter().map(of_link).sum();
    // Of a name that spans share each counts its part.
    let name = (span.name.len() + ARC_BYTES + BLOCK_BYTES) / Arc::strong_count(&span.name).max(1);
    let own = [
        name,
        of_text(&span.trace_state),
        of_attributes(&span.attributes),
        of_list(&span.events),
        of_list(&span.links),
        of_text(&span.status.message),
    ];
    own.into_iter().sum::<usize>() + events + links
}

fn of_event(event: &Event) -> usize {
    of_text(&event.name) + of_attributes(&event.attributes)
}

fn of_link(link: &Link) -> usize {
    of_text(&link.trace_state) + of_attributes(&link.attributes)
}

fn of_resource(resource: &Resource) -> usize {
    let own = size_of::<Resource>() + ARC_BYTES + BLOCK_BYTES;
    own + of_attributes(&resource.attributes) + of_text(&resource.schema_url)
}

fn of_scope(scope: &Scope) -> usize {
    let texts = of_text(&scope.name) + of_text(&scope.version) + of_text(&scope.schema_url);
    texts + of_attributes(&scope.attributes)
}

fn of_attributes(attributes: &Attributes) -> usize {
    let mut n_bytes = of_list(&attributes.0);
    let mut values = Vec::new();
    for Attribute { key, value } in attributes {
        n_bytes += of_text(key);
        values.push(value);
        // Not by recursion: values may lie in values.
        while let Some(value) = values.pop() {
            n_bytes += match value {
                AttributeValue::String(text) => of_text(text),
                AttributeValue::Bytes(bytes) => of_list(bytes),
                AttributeValue::Array(inner) => {
                    values.extend(inner);
                    of_list(inner)
                }
                AttributeValue::Map(inner) => {
                    values.extend(inner.iter().map(|of| &of.value));
                    let keys: usize = inner.iter().map(|of| of_text(&of.key)).sum();
                    of_list(&inner.0) + keys
                }
                AttributeValue::Empty
                | AttributeValue::Bool(_)
                | AttributeValue::Int(_)
                | AttributeValue::Double(_) => 0,
            };
        }
    }
    n_bytes
}

fn of_text(text: &String) -> usize {
    of_capacity(text.capacity(), 1)
}

fn of_list<T>(list: &Vec<T>) -> usize {
    of_capacity(list.capacity(), size_of::<T>())
}

/// What a list takes; nothing when it has no room.
fn of_capacity(capacity: usize, bytes_each: usize) -> usize {
    match capacity * bytes_each {
        0 => 0,
        n_bytes => n_bytes + BLOCK_BYTES,
    }
}
