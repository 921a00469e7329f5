//! Building a block.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use longpole_proto::TraceId;
use zstd::bulk::Compressor;

use super::bytes::{put_varint, zigzag};
use super::column::ColumnBuilder;
use super::shape::{Part, Step};
use super::template::{Place, Template};
use super::tokens::{Token, take_apart};
use super::{MAGIC, N_PARTS, ZSTD_LEVEL};

/// From this many spans on, a trace's parents are looked up in a table instead of one by one.
const TABLE_FROM_SPANS: usize = 32;

/// How many columns' memory is kept from one block to the next.
const SPARE_COLUMNS_MAX: usize = 256;

/// How many operations of a block have a template; what comes later is taken apart in full.
const TEMPLATES_MAX: usize = 1_024;

/// What is kept of a trace's fragment besides its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FragmentFacts {
    /// When its first span was received, nanoseconds since the epoch.
    pub(crate) first_received: u64,
    /// When its newest span was received.
    pub(crate) last_received: u64,
}

/// A span as a block takes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockSpan<'a> {
    /// Its [group](BlockBuilder::group).
    pub(crate) group: u32,
    /// The number of its operation, counted from 0: spans of one operation are expected to have the
    /// same fields, whatever an operation is. Not stored.
    pub(crate) operation: u32,
    /// Its message.
    pub(crate) message: &'a [u8],
}

/// A list of distinct byte strings.
#[derive(Default)]
struct Dictionary {
    entries: Vec<Vec<u8>>,
    by_entry: HashTable<u32>,
}

impl Dictionary {
    fn clear(&mut self) {
        self.entries.clear();
        self.by_entry.clear();
    }

    fn number(&mut self, entry: &[u8], hasher: &RandomState) -> u32 {
        let hash = hasher.hash_one(entry);
        let entries = &self.entries;
        if let Some(&number) = self
            .by_entry
            .find(hash, |&number| entries[number as usize] == entry)
        {
            return number;
        }
        let number = u32::try_from(self.entries.len()).expect("a block is far below 2^32 entries");
        self.entries.push(entry.to_vec());
        let entries = &self.entries;
        self.by_entry.insert_unique(hash, number, |&number| {
            hasher.hash_one(entries[number as usize].as_slice())
        });
        number
    }

    fn write(&self, to: &mut Vec<u8>) {
        put_varint(to, self.entries.len() as u64);
        for entry in &self.entries {
            put_varint(to, entry.len() as u64);
            to.extend_from_slice(entry);
        }
    }
}

/// A column's name and values.
pub(super) struct NamedColumn {
    pub(super) part: Part,
    pub(super) key: Vec<u8>,
    pub(super) values: ColumnBuilder,
    /// The column that followed this one last time: spans repeat themselves.
    next: u32,
}

/// The ids and times of spans, in the order in which their shapes name them.
#[derive(Default)]
struct IdsAndTimes {
    span_ids: Vec<u8>,
    /// Of the trace at hand.
    parents: Vec<u64>,
    times: Vec<u8>,
    /// What the trace's next time is counted from.
    start: u64,
    /// The first ID of the span at hand.
    id: Option<u64>,
}

impl IdsAndTimes {
    fn clear(&mut self) {
        self.span_ids.clear();
        self.times.clear();
    }

    fn begin_trace(&mut self) {
        self.parents.clear();
        self.start = 0;
    }

    fn begin_span(&mut self) {
        self.id = None;
    }

    fn span_id(&mut self, id: u64) {
        self.span_ids.extend_from_slice(&id.to_be_bytes());
        self.id.get_or_insert(id);
    }

    fn parent_id(&mut self, id: u64) {
        self.parents.push(id);
    }

    fn start(&mut self, start: u64) {
        self.time(start);
        self.start = start;
    }

    fn time(&mut self, time: u64) {
        put_varint(&mut self.times, zigzag(self.start, time));
    }
}

