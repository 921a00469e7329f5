//! The resources, scopes and operations of a block's spans, each looked at once however many spans
//! share it.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use longpole_proto::Resource;
use longpole_proto::wire::{ResourceOutline, SpanSlice};

use crate::StorageError;
use crate::sled::block::BlockBuilder;
use crate::sled::received::Received;

/// A `ScopeSpans` of a request: where the request lies, and the scope's index in it.
type Place = (usize, u32);

/// The groups of a block being built, and the outlines of their resources.
#[derive(Default)]
pub(super) struct Groups {
    /// By place. Good as long as the block's requests are in memory.
    by_place: HashMap<Place, u32, RandomState>,
    /// By group: its resource.
    resource_of: Vec<u32>,
    resources: Vec<Arc<Resource>>,
    by_key: HashMap<(Vec<u8>, Vec<u8>), u32, RandomState>,
    /// By resource: the last trace that had it, and its index there.
    in_trace: Vec<(u32, u32)>,
    trace_no: u32,
    operations: Vec<Operation>,
    by_name: HashTable<u32>,
    hasher: RandomState,
}

/// What spans of one group and name have in common.
struct Operation {
    group: u32,
    name_bytes: Vec<u8>,
    name: Arc<str>,
}

impl Groups {
    /// Forgets everything, for another block.
    pub(super) fn clear(&mut self) {
        self.by_place.clear();
        self.resource_of.clear();
        self.resources.clear();
        self.by_key.clear();
        self.in_trace.clear();
        self.trace_no = 0;
        self.operations.clear();
        self.by_name.clear();
    }

    /// Begins a trace.
    pub(super) fn begin_trace(&mut self) {
        self.trace_no += 1;
    }

    /// The group of a span.
    ///
    /// # Errors
    /// When its resource is no message.
    pub(super) fn of(
        &mut self,
        request: &Arc<Received>,
        span: &SpanSlice,
        builder: &mut BlockBuilder,
    ) -> Result<u32, StorageError> {
        let place = (Arc::as_ptr(request).addr(), span.scope_idx());
        if let Some(&group) = self.by_place.get(&place) {
            return Ok(group);
        }
        let (mut resource, mut scope) = (Vec::new(), Vec::new());
        request
            .by_trace
            .request()
            .write_resource(span, &mut resource);
        request.by_trace.request().write_scope(span, &mut scope);
        let group = builder.group(&resource, &scope);
        if group as usize == self.resource_of.len() {
            let number = self.resource(&resource)?;
            self.resource_of.push(number);
        }
        self.by_place.insert(place, group);
        Ok(group)
    }

    fn resource(&mut self, fields: &[u8]) -> Result<u32, StorageError> {
        let ResourceOutline { key, resource } =
            ResourceOutline::read(fields).map_err(|error| StorageError::Damaged {
                what: format!("a resource in memory: {error}"),
            })?;
        let next = u32::try_from(self.resources.len()).expect("a block is far below 2^32 groups");
        let number = *self.by_key.entry(key).or_insert(next);
        if number == next {
            self.resources.push(Arc::new(resource));
            self.in_trace.push((0, 0));
        }
        Ok(number)
    }

    /// A group's resource, as an index into those of the trace at hand.
    pub(super) fn resource_idx(&mut self, group: u32, of_trace: &mut Vec<Arc<Resource>>) -> u32 {
        let number = self.resource_of[group as usize] as usize;
        let (trace_no, resource_idx) = &mut self.in_trace[number];
        if *trace_no != self.trace_no {
            *trace_no = self.trace_no;
            *resource_idx =
                u32::try_from(of_trace.len()).expect("no more resources than a block has");
            of_trace.push(Arc::clone(&self.resources[number]));
        }
        *resource_idx
    }

    /// The number of the operation of that group and name, counted from 0 in order of appearance.
    pub(super) fn operation(&mut self, group: u32, name: &[u8]) -> u32 {
        let hash = self.hasher.hash_one((group, name));
        let is = |operation: &Operation| operation.group == group && operation.name_bytes == name;
        let found = self
            .by_name
            .find(hash, |&number| is(&self.operations[number as usize]));
        if let Some(&number) = found {
            return number;
        }
        let number = u32::try_from(self.operations.len()).expect("a block is far below 2^32 spans");
        self.operations.push(Operation {
            group,
            name_bytes: name.to_vec(),
            name: String::from_utf8_lossy(name).into(),
        });
        let (operations, hasher) = (&self.operations, &self.hasher);
        self.by_name.insert_unique(hash, number, |&number| {
            let operation = &operations[number as usize];
            hasher.hash_one((operation.group, operation.name_bytes.as_slice()))
        });
        number
    }

    /// An operation's name.
    pub(super) fn name(&self, operation: u32) -> Arc<str> {
        Arc::clone(&self.operations[operation as usize].name)
    }

    /// Service and name of every operation; some may be there more than once.
    pub(super) fn operations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.operations_from(0)
    }

    /// Those of the operations with this number and larger ones, by number.
    pub(super) fn operations_from(&self, first: usize) -> impl Iterator<Item = (&str, &str)> {
        self.operations[first..].iter().map(|operation| {
            let resource = self.resource_of[operation.group as usize];
            let service = self.resources[resource as usize].service_name();
            (service, &*operation.name)
        })
    }
}
