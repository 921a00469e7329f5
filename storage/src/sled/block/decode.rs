//! Reading a block back, one trace or all.

use longpole_proto::TraceId;

use super::bytes::{Cursor, put_varint, unzigzag};
use super::column::{Column, Rows};
use super::encode::{FIRST_PARENT, FragmentFacts, NO_PARENT, OUTSIDE_PARENT};
use super::shape::{Part, Step, steps};
use super::{Damage, MAGIC, N_PARTS, PART_BYTES_MAX};
use crate::sled::checked::decompress;

/// A trace's fragment in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Its trace.
    pub(crate) trace_id: TraceId,
    /// How many spans the block has of it.
    pub(crate) n_spans: usize,
    /// Its facts.
    pub(crate) facts: FragmentFacts,
    /// How many spans of the block stand before it.
    first_span: usize,
}

/// Takes what a column holds, its key, and one of its values; gives the value's marks.
pub(super) type OfValue<'f> = dyn FnMut(Part, &[u8], &[u8]) -> u64 + 'f;

/// A block whose bytes were checked; parts are decompressed when they are needed.
pub(crate) struct Block<'a> {
    packed: [(usize, &'a [u8]); N_PARTS],
    fragments: Vec<Fragment>,
    index: Vec<u8>,
    /// Where in the index the dictionaries begin.
    dictionaries: usize,
    n_spans: usize,
}

impl<'a> Block<'a> {
    /// Checks a block and reads which traces it has.
    ///
    /// # Errors
    /// When the bytes are not a block as it was written.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut cursor = Cursor::new(bytes);
        if cursor.array()? != MAGIC {
            return Err(Damage("it does not begin as a block"));
        }
        if u32::from_le_bytes(cursor.array()?) != crc32c::crc32c(&bytes[8..]) {
            return Err(Damage("the checksum is another"));
        }
        let mut lengths = [(0, 0); N_PARTS];
        for (raw, packed) in &mut lengths {
            *raw = u32::from_le_bytes(cursor.array()?) as usize;
            *packed = u32::from_le_bytes(cursor.array()?) as usize;
        }
        let mut packed: [(usize, &[u8]); N_PARTS] = [(0, &[]); N_PARTS];
        for (part, (raw, length)) in packed.iter_mut().zip(lengths) {
            *part = (raw, cursor.take(length)?);
        }
        let index = unpack(packed[0])?;
        let mut cursor = Cursor::new(&index);
        let n_traces = cursor.count()?;
        let n_spans = usize::try_from(cursor.varint()?).map_err(|_| Damage("a count"))?;
        let mut fragments = Vec::with_capacity(n_traces);
        let mut first_span = 0_usize;
        for _ in 0..n_traces {
            let trace_id = TraceId::new(cursor.array()?).ok_or(Damage("a trace ID is zero"))?;
            let n_spans = usize::try_from(cursor.varint()?).map_err(|_| Damage("a count"))?;
            let first_received = cursor.varint()?;
            let last_received = first_received.wrapping_add(cursor.varint()?);
            fragments.push(Fragment {
                trace_id,
                n_spans,
                facts: FragmentFacts {
                    first_received,
                    last_received,
                },
                first_span,
            });
            first_span = first_span.checked_add(n_spans).ok_or(Damage("a count"))?;
        }
        if first_span != n_spans {
            return Err(Damage("its traces have other spans than it has"));
        }
        let dictionaries = index.len() - cursor.rest();
        Ok(Self {
            packed,
            fragments,
            index,
            dictionaries,
            n_spans,
        })
    }

    /// Which traces it has, in the order they were added.
    pub(crate) fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    /// The traces it has of those that are wanted, each with its spans as [`Self::traces`] gives them.
    ///
    /// # Errors
    /// As [`Self::traces`].
    pub(crate) fn traces_of(
        &self,
        is_wanted: impl Fn(TraceId) -> bool,
    ) -> Result<Vec<(TraceId, Vec<u8>)>, Damage> {
        let wanted: Vec<Fragment> = self
            .fragments
            .iter()
            .filter(|fragment| is_wanted(fragment.trace_id))
            .copied()
            .collect();
        let trace_ids = wanted.iter().map(|fragment| fragment.trace_id);
        Ok(trace_ids.zip(self.traces(&wanted)?).collect())
    }

    /// How many columns it has: at least one for each name of an attribute.
    ///
    /// # Errors
    /// When the bytes are not a block as it was written.
    pub(crate) fn n_columns(&self) -> Result<usize, Damage> {
        Ok(self.dictionaries()?.n_columns)
    }

    /// What the index has behind its fragments.
    fn dictionaries(&self) -> Result<Dictionaries<'_>, Damage> {
        let mut index = Cursor::new(&self.index[self.dictionaries..]);
        Ok(Dictionaries {
            groups: dictionary(&mut index)?,
            shapes: dictionary(&mut index)?,
            n_columns: index.count()?,
            columns: index,
        })
    }

    /// The rows of all spans, which stand before those of the columns.
    fn span_rows(&self, of: &Dictionaries<'_>, rows: &mut Cursor<'_>) -> Result<SpanRows, Damage> {
        let rows = SpanRows {
            shapes: row_numbers(rows, of.shapes.len())?,
            groups: row_numbers(rows, of.groups.len())?,
            parents: row_numbers(rows, usize::MAX)?,
        };
        if rows.shapes.len() != self.n_spans || rows.groups.len() != self.n_spans {
            return Err(Damage("its spans have no shape or group"));
        }
        Ok(rows)
    }

    /// For each of its fragments the marks that `of_value` gives the values of its spans, by column, and
    /// `of_resource` the own fields of their `ResourceSpans`: all together. Each distinct value is
    /// looked at once; nothing is put together from them.
    ///
    /// # Errors
    /// When the bytes are not a block as it was written.
    pub(super) fn marks(
        &self,
        of_value: &mut OfValue<'_>,
        of_resource: &mut dyn FnMut(&[u8]) -> u64,
    ) -> Result<Vec<u64>, Damage> {
        let rows = unpack(self.packed[3])?;
        let values = unpack(self.packed[4])?;
        let mut rows = Cursor::new(&rows);
        let of = self.dictionaries()?;
        let of_spans = self.span_rows(&of, &mut rows)?;
        let Dictionaries {
            groups,
            shapes,
            n_columns,
            columns: mut index,
        } = of;
        let shapes = shapes.into_iter().map(|shape| steps(shape, n_columns));
        let shapes = shapes.collect::<Result<Vec<_>, Damage>>()?;
        let of_groups = groups.into_iter();
        let of_groups = of_groups.map(|group| Ok(of_resource(split_group(group)?.0)));
        let of_groups = of_groups.collect::<Result<Vec<u64>, Damage>>()?;
        let spans = |fragment: &Fragment| {
            let first = fragment.first_span;
            first..first + fragment.n_spans
        };
        let of_fragment = |fragment| {
            let rows = of_spans.groups[spans(fragment)].iter();
            rows.fold(0, |marks, &group| marks | of_groups[group as usize])
        };
        let mut marks: Vec<u64> = self.fragments.iter().map(of_fragment).collect();
        let mut values = Cursor::new(&values);
        for number in 0..n_columns {
            let (part, key) = (Part::read(&mut index)?, prefixed(&mut index)?);
            let column = Column::read(&mut values, &mut rows)?;
            let of_values: Vec<u64> = column
                .values()
                .map(|value| of_value(part, key, value))
                .collect();
            if of_values.iter().all(|&marks| marks == 0) {
                continue;
            }
            let uses = |steps: &Vec<Step>| {
                let columns = steps.iter().map(|step| step.column());
                columns.filter(|&column| column == Some(number)).count()
            };
            let uses: Vec<usize> = shapes.iter().map(uses).collect();
            let mut rows = column.rows_from(0)?;
            for (fragment, marks) in self.fragments.iter().zip(&mut marks) {
                for &shape in &of_spans.shapes[spans(fragment)] {
                    for _ in 0..uses[shape as usize] {
                        *marks |= of_values[rows.next_number()? as usize];
                    }
                }
            }
        }
        Ok(marks)
    }

    /// The spans of some of its fragments, each as an OTLP `TracesData` message.
    ///
    /// # Errors
    /// When the bytes are not a block as it was written.
    pub(crate) fn traces(&self, fragments: &[Fragment]) -> Result<Vec<Vec<u8>>, Damage> {
        let ids = unpack(self.packed[1])?;
        let times = unpack(self.packed[2])?;
        let rows = unpack(self.packed[3])?;
        let values = unpack(self.packed[4])?;

        let mut rows = Cursor::new(&rows);
        let of = self.dictionaries()?;
        let of_spans = self.span_rows(&of, &mut rows)?;
        let Dictionaries {
            groups,
            shapes,
            n_columns,
            columns: mut index,
        } = of;
        let names = (0..n_columns)
            .map(|_| Ok((Part::read(&mut index)?, prefixed(&mut index)?)))
            .collect::<Result<Vec<_>, Damage>>()?;
        let shapes = shapes
            .into_iter()
            .map(|shape| Shape::new(steps(shape, n_columns)?))
            .collect::<Result<Vec<_>, Damage>>()?;

        let mut ids = Cursor::new(&ids);
        let n_id_bytes = ids.count()?;
        let span_ids = ids.take(n_id_bytes)?;
        let outside = ids;

        let mut values = Cursor::new(&values);
        let columns = (0..n_columns)
            .map(|_| Column::read(&mut values, &mut rows))
            .collect::<Result<Vec<_>, Damage>>()?;
        let table = Table {
            names: &names,
            shapes: &shapes,
            columns: &columns,
            groups: &groups,
            shape_rows: &of_spans.shapes,
            group_rows: &of_spans.groups,
            parent_rows: &of_spans.parents,
            span_ids,
            outside,
            times: Cursor::new(&times),
        };
        table.traces(fragments)
    }
}