/// A block being built: traces in any order, each trace's spans in order of arrival.
pub(crate) struct BlockBuilder {
    hasher: RandomState,
    traces: Vec<u8>,
    n_traces: u64,
    n_spans: usize,
    groups: Dictionary,
    shapes: Dictionary,
    /// By operation.
    templates: Vec<Option<Template>>,
    columns: Vec<NamedColumn>,
    by_name: HashTable<u32>,
    ids_and_times: IdsAndTimes,
    outside_parents: Vec<u8>,
    shape_rows: Vec<u32>,
    group_rows: Vec<u32>,
    parent_rows: Vec<u32>,
    // What belongs to the trace at hand.
    trace_ids: Vec<u64>,
    trace_table: HashMap<u64, u32, RandomState>,
    // Kept to be filled again.
    shape: Vec<u8>,
    steps: Vec<Step>,
    tokens: Vec<Token>,
    places: Vec<Place>,
    last_column: u32,
    spare_columns: Vec<ColumnBuilder>,
    parts: [Vec<u8>; N_PARTS],
    zstd: Compressor<'static>,
}

/// A span's place among its trace's: 0 is none, 1 an ID from outside, then the position plus 2.
pub(super) const NO_PARENT: u32 = 0;
pub(super) const OUTSIDE_PARENT: u32 = 1;
pub(super) const FIRST_PARENT: u32 = 2;

impl BlockBuilder {
    /// An empty block.
    pub(crate) fn new() -> Self {
        let hasher = RandomState::default();
        Self {
            hasher: hasher.clone(),
            traces: Vec::new(),
            n_traces: 0,
            n_spans: 0,
            groups: Dictionary::default(),
            shapes: Dictionary::default(),
            templates: Vec::new(),
            columns: Vec::new(),
            by_name: HashTable::new(),
            ids_and_times: IdsAndTimes::default(),
            outside_parents: Vec::new(),
            shape_rows: Vec::new(),
            group_rows: Vec::new(),
            parent_rows: Vec::new(),
            trace_ids: Vec::new(),
            trace_table: HashMap::with_hasher(hasher),
            shape: Vec::new(),
            steps: Vec::new(),
            tokens: Vec::new(),
            places: Vec::new(),
            last_column: 0,
            spare_columns: Vec::new(),
            parts: Default::default(),
            zstd: Compressor::new(ZSTD_LEVEL).expect("zstd has this level"),
        }
    }

    /// Empties it, to be filled again without asking for memory again.
    pub(crate) fn clear(&mut self) {
        self.traces.clear();
        self.n_traces = 0;
        self.n_spans = 0;
        self.groups.clear();
        self.shapes.clear();
        self.templates.clear();
        self.by_name.clear();
        for column in self.columns.drain(..) {
            let mut values = column.values;
            if self.spare_columns.len() < SPARE_COLUMNS_MAX && values.clear() {
                self.spare_columns.push(values);
            }
        }
        self.ids_and_times.clear();
        self.outside_parents.clear();
        self.shape_rows.clear();
        self.group_rows.clear();
        self.parent_rows.clear();
    }

    /// The number of a group: the own fields of a `ResourceSpans` and of a `ScopeSpans`. Groups are
    /// numbered from 0 in order of first appearance.
    pub(crate) fn group(&mut self, resource: &[u8], scope: &[u8]) -> u32 {
        let length = u32::try_from(resource.len()).expect("a request is below 4 GiB");
        let entry = [&length.to_le_bytes(), resource, scope].concat();
        self.groups.number(&entry, &self.hasher)
    }

    /// The columns so far.
    pub(super) fn columns(&self) -> &[NamedColumn] {
        &self.columns
    }

    /// The own fields of the `ResourceSpans` of each group so far.
    pub(super) fn resources(&self) -> impl Iterator<Item = &[u8]> {
        self.groups.entries.iter().map(|entry| {
            let (length, rest) = entry
                .split_first_chunk()
                .expect("a group begins with a length");
            &rest[..u32::from_le_bytes(*length) as usize]
        })
    }

    /// How many spans each group has.
    pub(super) fn n_spans_by_group(&self) -> Vec<u64> {
        let mut counts = vec![0; self.groups.entries.len()];
        for &group in &self.group_rows {
            counts[group as usize] += 1;
        }
        counts
    }

