//! Counts facts over requests, in bounded memory whatever they hold.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use fixedbitset::FixedBitSet;
use foldhash::quality::RandomState;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use longpole_proto::{Attributes, Trace};

use super::compare::{Compared, Design, Found};
use super::fact::{AttributeOf, Fact, What};
use super::{ALSO_MAX, Asked, Shared, TRAITS_MAX, Trait};
use crate::query::{canonical_name, canonical_texts};

/// How long a name or value may be, in bytes; facts with longer texts are not counted.
const TEXT_BYTES_MAX: usize = 256;

/// How many different facts are told apart, and of how many attributes the names.
const FACTS_MAX: usize = 200_000;

/// How many of them may hold on more than one request: only these are kept with their texts.
const KEPT_MAX: usize = 10_000;

/// How many names of attributes are kept with the names they stand for.
const NAMES_MAX: usize = 4_096;

/// Which requests a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Those of which it is asked what they share.
    These,
    /// Those they are compared with.
    Others,
}

/// Facts, and on which requests they hold.
///
/// Takes at most some 15 MiB. Facts of a single request are only remembered by a hash: ids do not fill it.
#[derive(Debug, Default)]
pub struct Tally {
    /// By root operation, its number.
    groups: BTreeMap<(String, String), usize>,
    /// By request, its root operation and whether it is one of these.
    requests: Vec<(usize, bool)>,
    hasher: RandomState,
    seen: HashMap<u64, Seen, RandomState>,
    /// With the requests they hold on.
    kept: Vec<(Fact, FixedBitSet)>,
    /// Names that are another's old ones.
    names: Names,
    is_cut: bool,
}

/// By name of an attribute, the one that stands for it.
type Names = HashMap<String, String, RandomState>;

/// What is known of a fact.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// It holds on this request.
    Once(u32),
    /// It is kept there; it held on this request last.
    Kept { at: u32, last: u32 },
    /// It holds on more than one and is not kept, as too many are.
    Left,
}

impl Tally {
    /// Counts a request.
    pub fn add(&mut self, trace: &Trace, side: Side) {
        let Ok(request) = u32::try_from(self.requests.len()) else {
            self.is_cut = true;
            return;
        };
        let root = trace.request_root();
        let name = (
            trace.service(root).to_owned(),
            trace.span(root).name.to_string(),
        );
        let n_groups = self.groups.len();
        let group = *self.groups.entry(name).or_insert(n_groups);
        self.requests.push((group, side == Side::These));
        let mut resources = HashSet::<u32, RandomState>::default();
        let mut names = HashSet::<(usize, &str, bool), RandomState>::default();
        for (at, span) in trace.spans().iter().enumerate() {
            let mut to = Counting {
                tally: self,
                request,
                service: trace.service(at),
            };
            if resources.insert(span.resource_idx) {
                to.fact("service", "", "", |_| What::Service);
                to.attributes(AttributeOf::Resource, &trace.resource(at).attributes);
            }
            let name = &*span.name;
            if names.insert((trace.service_idx(at), name, span.is_error())) {
                to.fact("name", name, "", |name| What::Operation(name.to_owned()));
                if span.is_error() {
                    to.fact("fails", "", "", |_| What::Fails(None));
                    to.fact("fails at", name, "", |name| {
                        What::Fails(Some(name.to_owned()))
                    });
                }
            }
            if !span.status.message.is_empty() {
                to.fact("message", &span.status.message, "", |message| {
                    What::StatusMessage(message.to_owned())
                });
            }
            to.attributes(AttributeOf::Span, &span.attributes);
            for event in &span.events {
                to.fact("event", &event.name, "", |name| {
                    What::Event(name.to_owned())
                });
                to.attributes(AttributeOf::Event, &event.attributes);
            }
        }
    }

    /// What these requests have more often than the others; what was asked for is left out.
    pub fn shared(&self, asked: &Asked) -> Shared {
        let design = Design::of(self.requests.iter().copied());
        let news = self.facts().filter(|(fact, _)| !asked.says(fact));
        let (facts, sets): (Vec<&Fact>, Vec<FixedBitSet>) = news
            .map(|(fact, requests)| {
                let mut set = requests.clone();
                // Equal sets are of one length.
                set.grow(self.requests.len());
                (fact, set)
            })
            .unzip();
        let Compared { n_tried, found } = design.compare(sets.iter());
        let n_found = found.len();
        let traits = found.into_iter().take(TRAITS_MAX);
        Shared {
            n_these: design.n_these() as u64,
            n_others: design.n_others() as u64,
            n_alone: design.n_alone as u64,
            n_tried: n_tried as u64,
            is_whole: !self.is_cut,
            traits: traits.map(|found| tell(&facts, &found)).collect(),
            n_more: n_found.saturating_sub(TRAITS_MAX) as u64,
        }
    }

