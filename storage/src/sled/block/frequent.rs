//! The attributes that most of a block's spans have, and their most frequent values, counted in its
//! columns.

use std::cmp::Reverse;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use longpole_analysis::query::canonical_texts;

use super::BlockBuilder;
use super::attributes::{Value, nested_in, value};
use super::column::ColumnBuilder;
use super::shape::Part;

/// The longest name and value that is counted, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 128;

/// How many of a block's names are counted.
const NAMES_MAX: usize = 256;

/// How many values of a name.
const VALUES_MAX: usize = 16;

/// How many names of resources are looked at.
const RESOURCE_NAMES_MAX: usize = 4_096;

/// An attribute's name and how often it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frequent {
    pub(crate) name: String,
    pub(crate) n: u64,
    /// The most frequent values, by their canonical text, each with how often it is there.
    pub(crate) values: Vec<(String, u64)>,
    /// Whether there are others.
    pub(crate) is_cut: bool,
}

impl BlockBuilder {
    /// The attributes that are most often on spans, their resources (once for each span) and events, and
    /// whether there are others. A name can come more than once. What was sent in an unusual way is not
    /// counted.
    pub(crate) fn frequent_attributes(&self) -> (Vec<Frequent>, bool) {
        let is_attribute = |part| matches!(part, Part::SpanAttribute | Part::EventAttribute);
        let mut columns: Vec<_> = self
            .columns()
            .iter()
            .filter(|column| is_attribute(column.part))
            .collect();
        let mut is_cut = cut_to(&mut columns, NAMES_MAX, |column| column.values.n_rows());
        let mut all = Vec::with_capacity(columns.len());
        for column in columns {
            match str::from_utf8(&column.key) {
                Ok(name) if name.len() <= TEXT_BYTES_MAX => {
                    all.push(of_column(name, &column.values));
                }
                _ => is_cut = true,
            }
        }
        let (resources, is_resource_cut) = self.of_resources();
        all.extend(resources);
        (all, is_cut || is_resource_cut)
    }

    /// The attributes of the resources, as often as there are spans of them.
    fn of_resources(&self) -> (Vec<Frequent>, bool) {
        let mut by_resource: HashMap<&[u8], u64, RandomState> = HashMap::default();
        for (resource, n) in self.resources().zip(self.n_spans_by_group()) {
            *by_resource.entry(resource).or_default() += n;
        }
        let mut by_name: HashMap<String, Frequent, RandomState> = HashMap::default();
        let mut is_cut = false;
        for (resource, n_spans) in by_resource {
            nested_in(resource, 1, 1, &mut |name, values| {
                let is_room = by_name.len() < RESOURCE_NAMES_MAX || by_name.contains_key(name);
                if name.len() > TEXT_BYTES_MAX || !is_room {
                    is_cut = true;
                    return;
                }
                let of_name = by_name
                    .entry_ref(name)
                    .or_insert_with(|| Frequent::new(name, 0));
                of_name.n += n_spans;
                for value in values {
                    of_name.add(value, n_spans);
                }
            });
        }
        let mut all: Vec<Frequent> = by_name.into_values().collect();
        is_cut |= cut_to(&mut all, NAMES_MAX, |of| of.n);
        for of in &mut all {
            of.is_cut |= cut_to(&mut of.values, VALUES_MAX, |value| value.1);
        }
        (all, is_cut)
    }
}

impl Frequent {
    fn new(name: &str, n: u64) -> Self {
        Self {
            name: name.to_owned(),
            n,
            values: Vec::new(),
            is_cut: false,
        }
    }

    fn add(&mut self, value: Value<'_>, n: u64) {
        let Some(text) = text_of(value).filter(|text| text.len() <= TEXT_BYTES_MAX) else {
            self.is_cut = true;
            return;
        };
        // Of a resource's attribute with very many values it does not matter which are kept.
        let is_room = self.values.len() < 4 * VALUES_MAX;
        match self.values.iter_mut().find(|of| of.0 == text) {
            Some(of) => of.1 += n,
            None if is_room => self.values.push((text, n)),
            None => self.is_cut = true,
        }
    }
}

/// A column's attribute. One whose values are nearly all different keeps none.
fn of_column(name: &str, column: &ColumnBuilder) -> Frequent {
    let mut frequent = Frequent::new(name, column.n_rows());
    let n_values = column.n_values();
    if n_values > VALUES_MAX && n_values as u64 > column.n_rows() / 2 {
        frequent.is_cut = true;
        return frequent;
    }
    let mut counted: Vec<(&[u8], u64)> = column.iter().zip(column.counts()).collect();
    frequent.is_cut = cut_to(&mut counted, VALUES_MAX, |of| of.1);
    for (bytes, n) in counted {
        frequent.add(value(bytes), n);
    }
    frequent
}

/// A value's canonical text, when it is one that a list can show.
fn text_of(value: Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_owned()),
        Value::Any(value) => {
            let mut texts = Vec::new();
            canonical_texts(&value, |text| texts.push(text.to_owned()));
            texts.pop().filter(|_| texts.is_empty())
        }
    }
}

/// Keeps those with most; whether there were others.
fn cut_to<T>(all: &mut Vec<T>, n_max: usize, n_of: impl Fn(&T) -> u64) -> bool {
    let is_cut = all.len() > n_max;
    if is_cut {
        all.select_nth_unstable_by_key(n_max, |of| Reverse(n_of(of)));
        all.truncate(n_max);
    }
    is_cut
}