/// What the spans of a block name.
struct Dictionaries<'a> {
    groups: Vec<&'a [u8]>,
    shapes: Vec<&'a [u8]>,
    n_columns: usize,
    /// The columns' parts and keys.
    columns: Cursor<'a>,
}

/// What each span of a block has.
struct SpanRows {
    shapes: Vec<u32>,
    groups: Vec<u32>,
    parents: Vec<u32>,
}

fn unpack((raw_len, packed): (usize, &[u8])) -> Result<Vec<u8>, Damage> {
    if raw_len > PART_BYTES_MAX {
        return Err(Damage("a part is too large"));
    }
    match decompress(packed, raw_len) {
        Ok(raw) if raw.len() == raw_len => Ok(raw),
        _ => Err(Damage("a part does not decompress")),
    }
}

fn prefixed<'a>(from: &mut Cursor<'a>) -> Result<&'a [u8], Damage> {
    let len = from.count()?;
    from.take(len)
}

fn dictionary<'a>(from: &mut Cursor<'a>) -> Result<Vec<&'a [u8]>, Damage> {
    let n_entries = from.count()?;
    (0..n_entries).map(|_| prefixed(from)).collect()
}

fn row_numbers(from: &mut Cursor<'_>, below: usize) -> Result<Vec<u32>, Damage> {
    let n_rows = from.count()?;
    (0..n_rows)
        .map(|_| match u32::try_from(from.varint()?) {
            Ok(row) if (row as usize) < below => Ok(row),
            _ => Err(Damage("a row names nothing")),
        })
        .collect()
}