    /// The facts that hold on more than one request, with those they hold on.
    pub(super) fn facts(&self) -> impl Iterator<Item = &(Fact, FixedBitSet)> {
        self.kept.iter()
    }
}

/// Facts that were found, the one first that says most.
fn tell(facts: &[&Fact], found: &Found) -> Trait {
    let mut same: Vec<&Fact> = found.facts.iter().map(|&at| facts[at]).collect();
    same.sort_by(|one, other| one.rank().cmp(&other.rank()));
    Trait {
        fact: same[0].clone(),
        also: same[1..]
            .iter()
            .take(ALSO_MAX)
            .map(|&fact| fact.clone())
            .collect(),
        n_more_also: same.len().saturating_sub(1 + ALSO_MAX) as u64,
        n_these: found.n_these as u64,
        n_others: found.n_others as u64,
        these_share: found.these_share,
        others_share: found.others_share,
        p: found.p,
    }
}

/// Counts the facts of a service on a request.
struct Counting<'a> {
    tally: &'a mut Tally,
    request: u32,
    service: &'a str,
}

impl Counting<'_> {
    /// The attributes of something: of a name and each of its values a fact.
    fn attributes(&mut self, scope: AttributeOf, attributes: &Attributes) {
        let kind = match scope {
            AttributeOf::Resource => "resource",
            AttributeOf::Span => "span",
            AttributeOf::Event => "event attribute",
        };
        for attribute in attributes {
            let key = attribute.key.as_str();
            // The service is a fact of its own.
            if scope == AttributeOf::Resource && key == "service.name" {
                continue;
            }
            canonical_texts(&attribute.value, |value| {
                self.fact(kind, value, key, |value| What::Attribute {
                    scope,
                    key: key.to_owned(),
                    value: value.to_owned(),
                });
            });
        }
    }

    /// A fact of a kind: of a text, and of the name of an attribute where it has one.
    fn fact(&mut self, kind: &str, text: &str, key: &str, what: impl FnOnce(&str) -> What) {
        let texts = [self.service, text, key];
        if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
            return;
        }
        let tally = &mut *self.tally;
        let name = standing_for(&mut tally.names, key);
        let hash = tally.hasher.hash_one((kind, self.service, text, name));
        let n_seen = tally.seen.len();
        let mut entry = match tally.seen.entry(hash) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => {
                if n_seen < FACTS_MAX {
                    entry.insert(Seen::Once(self.request));
                } else {
                    tally.is_cut = true;
                }
                return;
            }
        };
        match entry.get_mut() {
            Seen::Once(first) if *first == self.request => {}
            Seen::Once(_) if tally.kept.len() >= KEPT_MAX => {
                entry.insert(Seen::Left);
                tally.is_cut = true;
            }
            Seen::Once(first) => {
                let mut requests = FixedBitSet::new();
                requests.grow_and_insert(*first as usize);
                requests.grow_and_insert(self.request as usize);
                let fact = Fact {
                    service: self.service.to_owned(),
                    what: what(text),
                };
                let at = u32::try_from(tally.kept.len()).expect("KEPT_MAX is less");
                let last = self.request;
                tally.kept.push((fact, requests));
                entry.insert(Seen::Kept { at, last });
            }
            Seen::Kept { last, .. } if *last == self.request => {}
            Seen::Kept { at, last } => {
                *last = self.request;
                let (_, requests) = &mut tally.kept[*at as usize];
                requests.grow_and_insert(self.request as usize);
            }
            Seen::Left => {}
        }
    }
}

/// The name that stands for all names of what an attribute's name names.
fn standing_for<'a>(names: &'a mut Names, key: &'a str) -> &'a str {
    if names.len() < NAMES_MAX && !names.contains_key(key) {
        names.insert(key.to_owned(), canonical_name(key).to_owned());
    }
    let known = names.get(key).map(String::as_str);
    known.unwrap_or_else(|| canonical_name(key))
}
