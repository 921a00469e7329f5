//! The bytes. Pure, and linear in the number of spans.

use foldhash::{HashMap, HashMapExt as _};
use longpole_analysis::format::{count, label, percent};
use longpole_proto::Trace;
use serde::Serialize;

use crate::assets::fnv1a;
use crate::timeline::Window;
use crate::trace_cache::Loaded;

/// Arrays begin at multiples of this many bytes, as the widest item needs it.
const ALIGNMENT: usize = 8;

/// What a row's flags say.
pub(super) mod flag {
    /// It failed.
    pub(crate) const ERROR: u8 = 1;
    /// It or what is under it is on the critical path.
    pub(crate) const ON_PATH: u8 = 2;
    /// It is the slowest hop's entry.
    pub(crate) const SLOWEST: u8 = 4;
    /// It took most of the slowest hop's time, or of those that did the most.
    pub(crate) const CULPRIT: u8 = 8;
    /// Its parent does not wait for it.
    pub(crate) const UNAWAITED: u8 = 16;
    /// Some of its self time is on the critical path.
    pub(crate) const CRITICAL: u8 = 32;
    /// It has the words that are looked for, if any are.
    pub(crate) const MATCHES: u8 = 64;
}

#[derive(Serialize)]
struct Header<'a> {
    n: usize,
    /// Nanoseconds.
    unit: u64,
    /// The time that is drawn, in units.
    total: u64,
    version: String,
    /// The words that are looked for.
    q: &'a str,
    /// Name and bytes an item.
    columns: Vec<(&'static str, usize)>,
    /// Most critical time first, as their colours are given.
    svcs: Vec<String>,
    names: Vec<&'a str>,
    /// The row of the slowest hop's entry.
    slowest: usize,
    /// A flag, and the class and text of the tag of the rows that have it; in the order they are shown.
    tags: [(u8, &'static str, String); 3],
}

/// Which rows have which places: changes when a span arrives.
pub(super) fn version(trace: &Trace) -> String {
    let spans = trace.spans().iter();
    let ids: Vec<u8> = spans.flat_map(|span| *span.span_id.as_bytes()).collect();
    format!("{:016x}", fnv1a(&ids))
}

/// A trace's columns; `matching` says by span whether it has the `words` that are looked for, and
/// nothing when none are.
///
/// # Errors
/// When the header cannot be written as JSON.
pub(super) fn encode(
    loaded: &Loaded,
    words: &str,
    matching: &[bool],
) -> Result<Vec<u8>, serde_json::Error> {
    let (trace, analysis) = (&loaded.trace, loaded.analysis());
    let window = Window::of(trace);
    let unit = unit(window.nanos());
    let times = Times::of(loaded, &window, unit);
    let labels: Vec<_> = trace.spans().iter().map(|span| label(&span.name)).collect();
    let (names, name_of) = numbered(labels.iter().map(AsRef::as_ref));
    let mut svc_of = vec![0; trace.services().len()];
    for (at, share) in analysis.services.iter().enumerate() {
        svc_of[share.service_idx] = at as u64;
    }
    let svcs: Vec<String> = analysis
        .services
        .iter()
        .map(|share| label(&trace.services()[share.service_idx]).into_owned())
        .collect();
    let depths = (0..trace.len()).map(|at| trace.depth(at) as u64);
    let services = (0..trace.len()).map(|at| svc_of[trace.service_idx(at)]);
    let columns = [
        ("start", times.start),
        ("dur", Column::wide(times.dur)),
        ("wait", Column::wide(times.wait)),
        ("rest", Column::wide(times.rest)),
        ("depth", Column::narrow(depths.collect(), 2)),
        ("name", Column::narrow(name_of, 2)),
        ("svc", Column::narrow(services.collect(), 1)),
        ("flags", Column::narrow(flags(loaded, matching), 1)),
    ];
    let (hop, culprit) = (&analysis.hops[analysis.slowest_hop], &analysis.culprit);
    let share = |nanos| percent(nanos, analysis.duration_nanos);
    let most = match culprit.span_idxs.len() {
        1 => "most of it here".to_owned(),
        n => format!("most of it in {} of these", count(n as u64)),
    };
    let header = Header {
        n: trace.len(),
        unit,
        total: window.nanos().div_ceil(unit),
        version: version(trace),
        q: words,
        columns: columns
            .iter()
            .map(|(name, column)| (*name, column.item_bytes))
            .collect(),
        svcs,
        names,
        slowest: hop.entry_idx,
        tags: [
            (
                flag::SLOWEST,
                "h",
                format!("◀ SLOWEST HOP {}", share(hop.nanos)),
            ),
            (
                flag::CULPRIT,
                "h",
                format!("{most} {}", share(culprit.nanos)),
            ),
            (flag::ERROR, "e", "✕ error".to_owned()),
        ],
    };
    let mut text = serde_json::to_vec(&header)?;
    while !(4 + text.len()).is_multiple_of(ALIGNMENT) {
        text.push(b' ');
    }
    let n_bytes: usize = columns
        .iter()
        .map(|(_, column)| column.items.len() * column.item_bytes + ALIGNMENT)
        .sum();
    let mut bytes = Vec::with_capacity(4 + text.len() + n_bytes);
    let header_bytes = u32::try_from(text.len()).map_err(serde::ser::Error::custom)?;
    bytes.extend(header_bytes.to_le_bytes());
    bytes.extend(text);
    for (_, column) in columns {
        column.write(&mut bytes);
    }
    Ok(bytes)
}

/// The smallest power of ten in which a time fits into 32 bits.
fn unit(nanos: u64) -> u64 {
    let mut unit = 1;
    while nanos.div_ceil(unit) > u64::from(u32::MAX) {
        unit *= 10;
    }
    unit
}

/// The times of all rows, in units.
struct Times {
    start: Column,
    dur: Vec<u64>,
    wait: Vec<u64>,
    rest: Vec<u64>,
}

impl Times {
    fn of(loaded: &Loaded, window: &Window, unit: u64) -> Self {
        let (trace, analysis) = (&loaded.trace, loaded.analysis());
        let rounded = |nanos: u64| nanos / unit + u64::from(nanos % unit >= unit.div_ceil(2));
        let starts = trace.spans().iter().map(|span| {
            let before = window.start.nanos_since(span.start);
            let after = span.start.nanos_since(window.start);
            i128::from(rounded(after)) - i128::from(rounded(before))
        });
        let dur = trace
            .spans()
            .iter()
            .map(|span| rounded(span.duration_nanos()));
        let dur: Vec<u64> = dur.collect();
        let own = analysis.self_nanos.iter().zip(&dur);
        let own = own.map(|(own, dur)| rounded(*own).min(*dur));
        let own: Vec<u64> = own.collect();
        // Both are nothing for most spans, where self and critical time say the same once more.
        let wait = dur.iter().zip(&own).map(|(dur, own)| dur - own);
        let rest = analysis.critical_nanos.iter().zip(&own);
        let rest = rest.map(|(&critical, own)| match critical {
            0 => 0,
            critical => own.saturating_sub(rounded(critical)),
        });
        Self {
            start: Column::differences(&starts.collect::<Vec<_>>()),
            wait: wait.collect(),
            rest: rest.collect(),
            dur,
        }
    }
}

fn flags(loaded: &Loaded, matching: &[bool]) -> Vec<u64> {
    let (trace, analysis) = (&loaded.trace, loaded.analysis());
    let mut flags: Vec<u8> = (0..trace.len())
        .map(|at| {
            let flag = |is: bool, flag| if is { flag } else { 0 };
            flag(trace.span(at).is_error(), flag::ERROR)
                | flag(
                    analysis.critical_nanos[at] > 0,
                    flag::ON_PATH | flag::CRITICAL,
                )
                | flag(!analysis.awaited[at], flag::UNAWAITED)
                | flag(matching.get(at).is_none_or(|is| *is), flag::MATCHES)
        })
        .collect();
    // Parents stand before their children.
    for at in (0..trace.len()).rev() {
        if let Some(parent) = trace.parent(at) {
            flags[parent] |= flags[at] & flag::ON_PATH;
        }
    }
    let (hop, culprit) = (&analysis.hops[analysis.slowest_hop], &analysis.culprit);
    flags[hop.entry_idx] |= flag::SLOWEST;
    if culprit.nanos > hop.nanos.saturating_sub(culprit.nanos) {
        let spans = culprit.span_idxs.iter().rev();
        if let Some(&most) = spans.max_by_key(|&&at| analysis.critical_nanos[at]) {
            flags[most] |= flag::CULPRIT;
        }
    }
    flags.into_iter().map(u64::from).collect()
}

/// The different texts in order of appearance, and which each one is.
fn numbered<'a>(texts: impl Iterator<Item = &'a str>) -> (Vec<&'a str>, Vec<u64>) {
    let mut different = Vec::new();
    let mut number_of: HashMap<&str, u64> = HashMap::new();
    let numbers = texts
        .map(|text| {
            *number_of.entry(text).or_insert_with(|| {
                different.push(text);
                different.len() as u64 - 1
            })
        })
        .collect();
    (different, numbers)
}

/// An array: unsigned integers of 1, 2 or 4 bytes, or doubles of 8.
struct Column {
    item_bytes: usize,
    /// As they are written, the doubles as their bits.
    items: Vec<u64>,
}

impl Column {
    /// Integers of at least `bytes_min` bytes, and of more where one needs it.
    fn narrow(items: Vec<u64>, bytes_min: usize) -> Self {
        let largest = items.iter().copied().max().unwrap_or(0);
        let needed = match largest {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            _ => 4,
        };
        Self {
            item_bytes: needed.max(bytes_min),
            items,
        }
    }

    /// Integers of 4 bytes; doubles where one is too large.
    #[expect(
        clippy::cast_precision_loss,
        reason = "104 days in nanoseconds are exact"
    )]
    fn wide(items: Vec<u64>) -> Self {
        if items.iter().all(|&item| u32::try_from(item).is_ok()) {
            return Self::narrow(items, 4);
        }
        let doubles = items.into_iter().map(|item| (item as f64).to_bits());
        Self {
            item_bytes: 8,
            items: doubles.collect(),
        }
    }

    /// The difference of each to the one before, modulo 2^32; where one does not fit into 32 bits,
    /// all as they are, as doubles.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "104 days in nanoseconds are exact; the lower half of a difference is what is wanted"
    )]
    fn differences(items: &[i128]) -> Self {
        if items.iter().all(|&item| u32::try_from(item).is_ok()) {
            let before = std::iter::once(&0).chain(items);
            let differences = items
                .iter()
                .zip(before)
                .map(|(item, before)| u64::from((item - before) as u32));
            return Self {
                item_bytes: 4,
                items: differences.collect(),
            };
        }
        let doubles = items.iter().map(|&item| (item as f64).to_bits());
        Self {
            item_bytes: 8,
            items: doubles.collect(),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        for item in &self.items {
            bytes.extend_from_slice(&item.to_le_bytes()[..self.item_bytes]);
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}