/// A shape, and what of the block a span of it uses up.
struct Shape {
    steps: Vec<Step>,
    n_ids: usize,
    n_parents: usize,
    n_times: usize,
}

impl Shape {
    fn new(steps: Vec<Step>) -> Result<Self, Damage> {
        let n = |wanted: &[Step]| steps.iter().filter(|step| wanted.contains(step)).count();
        let mut in_event = false;
        for step in &steps {
            match step {
                Step::Event if in_event => return Err(Damage("an event in an event")),
                Step::EventEnd | Step::EventTime if !in_event => {
                    return Err(Damage("an event that did not begin"));
                }
                Step::Event => in_event = true,
                Step::EventEnd => in_event = false,
                _ => {}
            }
        }
        if in_event {
            return Err(Damage("an event that does not end"));
        }
        Ok(Self {
            n_ids: n(&[Step::SpanId]),
            n_parents: n(&[Step::ParentId]),
            n_times: n(&[Step::Start, Step::End, Step::EventTime]),
            steps,
        })
    }
}

/// All of a block, decompressed.
struct Table<'t, 'a> {
    names: &'t [(Part, &'a [u8])],
    shapes: &'t [Shape],
    columns: &'t [Column<'a>],
    groups: &'t [&'a [u8]],
    shape_rows: &'t [u32],
    group_rows: &'t [u32],
    parent_rows: &'t [u32],
    span_ids: &'t [u8],
    outside: Cursor<'t>,
    times: Cursor<'t>,
}