    /// Appends a trace's spans.
    pub(crate) fn add_trace<'a>(
        &mut self,
        trace_id: TraceId,
        facts: FragmentFacts,
        spans: impl Iterator<Item = BlockSpan<'a>>,
    ) {
        self.trace_ids.clear();
        self.trace_table.clear();
        self.ids_and_times.begin_trace();
        let mut n_spans = 0_u64;
        for span in spans {
            self.group_rows.push(span.group);
            self.add_span(trace_id, &span);
            n_spans += 1;
        }
        self.link_parents();
        self.traces.extend_from_slice(trace_id.as_bytes());
        put_varint(&mut self.traces, n_spans);
        put_varint(&mut self.traces, facts.first_received);
        put_varint(
            &mut self.traces,
            facts.last_received.wrapping_sub(facts.first_received),
        );
        self.n_traces += 1;
    }

    fn add_span(&mut self, trace_id: TraceId, span: &BlockSpan<'_>) {
        self.ids_and_times.begin_span();
        let operation = span.operation as usize;
        let shape = self
            .add_expected(trace_id, operation, span.message)
            .unwrap_or_else(|| self.add_any(trace_id, operation, span.message));
        self.trace_ids.push(self.ids_and_times.id.unwrap_or(0));
        self.shape_rows.push(shape);
        self.n_spans += 1;
    }

    /// Adds a span that has the fields of an earlier one, and gives its shape.
    fn add_expected(&mut self, trace_id: TraceId, operation: usize, message: &[u8]) -> Option<u32> {
        let template = self.templates.get_mut(operation)?.as_mut()?;
        template.read(trace_id, message, &mut self.places)?;
        let shape = template.shape;
        let to = &mut self.ids_and_times;
        let eight = |start: usize| {
            let bytes = message[start..].first_chunk().expect("read before");
            *bytes
        };
        for ((step, last), &(start, end)) in template.steps().zip(&self.places) {
            let place = start as usize..end as usize;
            match step {
                Step::SpanId => to.span_id(u64::from_be_bytes(eight(place.start))),
                Step::ParentId => to.parent_id(u64::from_be_bytes(eight(place.start))),
                Step::Start => to.start(u64::from_le_bytes(eight(place.start))),
                Step::End | Step::EventTime => to.time(u64::from_le_bytes(eight(place.start))),
                Step::Attribute(column) | Step::Field(column) => {
                    let values = &mut self.columns[column as usize].values;
                    values.push_likely(&message[place], last, &self.hasher);
                }
                Step::TraceId | Step::Event | Step::EventEnd | Step::Message(_) => {}
            }
        }
        Some(shape)
    }

    /// Adds any span, and gives its shape.
    fn add_any(&mut self, trace_id: TraceId, operation: usize, message: &[u8]) -> u32 {
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.clear();
        self.steps.clear();
        self.last_column = 0;
        if take_apart(trace_id, message, &mut tokens).is_some() {
            for token in &tokens {
                self.apply(token, message);
            }
        } else {
            tokens.clear();
            let column = self.column(Part::Message, &[]);
            self.columns[column as usize]
                .values
                .push(message, &self.hasher);
            self.steps.push(Step::Message(column));
        }
        self.shape.clear();
        for step in &self.steps {
            step.put(&mut self.shape);
        }
        let shape = self.shapes.number(&self.shape, &self.hasher);
        if operation < TEMPLATES_MAX {
            if self.templates.len() <= operation {
                self.templates.resize_with(operation + 1, || None);
            }
            self.templates[operation] = Template::new(shape, &tokens, &self.steps, message);
        }
        self.tokens = tokens;
        shape
    }

    fn apply(&mut self, token: &Token, message: &[u8]) {
        let step = match token {
            Token::TraceId => Step::TraceId,
            Token::SpanId(id) => {
                self.ids_and_times.span_id(*id);
                Step::SpanId
            }
            Token::ParentId(id) => {
                self.ids_and_times.parent_id(*id);
                Step::ParentId
            }
            Token::Start(start) => {
                self.ids_and_times.start(*start);
                Step::Start
            }
            Token::End(end) => {
                self.ids_and_times.time(*end);
                Step::End
            }
            Token::Attribute { part, key, value } => {
                let column = self.column(*part, &message[key.clone()]);
                self.columns[column as usize]
                    .values
                    .push(&message[value.clone()], &self.hasher);
                Step::Attribute(column)
            }
            Token::Field { part, whole } => {
                let column = self.column(*part, &[]);
                self.columns[column as usize]
                    .values
                    .push(&message[whole.clone()], &self.hasher);
                Step::Field(column)
            }
            Token::Event => Step::Event,
            Token::EventTime(time) => {
                self.ids_and_times.time(*time);
                Step::EventTime
            }
            Token::EventEnd => Step::EventEnd,
        };
        self.steps.push(step);
    }

    /// The column of a part and key, made when it is new.
    fn column(&mut self, part: Part, key: &[u8]) -> u32 {
        let is = |column: &NamedColumn| column.part == part && column.key == key;
        if let Some(last) = self.columns.get(self.last_column as usize)
            && let Some(column) = self.columns.get(last.next as usize)
            && is(column)
        {
            self.last_column = last.next;
            return self.last_column;
        }
        let hash = self.hasher.hash_one((part, key));
        let columns = &self.columns;
        let found = self
            .by_name
            .find(hash, |&number| is(&columns[number as usize]))
            .copied();
        let number = found.unwrap_or_else(|| {
            let number =
                u32::try_from(self.columns.len()).expect("a block is far below 2^32 columns");
            self.columns.push(NamedColumn {
                part,
                key: key.to_vec(),
                values: self.spare_columns.pop().unwrap_or_default(),
                next: number,
            });
            let (columns, hasher) = (&self.columns, &self.hasher);
            self.by_name.insert_unique(hash, number, |&number| {
                let column = &columns[number as usize];
                hasher.hash_one((column.part, column.key.as_slice()))
            });
            number
        });
        self.columns[self.last_column as usize].next = number;
        self.last_column = number;
        number
    }

    /// Turns the parents of the trace at hand into places among its spans.
    fn link_parents(&mut self) {
        let by_table = self.trace_ids.len() >= TABLE_FROM_SPANS;
        if by_table {
            for (position, &id) in (0_u32..).zip(&self.trace_ids) {
                self.trace_table.entry(id).or_insert(position);
            }
        }
        for &parent in &self.ids_and_times.parents {
            let position = if by_table {
                self.trace_table.get(&parent).copied()
            } else {
                (0_u32..)
                    .zip(&self.trace_ids)
                    .find(|&(_, &id)| id == parent)
                    .map(|(at, _)| at)
            };
            self.parent_rows
                .push(position.map_or(OUTSIDE_PARENT, |at| at + FIRST_PARENT));
            if position.is_none() {
                self.outside_parents
                    .extend_from_slice(&parent.to_be_bytes());
            }
        }
    }

    /// The block's bytes; what it holds stays until it is [cleared](Self::clear).
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        for part in &mut self.parts {
            part.clear();
        }
        let [index, ids, times, rows, values] = &mut self.parts;
        put_varint(index, self.n_traces);
        put_varint(index, self.n_spans as u64);
        index.extend_from_slice(&self.traces);
        self.groups.write(index);
        self.shapes.write(index);
        put_varint(index, self.columns.len() as u64);
        for column in &self.columns {
            column.part.put(index);
            put_varint(index, column.key.len() as u64);
            index.extend_from_slice(&column.key);
        }

        put_varint(ids, self.ids_and_times.span_ids.len() as u64);
        ids.extend_from_slice(&self.ids_and_times.span_ids);
        ids.extend_from_slice(&self.outside_parents);

        times.extend_from_slice(&self.ids_and_times.times);

        put_rows(rows, &self.shape_rows);
        put_rows(rows, &self.group_rows);
        put_rows(rows, &self.parent_rows);
        for column in &self.columns {
            column.values.write(values, rows);
        }
        pack(&self.parts, &mut self.zstd)
    }
}

fn put_rows(to: &mut Vec<u8>, rows: &[u32]) {
    put_varint(to, rows.len() as u64);
    for &row in rows {
        put_varint(to, u64::from(row));
    }
}

/// The header and the parts, packed.
fn pack(parts: &[Vec<u8>; N_PARTS], zstd: &mut Compressor<'_>) -> Vec<u8> {
    let mut block = Vec::with_capacity(parts.iter().map(Vec::len).sum::<usize>() / 2);
    block.extend_from_slice(&MAGIC);
    block.extend_from_slice(&[0; 4 + 8 * N_PARTS]);
    let length = |len: usize| {
        u32::try_from(len)
            .expect("a block is far below 4 GiB")
            .to_le_bytes()
    };
    for (at, part) in parts.iter().enumerate() {
        let packed = zstd
            .compress(part)
            .expect("memory takes all that is written");
        let header = 8 + 8 * at;
        block[header..header + 4].copy_from_slice(&length(part.len()));
        block[header + 4..header + 8].copy_from_slice(&length(packed.len()));
        block.extend_from_slice(&packed);
    }
    let crc = crc32c::crc32c(&block[8..]);
    block[4..8].copy_from_slice(&crc.to_le_bytes());
    block
}
