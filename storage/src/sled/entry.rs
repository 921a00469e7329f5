//! Entries: what search reads of a trace, one value each in the tree `summaries`.
//!
//! An entry is three postcard records one behind the other, read only as far as a search needs
//! them: the [`Head`] that orders and filters, the [`Labels`] that name services and operations,
//! the summary that is shown. Whatever the trace holds, an entry stays small: texts, services and
//! labels are bounded.

use std::fmt;
use std::marker::PhantomData;

use longpole_analysis::query::{RequestField, SpanField, SummaryLimits};
use longpole_analysis::{CulpritSummary, HopSummary, TraceSummary};
use longpole_proto::{SpanId, Trace, TraceId, UnixNanos};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::partition::Numbers;
use crate::StorageError;

/// How much of a service's or span's name is kept, in bytes: they are told apart by that much.
pub(super) const NAME_BYTES_MAX: usize = 512;

/// How many services a summary names.
const SUMMARY_SERVICES_MAX: usize = 64;

/// How many bytes of names an entry's labels hold; a trace with more is read whole when a search
/// asks for a name.
const LABELS_BYTES_MAX: usize = 8 << 10;

/// What a search orders by and filters with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) duration_nanos: u64,
    pub(super) start: UnixNanos,
    pub(super) n_spans: u64,
    pub(super) n_errors: u64,
    /// Duplicates included, unlike the others.
    pub(super) n_stored: u64,
}

impl Head {
    /// What searches order by.
    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            duration_nanos: self.duration_nanos,
            start: self.start.0,
            n_spans: self.n_spans,
            n_errors: self.n_errors,
        }
    }
}

/// The services and operations of a trace, by service.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Labels<'a> {
    #[serde(borrow)]
    services: Vec<(&'a str, Vec<&'a str>)>,
    /// Whether it is all of them.
    is_complete: bool,
}

/// What summaries and labels leave of a trace's names.
pub(super) const LIMITS: SummaryLimits = SummaryLimits {
    text_bytes_max: NAME_BYTES_MAX,
    services_max: SUMMARY_SERVICES_MAX,
};

/// What a search asks of one span's names: either may be any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) service: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

impl Names<'_> {
    /// Whether an operation that has them cut may be of others.
    fn may_be_cut(&self) -> bool {
        [self.service, self.name]
            .into_iter()
            .flatten()
            .any(may_be_cut)
    }
}

impl Labels<'_> {
    /// Whether a span has the names; `None` when the trace must be read to know.
    pub(super) fn has(&self, names: &Names<'_>) -> Option<bool> {
        let (wanted_service, wanted_name) = (names.service.map(cut), names.name.map(cut));
        let has = self.services.iter().any(|(service, operations)| {
            wanted_service.is_none_or(|wanted| wanted == *service)
                && wanted_name.is_none_or(|wanted| operations.contains(&wanted))
        });
        let is_sure = if has {
            !names.may_be_cut()
        } else {
            self.is_complete
        };
        is_sure.then_some(has)
    }

    /// Whether a service or name of a span may have what `is_meant` looks for.
    pub(super) fn may_have(&self, field: SpanField, is_meant: impl Fn(&str) -> bool) -> bool {
        let may = |text: &str| may_be_cut(text) || is_meant(text);
        !self.is_complete
            || self
                .services
                .iter()
                .any(|(service, operations)| match field {
                    SpanField::Service => may(service),
                    _ => operations.iter().any(|name| may(name)),
                })
    }
}

/// An entry, and what of it a zone keeps.
pub(super) struct Made {
    pub(super) entry: Vec<u8>,
    pub(super) head: Head,
    /// The services, by name; `None` when it does not name all of them.
    pub(super) services: Option<Vec<String>>,
}

/// Makes the entry of a trace, which has this summary.
pub(super) fn encode(trace: &Trace, summary: TraceSummary) -> Made {
    let names_all = summary.services.len() <= SUMMARY_SERVICES_MAX;
    let summary = bounded(summary);
    let head = Head {
        duration_nanos: summary.duration_nanos,
        start: summary.start,
        n_spans: summary.n_spans,
        n_errors: summary.n_errors,
        n_stored: trace.len() as u64 + trace.n_duplicates(),
    };
    let mut entry = Vec::new();
    for record in [
        postcard::to_allocvec(&head),
        postcard::to_allocvec(&labels(trace)),
        postcard::to_allocvec(&summary),
    ] {
        entry.extend(record.expect("a record of numbers and texts can be written"));
    }
    Made {
        entry,
        head,
        services: names_all.then_some(summary.services),
    }
}

/// Reads an entry's head, and gives what is behind it.
pub(super) fn head(entry: &[u8]) -> Result<(Head, &[u8]), StorageError> {
    postcard::take_from_bytes(entry).map_err(|_| damaged())
}

/// Reads an entry's labels, which are behind its head, and gives what is behind them.
pub(super) fn take_labels(behind_head: &[u8]) -> Result<(Labels<'_>, &[u8]), StorageError> {
    postcard::take_from_bytes(behind_head).map_err(|_| damaged())
}

