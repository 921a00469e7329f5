//! What a search looks at, cheapest first: zones and blooms say which blocks have nothing, heads,
//! labels and summaries which traces match; only what they leave open is decoded.

use longpole_analysis::query::{
    Field, Matcher, MayHave, Necessary, Needs, Op, Pattern, Query, QueryError, RequestField, Scope,
    SpanField, Values,
};
use longpole_proto::UnixNanos;

use crate::sled::bloom::{Item, Key};
use crate::sled::entry::{self, Ends, Head, LIMITS, Labels, Names};
use crate::sled::partition::{Numbers, Partition, Zone};
use crate::{Order, StorageError};

/// A query made ready, and what of it can be told without decoding traces.
///
/// Conditions on the request that stand beside all else are taken out of the query: those on the
/// numbers a head has become ranges, the others are judged by the summary. What is left is of spans.
pub(in crate::sled) struct Plan {
    /// The whole query.
    pub(super) matcher: Matcher,
    /// Whether blooms can say no.
    pub(super) asks_blooms: bool,
    /// Every match has a span of this service.
    service: Option<String>,
    starts: (u64, Option<u64>),
    ranges: Vec<Range>,
    /// What a summary is asked: what is neither in `ranges` nor in `spans`.
    judged: Option<Matcher>,
    /// Whether that is only asked of the request's ends.
    is_judged_by_ends: bool,
    /// Whether the span that has what is in `spans` must have failed; one has, by `ranges`.
    asks_failed: bool,
    spans: Spans,
}

/// A zone, and what it says of a plan's service, which is looked up once.
#[derive(Clone, Copy)]
pub(super) struct ZoneView<'a> {
    pub(super) zone: &'a Zone,
    /// How many traces have spans of the service, and how long the longest of them took; `None` when there
    /// is no such service in the plan, or the zone does not know.
    service: Option<(u64, u64)>,
}

impl ZoneView<'_> {
    /// Between which keys the plan's matches in the block are.
    pub(super) fn keys(self, order: Order) -> (u64, u64) {
        let zone = self.zone;
        if zone.is_open {
            return (0, u64::MAX);
        }
        let key = |numbers| key_of(numbers, order);
        let (least, greatest) = (key(&zone.least), key(&zone.greatest));
        match (order, self.service) {
            (Order::Slowest, Some((_, longest))) => (least, greatest.min(longest)),
            _ => (least, greatest),
        }
    }
}

/// A number of the request must lie in this range, both ends included.
struct Range {
    field: RequestField,
    least: u64,
    greatest: u64,
}

impl Range {
    /// Whether it holds for every trace of a block.
    fn covers(&self, zone: &Zone) -> bool {
        let ends = [&zone.least, &zone.greatest].map(|numbers| number_of(numbers, self.field));
        ends.into_iter()
            .all(|end| end.is_some_and(|number| (self.least..=self.greatest).contains(&number)))
    }
}

/// What must hold on a span.
enum Spans {
    /// Nothing.
    Any,
    /// One has the names.
    Named {
        service: Option<String>,
        name: Option<String>,
    },
    /// More than labels tell; `judged` is the whole query, if a summary can tell anything of it.
    Decoded,
}

/// What an entry says of its trace.
pub(super) enum Verdict {
    Match(Numbers),
    No,
    /// The trace must be decoded to know.
    Open(Numbers),
}

impl Plan {
    /// The plan of a search for requests that began between these.
    ///
    /// # Errors
    /// When its query cannot be matched.
    pub(in crate::sled) fn new(
        query: &Query,
        from: Option<UnixNanos>,
        to: Option<UnixNanos>,
    ) -> Result<Self, QueryError> {
        let matcher = Matcher::new(query)?;
        let mut plan = Self {
            asks_blooms: asks_attributes(matcher.necessary()),
            service: necessary_service(matcher.necessary()).map(str::to_owned),
            matcher,
            starts: (from.map_or(0, |from| from.0), to.map(|to| to.0)),
            ranges: Vec::new(),
            judged: None,
            is_judged_by_ends: true,
            asks_failed: false,
            spans: Spans::Any,
        };
        let mut judged = Vec::new();
        let mut conjuncts = Vec::new();
        flatten(query, &mut conjuncts);
        for part in conjuncts {
            plan.take(part, &mut judged)?;
        }
        // That it is the span with the names that failed only the spans tell.
        if plan.asks_failed && !matches!(plan.spans, Spans::Any) {
            plan.spans = Spans::Decoded;
        }
        plan.judged = match plan.spans {
            Spans::Decoded => {
                let asks = query.asks_of_request();
                asks.then(|| plan.matcher.clone())
            }
            _ if judged.is_empty() => None,
            _ => Some(Matcher::new(&Query::all_of(judged))?),
        };
        Ok(plan)
    }