/// Where the next span's values are.
struct Position<'t, 'a> {
    /// How many spans stand before it.
    span: usize,
    ids: usize,
    parents: usize,
    outside: Cursor<'t>,
    times: Cursor<'t>,
    columns: Vec<Place<'t, 'a>>,
    start: u64,
}

/// Where in a column that is.
#[derive(Default)]
struct Place<'t, 'a> {
    /// How many rows the spans before it use.
    n_rows: usize,
    /// Made when a row is read first; may still stand where the one before was.
    rows: Option<Rows<'t, 'a>>,
}

impl<'t, 'a> Table<'t, 'a> {
    /// The spans of some fragments. Walks the block once when they stand in its order, so that many of
    /// them, or many columns, do not cost their product.
    fn traces(&self, fragments: &[Fragment]) -> Result<Vec<Vec<u8>>, Damage> {
        let mut at = self.begin();
        fragments
            .iter()
            .map(|fragment| {
                if fragment.first_span < at.span {
                    at = self.begin();
                }
                self.skip_to(fragment.first_span, &mut at)?;
                self.trace(fragment, &mut at)
            })
            .collect()
    }

    fn shape(&self, span: usize) -> &'t Shape {
        &self.shapes[self.shape_rows[span] as usize]
    }

    /// The position before the first span.
    fn begin(&self) -> Position<'t, 'a> {
        Position {
            span: 0,
            ids: 0,
            parents: 0,
            outside: self.outside.clone(),
            times: self.times.clone(),
            columns: self.columns.iter().map(|_| Place::default()).collect(),
            start: 0,
        }
    }

    /// Leaves out what the spans before one use up.
    fn skip_to(&self, span: usize, at: &mut Position<'t, 'a>) -> Result<(), Damage> {
        if at.span == span {
            return Ok(());
        }
        let mut n_of_shape = vec![0_usize; self.shapes.len()];
        for &shape in &self.shape_rows[at.span..span] {
            n_of_shape[shape as usize] += 1;
        }
        let (mut n_parents, mut n_times) = (0, 0);
        for (shape, &n) in self.shapes.iter().zip(&n_of_shape).filter(|&(_, &n)| n > 0) {
            at.ids += n * shape.n_ids;
            n_parents += n * shape.n_parents;
            n_times += n * shape.n_times;
            for column in shape.steps.iter().filter_map(|step| step.column()) {
                at.columns[column].n_rows += n;
            }
        }
        let parents = self
            .parent_rows
            .get(at.parents..at.parents + n_parents)
            .ok_or(Damage("its spans have too few parents"))?;
        let n_outside = parents.iter().filter(|&&row| row == OUTSIDE_PARENT).count();
        at.parents += n_parents;
        at.outside.take(n_outside * 8)?;
        at.times.skip_varints(n_times)?;
        at.span = span;
        Ok(())
    }

    /// A column's next value.
    fn value(&self, column: usize, at: &mut Position<'t, 'a>) -> Result<&'a [u8], Damage> {
        let Place { n_rows, rows } = &mut at.columns[column];
        let rows = match rows {
            Some(rows) => {
                rows.skip_to(*n_rows)?;
                rows
            }
            None => rows.insert(self.columns[column].rows_from(*n_rows)?),
        };
        *n_rows += 1;
        rows.next()
    }

    /// The spans of a fragment, which begins here.
    fn trace(&self, fragment: &Fragment, at: &mut Position<'t, 'a>) -> Result<Vec<u8>, Damage> {
        let spans = fragment.first_span..fragment.first_span + fragment.n_spans;
        at.start = 0;
        // The IDs of its spans, by place: what parents name.
        let mut place = at.ids;
        let own_ids = spans
            .clone()
            .map(|span| {
                let n_ids = self.shape(span).n_ids;
                let id = if n_ids == 0 { [0; 8] } else { self.id(place)? };
                place += n_ids;
                Ok(id)
            })
            .collect::<Result<Vec<[u8; 8]>, Damage>>()?;

        let (mut traces_data, mut scope_spans, mut message) = (Vec::new(), Vec::new(), Vec::new());
        let mut span = spans.start;
        while span < spans.end {
            let group = self.group_rows[span];
            let (resource, scope) = split_group(self.groups[group as usize])?;
            scope_spans.clear();
            scope_spans.extend_from_slice(scope);
            while span < spans.end && self.group_rows[span] == group {
                message.clear();
                self.write_span(
                    fragment.trace_id,
                    &own_ids,
                    self.shape(span),
                    at,
                    &mut message,
                )?;
                put_message(&mut scope_spans, 2, &message);
                span += 1;
            }
            let len = resource.len() + 1 + varint_len(scope_spans.len()) + scope_spans.len();
            traces_data.push(1 << 3 | 2);
            put_varint(&mut traces_data, len as u64);
            traces_data.extend_from_slice(resource);
            put_message(&mut traces_data, 2, &scope_spans);
        }
        Ok(traces_data)
    }

    fn id(&self, place: usize) -> Result<[u8; 8], Damage> {
        self.span_ids
            .get(place * 8..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .ok_or(Damage("its spans have too few ids"))
    }

    fn write_span(
        &self,
        trace_id: TraceId,
        own_ids: &[[u8; 8]],
        shape: &Shape,
        at: &mut Position<'t, 'a>,
        to: &mut Vec<u8>,
    ) -> Result<(), Damage> {
        let mut event_from = 0;
        let time =
            |at: &mut Position<'t, 'a>| Ok::<u64, Damage>(unzigzag(at.start, at.times.varint()?));
        for &step in &shape.steps {
            let value = match step.column() {
                Some(column) => self.value(column, at)?,
                None => &[],
            };
            match step {
                Step::TraceId => put_message(to, 1, trace_id.as_bytes()),
                Step::SpanId => {
                    put_message(to, 2, &self.id(at.ids)?);
                    at.ids += 1;
                }
                Step::ParentId => {
                    let id = self.parent(own_ids, at)?;
                    put_message(to, 4, &id);
                }
                Step::Start => {
                    at.start = time(at)?;
                    put_fixed64(to, 7, at.start);
                }
                Step::End => put_fixed64(to, 8, time(at)?),
                Step::Attribute(column) => {
                    let (part, key) = self.names[column as usize];
                    let field = if part == Part::EventAttribute { 3 } else { 9 };
                    put_attribute(to, field, key, value);
                }
                Step::Field(_) | Step::Message(_) => to.extend_from_slice(value),
                Step::Event => event_from = to.len(),
                Step::EventTime => put_fixed64(to, 1, time(at)?),
                Step::EventEnd => {
                    let event = to.split_off(event_from);
                    put_message(to, 11, &event);
                }
            }
        }
        at.span += 1;
        Ok(())
    }

    fn parent(&self, own_ids: &[[u8; 8]], at: &mut Position<'t, 'a>) -> Result<[u8; 8], Damage> {
        let row = *self
            .parent_rows
            .get(at.parents)
            .ok_or(Damage("its spans have too few parents"))?;
        at.parents += 1;
        match row {
            NO_PARENT => Err(Damage("a parent is none")),
            OUTSIDE_PARENT => at.outside.array(),
            row => own_ids
                .get((row - FIRST_PARENT) as usize)
                .copied()
                .ok_or(Damage("a parent is not in its trace")),
        }
    }
}

/// A group's own fields of `ResourceSpans` and of `ScopeSpans`.
fn split_group(group: &[u8]) -> Result<(&[u8], &[u8]), Damage> {
    let mut cursor = Cursor::new(group);
    let len = u32::from_le_bytes(cursor.array()?) as usize;
    let resource = cursor.take(len)?;
    Ok((resource, cursor.take_rest()))
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn put_message(to: &mut Vec<u8>, field: u8, message: &[u8]) {
    to.push(field << 3 | 2);
    put_varint(to, message.len() as u64);
    to.extend_from_slice(message);
}

fn put_fixed64(to: &mut Vec<u8>, field: u8, number: u64) {
    to.push(field << 3 | 1);
    to.extend_from_slice(&number.to_le_bytes());
}

fn put_attribute(to: &mut Vec<u8>, field: u8, key: &[u8], value: &[u8]) {
    let len = 2 + varint_len(key.len()) + key.len() + varint_len(value.len()) + value.len();
    to.push(field << 3 | 2);
    put_varint(to, len as u64);
    put_message(to, 1, key);
    put_message(to, 2, value);
}