/// Reads an entry's summary.
pub(super) fn summary(entry: &[u8]) -> Result<TraceSummary, StorageError> {
    let (_, behind) = head(entry)?;
    let (_, behind) = take_labels(behind)?;
    postcard::from_bytes(behind).map_err(|_| damaged())
}

/// What of an entry is counted.
pub(super) struct Parts<'a> {
    pub(super) head: Head,
    /// The labels as they are stored; [`take_labels`] reads them.
    pub(super) labels: &'a [u8],
    pub(super) ends: Ends<'a>,
}

/// Where a request begins and where it is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ends<'a> {
    /// The root's service and name.
    #[serde(borrow)]
    pub(super) root: (&'a str, &'a str),
    /// The slowest hop's.
    #[serde(borrow)]
    pub(super) hop: (&'a str, &'a str),
}

impl Ends<'_> {
    /// What a query may ask of them.
    pub(super) const FIELDS: [RequestField; 4] = [
        RequestField::RootService,
        RequestField::RootName,
        RequestField::SlowestHopService,
        RequestField::SlowestHopName,
    ];

    /// A summary that has them, and nothing else that means anything.
    pub(super) fn summary(&self) -> TraceSummary {
        let [root_service, root_operation, service, name] =
            [self.root.0, self.root.1, self.hop.0, self.hop.1].map(str::to_owned);
        TraceSummary {
            trace_id: TraceId::new([1; 16]).expect("not zero"),
            root_service,
            root_operation,
            start: UnixNanos(0),
            duration_nanos: 0,
            n_spans: 0,
            n_errors: 0,
            services: Vec::new(),
            slowest_hop: HopSummary {
                service,
                name,
                span_id: SpanId::new([1; 8]).expect("not zero"),
                nanos: 0,
            },
            culprit: CulpritSummary {
                service: String::new(),
                name: String::new(),
                peer: None,
                count: 0,
                nanos: 0,
            },
            critical_nanos: Vec::new(),
            findings: Vec::new(),
            incomplete: false,
        }
    }
}

/// Reads of an entry what is counted, and keeps nothing else: a walk over all entries takes half as long
/// so.
pub(super) fn parts(entry: &[u8]) -> Result<Parts<'_>, StorageError> {
    let (head, behind_head) = head(entry)?;
    let (_, behind): (PassedLabels<'_>, _) =
        postcard::take_from_bytes(behind_head).map_err(|_| damaged())?;
    let labels = &behind_head[..behind_head.len() - behind.len()];
    let (summary, _): (ToHop<'_>, _) = postcard::take_from_bytes(behind).map_err(|_| damaged())?;
    let (_, root_service, root_name, .., service, name) = summary;
    let ends = Ends {
        root: (root_service, root_name),
        hop: (service, name),
    };
    Ok(Parts { head, labels, ends })
}

/// [`Labels`], of which nothing is kept.
type PassedLabels<'a> = (Passed<(&'a [u8], Passed<&'a [u8]>)>, bool);

/// A [`TraceSummary`] as far as to its slowest hop's name: ID, root's service and operation, start, duration,
/// spans, errors, services, and the hop.
type ToHop<'a> = (
    &'a [u8],
    &'a str,
    &'a str,
    u64,
    u64,
    u64,
    u64,
    Passed<&'a [u8]>,
    &'a str,
    &'a str,
);

/// A list whose elements are read and not kept.
struct Passed<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Passed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Passing<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Passing<T> {
            type Value = Passed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                while list.next_element::<T>()?.is_some() {}
                Ok(Passed(PhantomData))
            }
        }

        from.deserialize_seq(Passing(PhantomData))
    }
}

fn damaged() -> StorageError {
    StorageError::Damaged {
        what: "the summary of a trace".to_owned(),
    }
}

/// The services and operations of a trace, each once, in order.
fn operations(trace: &Trace) -> Vec<(&str, &str)> {
    let mut operations: Vec<(&str, &str)> = (0..)
        .zip(trace.spans())
        .map(|(span_idx, span)| (cut(trace.service(span_idx)), cut(&span.name)))
        .collect();
    operations.sort_unstable();
    operations.dedup();
    operations
}

fn labels(trace: &Trace) -> Labels<'_> {
    let mut labels = Labels {
        services: Vec::new(),
        is_complete: true,
    };
    let mut n_bytes = 0;
    for of_service in operations(trace).chunk_by(|a, b| a.0 == b.0) {
        let service = of_service[0].0;
        let mut kept = Vec::with_capacity(of_service.len());
        n_bytes += service.len();
        for &(_, name) in of_service {
            n_bytes += name.len() + 1;
            if n_bytes > LABELS_BYTES_MAX {
                labels.is_complete = false;
                break;
            }
            kept.push(name);
        }
        if !kept.is_empty() {
            labels.services.push((service, kept));
        }
    }
    labels
}