    fn take(&mut self, query: &Query, judged: &mut Vec<Query>) -> Result<(), QueryError> {
        let matcher = Matcher::new(query)?;
        if self.take_number(query, matcher.necessary()) {
            return Ok(());
        }
        match (query, matcher.necessary()) {
            (
                Query::Compare {
                    field: Field::Span(SpanField::Service | SpanField::Name),
                    op: Op::Eq,
                    ..
                },
                Necessary::Operation { service, name },
            ) => self.take_names(service.clone(), name.clone()),
            _ if matcher.needs() == Needs::Summary => {
                self.is_judged_by_ends &= query.asks_only_of(&Ends::FIELDS);
                judged.push(query.clone());
            }
            _ => self.spans = Spans::Decoded,
        }
        Ok(())
    }

    /// Takes a lone comparison of what heads count, of which what is necessary is all there is to it; and
    /// that a span failed.
    fn take_number(&mut self, query: &Query, necessary: &Necessary) -> bool {
        let (compared, is_of_any) = match query {
            Query::SomeSpan(query) => (&**query, true),
            query => (query, false),
        };
        let (
            Query::Compare { field: of, op, .. },
            &Necessary::Number {
                field,
                least,
                greatest,
            },
        ) = (compared, necessary)
        else {
            return false;
        };
        let is_failed = *of == Field::Span(SpanField::Status) && *op == Op::Eq;
        let is_of_head = *of == Field::Request(field) && HEAD_NUMBERS.contains(&field);
        if !(is_failed || is_of_head) {
            return false;
        }
        self.asks_failed |= is_failed && !is_of_any;
        self.ranges.push(Range {
            field,
            least,
            greatest,
        });
        true
    }

    fn take_names(&mut self, new_service: Option<String>, new_name: Option<String>) {
        self.spans = match std::mem::replace(&mut self.spans, Spans::Decoded) {
            Spans::Any => Spans::Named {
                service: new_service,
                name: new_name,
            },
            Spans::Named { service, name }
                if !(service.is_some() && new_service.is_some()
                    || name.is_some() && new_name.is_some()) =>
            {
                Spans::Named {
                    service: service.or(new_service),
                    name: name.or(new_name),
                }
            }
            Spans::Named { .. } | Spans::Decoded => Spans::Decoded,
        };
    }

    /// Whether a trace may match all of whose spans are in this partition.
    pub(super) fn may_match_partition(&self, partition: &Partition) -> bool {
        self.matcher.necessary().may_hold(&OfPartition(partition))
    }

    /// A zone as this plan looks at it; `at` is where zones looked at before had the service.
    pub(super) fn view<'a>(&self, zone: &'a Zone, at: &mut usize) -> ZoneView<'a> {
        let service = self.service.as_deref();
        ZoneView {
            zone,
            service: service.and_then(|name| zone.service(name, at)),
        }
    }

    /// Whether a block with this zone may have a match.
    pub(super) fn may_match_zone(&self, view: ZoneView<'_>) -> bool {
        let zone = view.zone;
        let (from, to) = self.starts;
        let may_start = zone.is_open
            || (zone.greatest.start >= from && to.is_none_or(|to| zone.least.start < to));
        let of_zone = OfZone {
            view,
            service: self.service.as_deref(),
        };
        may_start && self.matcher.necessary().may_hold(&of_zone)
    }

    /// How many traces of a block with this zone match; `None` when the zone does not tell.
    pub(super) fn count(&self, view: ZoneView<'_>) -> Option<u64> {
        let zone = view.zone;
        let (from, to) = self.starts;
        let is_judged = zone.is_open
            || self.judged.is_some()
            || zone.least.start < from
            || to.is_some_and(|to| zone.greatest.start >= to)
            || self.ranges.iter().any(|range| !range.covers(zone));
        if is_judged {
            return None;
        }
        match &self.spans {
            Spans::Any => Some(zone.n_traces),
            Spans::Named {
                service: Some(service),
                name: None,
            } if !entry::may_be_cut(service) && self.service.as_ref() == Some(service) => {
                view.service.map(|(n_traces, _)| n_traces)
            }
            Spans::Named { .. } | Spans::Decoded => None,
        }
    }

    /// What is asked of attributes.
    pub(super) fn asked(&self) -> AskedOf<'_> {
        let mut asked = AskedOf::default();
        asked.add(self.matcher.necessary());
        asked
    }

    /// Whether traces may match of which this is known.
    pub(super) fn may_match(&self, known: &OfItems<'_>) -> bool {
        self.matcher.necessary().may_hold(known)
    }

    /// Whether heads, labels and ends decide, without summaries.
    pub(in crate::sled) fn is_of_names(&self) -> bool {
        self.is_judged_by_ends && !matches!(self.spans, Spans::Decoded)
    }

    /// Whether a request's ends are as asked for; `None` when the trace must be decoded to know. Where
    /// names decide, so do this, [`Self::has_labels`] and [`Self::is_in_ranges`] together.
    pub(in crate::sled) fn has_ends(&self, ends: &Ends<'_>) -> Option<bool> {
        match &self.judged {
            None => Some(true),
            Some(judged) => judged.judge_summary(&ends.summary(), LIMITS),
        }
    }

    /// Whether a span has the names that are asked for; `None` when the trace must be decoded to know.
    ///
    /// # Errors
    /// When the labels are damaged.
    pub(in crate::sled) fn has_labels(&self, labels: &[u8]) -> Result<Option<bool>, StorageError> {
        let Spans::Named { service, name } = &self.spans else {
            return Ok(matches!(self.spans, Spans::Any).then_some(true));
        };
        Ok(entry::take_labels(labels)?.0.has(&Names {
            service: service.as_deref(),
            name: name.as_deref(),
        }))
    }

    /// What an entry says of its trace.
    ///
    /// # Errors
    /// When it is damaged.
    pub(super) fn judge(&self, entry: &[u8]) -> Result<Verdict, StorageError> {
        let (head, behind) = entry::head(entry)?;
        let numbers = head.numbers();
        if !self.is_in_ranges(&numbers) {
            return Ok(Verdict::No);
        }
        let has_spans = match &self.spans {
            Spans::Any | Spans::Named { .. } => self.has_labels(behind)?,
            Spans::Decoded => {
                let labels = entry::take_labels(behind)?.0;
                let of_entry = OfEntry { head, labels };
                let may_hold = self.matcher.necessary().may_hold(&of_entry);
                // What a summary can tell of the whole query is judged below.
                match may_hold {
                    true if self.judged.is_none() => None,
                    may_hold => Some(may_hold),
                }
            }
        };
        if has_spans == Some(false) {
            return Ok(Verdict::No);
        }
        let is_judged = match &self.judged {
            None => Some(true),
            Some(judged) => judged.judge_summary(&entry::summary(entry)?, LIMITS),
        };
        Ok(match (has_spans, is_judged) {
            (_, Some(false)) => Verdict::No,
            (Some(true), Some(true)) => Verdict::Match(numbers),
            _ => Verdict::Open(numbers),
        })
    }

    /// Whether a request began and is as asked for, as far as its numbers tell.
    pub(in crate::sled) fn is_in_ranges(&self, numbers: &Numbers) -> bool {
        let (from, to) = self.starts;
        numbers.start >= from
            && to.is_none_or(|to| numbers.start < to)
            && self.ranges.iter().all(|range| {
                number_of(numbers, range.field)
                    .is_none_or(|number| (range.least..=range.greatest).contains(&number))
            })
    }
}

/// Finds what must hold together. Recurses as deep as the query, which is bounded.
fn flatten<'a>(query: &'a Query, conjuncts: &mut Vec<&'a Query>) {
    match query {
        Query::And(queries) => queries.iter().for_each(|query| flatten(query, conjuncts)),
        query => conjuncts.push(query),
    }
}

/// What a plan asks of attributes.
#[derive(Default)]
pub(super) struct AskedOf<'a> {
    /// All names of those that are asked for in any way.
    pub(super) keys: Vec<&'a str>,
    pub(super) items: Vec<Item>,
    /// Of which keys which values besides.
    pub(super) values: Vec<(&'a [String], &'a Values)>,
}

impl<'a> AskedOf<'a> {
    /// Recurses as deep as the query, which is bounded.
    fn add(&mut self, necessary: &'a Necessary) {
        let (keys, item): (_, &dyn Fn(Key) -> Item) = match necessary {
            Necessary::All(parts) | Necessary::Any(parts) => {
                return parts.iter().for_each(|part| self.add(part));
            }
            Necessary::Value { keys, values, .. } => {
                self.keys.extend(keys.iter().map(String::as_str));
                return self.values.push((keys, values));
            }
            Necessary::Attribute { keys, value, .. } => (keys, &|key| key.item(value.as_bytes())),
            Necessary::Key { keys, .. } => (keys, &Key::alone),
            _ => return,
        };
        for of in keys {
            self.keys.push(of);
            self.items.push(item(Key::new(of.as_bytes())));
        }
    }
}

/// The service that a span of every match has.
fn necessary_service(necessary: &Necessary) -> Option<&str> {
    match necessary {
        Necessary::Operation { service, .. } => service.as_deref(),
        Necessary::All(parts) => parts.iter().find_map(necessary_service),
        _ => None,
    }
}

/// What an order goes by.
pub(super) fn key_of(numbers: &Numbers, order: Order) -> u64 {
    match order {
        Order::Slowest => numbers.duration_nanos,
        Order::Newest => numbers.start,
        Order::Spans => numbers.n_spans,
        Order::Errors => numbers.n_errors,
    }
}