/// The summary with its texts and lists cut to what lists show.
fn bounded(mut summary: TraceSummary) -> TraceSummary {
    summary.services.truncate(SUMMARY_SERVICES_MAX);
    let TraceSummary {
        root_service,
        root_operation,
        services,
        slowest_hop,
        culprit,
        critical_nanos,
        ..
    } = &mut summary;
    let texts = [
        root_service,
        root_operation,
        &mut slowest_hop.service,
        &mut slowest_hop.name,
        &mut culprit.service,
        &mut culprit.name,
    ];
    let lists = services
        .iter_mut()
        .chain(critical_nanos.iter_mut().map(|(service, _)| service));
    for text in texts.into_iter().chain(lists).chain(&mut culprit.peer) {
        text.truncate(cut(text).len());
    }
    summary
}

/// Whether a name that is kept like this one may be another.
pub(super) fn may_be_cut(name: &str) -> bool {
    cut(name).len() + 3 >= NAME_BYTES_MAX
}

/// As much of a name as is kept.
pub(super) fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use longpole_proto::testing::{SpanBuilder, any_trace, draw, trace_of};
    use proptest::prelude::*;

    use super::*;

    fn encode(trace: &Trace) -> Vec<u8> {
        super::encode(trace, TraceSummary::of(trace)).entry
    }

    fn has(entry: &[u8], service: Option<&str>, name: Option<&str>) -> Option<bool> {
        let (_, behind) = head(entry).expect("intact");
        let (labels, _) = take_labels(behind).expect("intact");
        labels.has(&Names { service, name })
    }

    #[test]
    fn labels_tell_which_service_has_an_operation() {
        let entry = encode(&draw(
            "
            web GET /    [------]
              shop stock  [---]
            ",
        ));
        assert_eq!(has(&entry, Some("web"), Some("GET /")), Some(true));
        assert_eq!(has(&entry, Some("web"), None), Some(true));
        assert_eq!(has(&entry, None, Some("stock")), Some(true));
        assert_eq!(has(&entry, Some("web"), Some("stock")), Some(false));
        assert_eq!(has(&entry, Some("bank"), None), Some(false));
    }

    #[test]
    fn a_trace_with_too_many_names_must_be_read() {
        let trace =
            trace_of((1..=2_000).map(|n| SpanBuilder::new(n, &format!("operation number {n:05}"))));
        let entry = encode(&trace);
        assert!(entry.len() < 2 * LABELS_BYTES_MAX, "{} bytes", entry.len());
        assert_eq!(
            has(&entry, None, Some("operation number 00007")),
            Some(true)
        );
        assert_eq!(has(&entry, None, Some("operation number 01999")), None);
    }

    #[test]
    fn endless_names_make_no_endless_entry() {
        let long = "ü".repeat(100_000);
        let entry = encode(&trace_of((1..=200).map(|n| {
            SpanBuilder::new(n, &long)
                .service(&format!("{n} {long}"))
                .parent(n - 1 + u64::from(n == 1))
        })));
        assert!(entry.len() < 64 << 10, "{} bytes", entry.len());
        let summary = summary(&entry).expect("intact");
        assert_eq!(summary.root_operation, "ü".repeat(NAME_BYTES_MAX / 2));
        assert_eq!(has(&entry, None, Some(&long)), None, "it may be another");
        assert_eq!(has(&entry, None, Some(&long[2..])), None);
        assert_eq!(has(&entry, None, Some("ü")), None, "not all are there");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn entries_come_back(trace in any_trace(20)) {
            let entry = encode(&trace);
            let expected = longpole_analysis::Analysis::of(&trace).summary(&trace);
            let hop_of = &expected.slowest_hop;
            let parts = parts(&entry).expect("intact");
            prop_assert_eq!(parts.ends.hop, (&*hop_of.service, &*hop_of.name));
            let root = (&*expected.root_service, &*expected.root_operation);
            prop_assert_eq!(parts.ends.root, root);
            let (labels, behind) = take_labels(parts.labels).expect("intact");
            prop_assert!(behind.is_empty());
            prop_assert_eq!(labels, super::labels(&trace));
            prop_assert_eq!(summary(&entry).expect("intact"), expected);
            for (span_idx, span) in trace.spans().iter().enumerate() {
                prop_assert_eq!(has(&entry, Some(trace.service(span_idx)), Some(&span.name)), Some(true));
            }
        }

        #[test]
        fn an_outline_has_the_summary_of_the_whole(trace in any_trace(20)) {
            let bytes = longpole_proto::wire::encode_traces(&trace);
            let parts = longpole_proto::wire::decode_traces(trace.id(), &bytes).expect("spans");
            let whole = Trace::new(trace.id(), parts).expect("spans");
            let outline = crate::sled::traces::outline(trace.id(), &bytes).expect("spans");
            prop_assert_eq!(encode(&outline), encode(&whole));
        }

        #[test]
        fn any_bytes_are_read_without_panic(entry in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((_, behind)) = head(&entry) {
                prop_assert!(take_labels(behind).is_ok() || summary(&entry).is_err());
            }
        }
    }
}