fn asks_attributes(necessary: &Necessary) -> bool {
    match necessary {
        Necessary::All(parts) | Necessary::Any(parts) => parts.iter().any(asks_attributes),
        Necessary::Attribute { .. } | Necessary::Key { .. } | Necessary::Value { .. } => true,
        _ => false,
    }
}

/// The numbers that heads and zones have.
const HEAD_NUMBERS: [RequestField; 4] = [
    RequestField::Duration,
    RequestField::Start,
    RequestField::Spans,
    RequestField::Errors,
];

/// One of [`HEAD_NUMBERS`]; `None` for others.
fn number_of(numbers: &Numbers, field: RequestField) -> Option<u64> {
    match field {
        RequestField::Duration => Some(numbers.duration_nanos),
        RequestField::Start => Some(numbers.start),
        RequestField::Spans => Some(numbers.n_spans),
        RequestField::Errors => Some(numbers.n_errors),
        _ => None,
    }
}

/// What a partition's operations say of its traces.
struct OfPartition<'a>(&'a Partition);

impl MayHave for OfPartition<'_> {
    fn operation(&self, service: Option<&str>, name: Option<&str>) -> bool {
        self.0.may_have_operation(|operation| {
            service.is_none_or(|service| entry::cut(service) == operation.service)
                && name.is_none_or(|name| entry::cut(name) == operation.name)
        })
    }

    fn matching(&self, field: SpanField, pattern: &Pattern) -> bool {
        self.0.may_have_operation(|operation| {
            pattern.is_in(match field {
                SpanField::Service => &operation.service,
                _ => &operation.name,
            })
        })
    }
}

/// What a zone says of its traces.
struct OfZone<'a> {
    view: ZoneView<'a>,
    /// Of which the view has what the zone says.
    service: Option<&'a str>,
}

impl MayHave for OfZone<'_> {
    fn operation(&self, service: Option<&str>, _: Option<&str>) -> bool {
        let known = match service {
            Some(_) if service == self.service => self.view.service,
            service => service.and_then(|service| self.view.zone.service(service, &mut 0)),
        };
        // A name that was cut is found by as much of it as is kept.
        known.is_none_or(|(n_traces, _)| n_traces > 0)
    }

    fn number(&self, field: RequestField, least: u64, greatest: u64) -> bool {
        may_have_number(self.view.zone, field, least, greatest)
    }
}

/// Whether a number of some trace of a block with this zone may lie in a range.
fn may_have_number(zone: &Zone, field: RequestField, least: u64, greatest: u64) -> bool {
    let ends = (
        number_of(&zone.least, field),
        number_of(&zone.greatest, field),
    );
    match ends {
        (Some(zone_least), Some(zone_greatest)) if !zone.is_open => {
            zone_least <= greatest && least <= zone_greatest
        }
        _ => true,
    }
}

/// What is known of some traces by the attributes of the blocks with all their spans.
pub(super) struct OfItems<'a> {
    /// Of the block, when it is one.
    pub(super) zone: Option<&'a Zone>,
    pub(super) may_have: &'a dyn Fn(Item) -> bool,
    /// Where more is known of values than their keys.
    pub(super) may_have_one: Option<&'a dyn Fn(&Values) -> bool>,
}

impl MayHave for OfItems<'_> {
    fn attribute(&self, _: Scope, key: &str, value: &str) -> bool {
        let key = Key::new(key.as_bytes());
        (self.may_have)(key.item(value.as_bytes()))
    }

    fn value(&self, scope: Scope, key: &str, values: &Values) -> bool {
        match self.may_have_one {
            Some(may_have_one) => may_have_one(values),
            None => self.key(scope, key),
        }
    }

    fn key(&self, _: Scope, key: &str) -> bool {
        (self.may_have)(Key::new(key.as_bytes()).alone())
    }

    fn number(&self, field: RequestField, least: u64, greatest: u64) -> bool {
        self.zone
            .is_none_or(|zone| may_have_number(zone, field, least, greatest))
    }
}

/// What an entry says of its trace.
struct OfEntry<'a> {
    head: Head,
    labels: Labels<'a>,
}

impl MayHave for OfEntry<'_> {
    fn operation(&self, service: Option<&str>, name: Option<&str>) -> bool {
        self.labels.has(&Names { service, name }) != Some(false)
    }

    fn matching(&self, field: SpanField, pattern: &Pattern) -> bool {
        self.labels.may_have(field, |text| pattern.is_in(text))
    }

    fn number(&self, field: RequestField, least: u64, greatest: u64) -> bool {
        number_of(&self.head.numbers(), field)
            .is_none_or(|number| (least..=greatest).contains(&number))
    }
}
