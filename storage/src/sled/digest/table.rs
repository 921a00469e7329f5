//! Cells: what was counted of one thing in one minute.

use std::hash::{Hash, Hasher};
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use longpole_analysis::aggregate::Sketch;

use super::Limits;

/// What cells count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sled) enum Kind {
    /// Spans, by service and name; `n` is requests.
    Operation,
    /// Calls, by the caller's service and the callee's; `n` is nothing.
    Edge,
    /// Calls, by the caller's service and the peer; `n` is nothing.
    PeerEdge,
    /// Requests, by the root's service and name and the slowest hop's; `n` is how many.
    SlowestHop,
    /// Spans that could not be counted, without a name; `n` is how many.
    Uncounted,
}

/// All kinds, in the order in which they are stored.
pub(super) const KINDS: [Kind; 5] = [
    Kind::Operation,
    Kind::Edge,
    Kind::PeerEdge,
    Kind::SlowestHop,
    Kind::Uncounted,
];

impl Kind {
    /// How many names a cell has.
    pub(super) fn n_names(self) -> usize {
        match self {
            Self::Operation | Self::Edge | Self::PeerEdge => 2,
            Self::SlowestHop => 4,
            Self::Uncounted => 0,
        }
    }

    /// Which of them are services.
    pub(super) fn service_places(self) -> &'static [usize] {
        match self {
            Self::Operation | Self::PeerEdge => &[0],
            Self::Edge => &[0, 1],
            Self::SlowestHop => &[0, 2],
            Self::Uncounted => &[],
        }
    }
}

/// The minute of what is at too many of them.
pub(in crate::sled) const NO_MINUTE: u32 = u32::MAX;

/// No name, by number.
pub(super) const NO_NAME: u32 = u32::MAX;

/// Which cell it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sled) struct Key {
    pub(in crate::sled) minute: u32,
    /// As many as the kind has, by number.
    pub(in crate::sled) names: [u32; 4],
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let [a, b, c, d] = self.names.map(u64::from);
        to.write_u64(a << 32 | u64::from(self.minute));
        to.write_u64(b << 32 | c);
        to.write_u64(d);
    }
}

impl Key {
    /// The cell of two names.
    pub(super) fn of_two([a, b]: [u32; 2], minute: u32) -> Self {
        Self {
            minute,
            names: [a, b, NO_NAME, NO_NAME],
        }
    }

    /// The cell of what was too much to be kept apart, and of what has no names.
    pub(in crate::sled) fn other(minute: u32) -> Self {
        Self {
            minute,
            names: [NO_NAME; 4],
        }
    }

    /// Whether it has no names.
    pub(in crate::sled) fn is_other(&self) -> bool {
        self.names[0] == NO_NAME
    }
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::sled) struct Cell {
    pub(in crate::sled) n: u64,
    pub(in crate::sled) n_errors: u64,
    pub(in crate::sled) durations: Sketch,
}

impl Cell {
    fn is_empty(&self) -> bool {
        self.n == 0 && self.n_errors == 0 && self.durations.is_empty()
    }

    /// Takes out what was added, and gives what was not there.
    fn subtract(&mut self, less: &Self) -> Self {
        let missing = Self {
            n: less.n.saturating_sub(self.n),
            n_errors: less.n_errors.saturating_sub(self.n_errors),
            durations: self.durations.subtract(&less.durations),
        };
        self.n = self.n.saturating_sub(less.n);
        self.n_errors = self.n_errors.saturating_sub(less.n_errors);
        missing
    }
}

/// The cells of a kind.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    cells: Vec<(Key, Cell)>,
    by_key: HashMap<Key, u32, RandomState>,
    minutes: HashSet<u32, RandomState>,
    /// How many cells have names.
    n_named: usize,
    /// How many buckets the cells' sketches have, or a little more.
    n_buckets: usize,
}

impl Table {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            cells: Vec::new(),
            by_key: HashMap::default(),
            minutes: HashSet::default(),
            n_named: 0,
            n_buckets: 0,
        }
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.by_key.clear();
        self.minutes.clear();
        self.n_named = 0;
        self.n_buckets = 0;
    }

    /// Where a cell is, made when there is room for it; else where the one is that counts for it.
    pub(super) fn place(&mut self, key: Key) -> u32 {
        if let Some(&place) = self.by_key.get(&key) {
            return place;
        }
        let is_full = self.minutes.len() >= self.limits.minutes;
        if key.minute == NO_MINUTE || is_full && !self.minutes.contains(&key.minute) {
            return self.place_anyway(Key::other(NO_MINUTE));
        }
        self.minutes.insert(key.minute);
        if key.is_other() || self.n_named >= self.limits.cells {
            return self.place_anyway(Key::other(key.minute));
        }
        self.n_named += 1;
        self.place_anyway(key)
    }

    fn place_anyway(&mut self, key: Key) -> u32 {
        let next = u32::try_from(self.cells.len()).expect("a table's cells are bounded");
        *self.by_key.entry(key).or_insert_with(|| {
            self.cells.push((key, Cell::default()));
            next
        })
    }

    /// How many places there are.
    pub(super) fn n_places(&self) -> usize {
        self.cells.len()
    }

    /// The cell at a place.
    #[inline]
    pub(super) fn cell(&mut self, place: u32) -> &mut Cell {
        &mut self.cells[place as usize].1
    }

    /// Adds to a cell.
    pub(super) fn add(&mut self, key: Key, n: u64, n_errors: u64, counts: &[(u16, u32)]) {
        let place = self.place(key);
        self.add_durations(place, counts);
        let cell = self.cell(place);
        cell.n = cell.n.saturating_add(n);
        cell.n_errors = cell.n_errors.saturating_add(n_errors);
    }

    /// Adds durations to the cell at a place.
    pub(super) fn add_durations(&mut self, place: u32, counts: &[(u16, u32)]) {
        let durations = &mut self.cell(place).durations;
        let n_before = durations.counts().len();
        durations.merge(counts);
        let n_new = durations.counts().len() - n_before;
        self.n_buckets += n_new;
    }

    /// Takes out what was added. What is not in its cell was too much when it was added; what is not
    /// there either is forgotten.
    fn subtract(&mut self, less: &Self) {
        for (key, less) in &less.cells {
            let mut missing = less.clone();
            let others = [Key::other(key.minute), Key::other(NO_MINUTE)];
            for key in [*key].into_iter().chain(others) {
                if let Some(&place) = self.by_key.get(&key) {
                    missing = self.cell(place).subtract(&missing);
                }
                if missing.is_empty() {
                    break;
                }
            }
        }
    }
}

/// The cells of all kinds.
#[derive(Debug)]
pub(super) struct Tally([Table; KINDS.len()]);

impl Tally {
    /// No cells.
    pub(super) fn new(limits: Limits) -> Self {
        Self(std::array::from_fn(|_| Table::new(limits)))
    }

    /// Forgets all cells.
    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(Table::clear);
    }

    /// The table of a kind.
    #[inline]
    pub(super) fn table(&mut self, kind: Kind) -> &mut Table {
        &mut self.0[kind as usize]
    }

    /// The cells of a kind that count anything, in no order.
    pub(super) fn cells(&self, kind: Kind) -> impl Iterator<Item = (Key, &Cell)> {
        let cells = self.0[kind as usize].cells.iter();
        cells
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(key, cell)| (*key, cell))
    }

    /// Takes out what was added.
    pub(super) fn subtract(&mut self, less: &Self) {
        for (table, less) in self.0.iter_mut().zip(&less.0) {
            table.subtract(less);
        }
    }

    /// The minutes its cells are at, from the first to behind the last; all there are when some are
    /// not known.
    pub(super) fn minutes(&self) -> Option<Range<u32>> {
        let tables = self.0.iter();
        let minutes = || {
            tables
                .clone()
                .flat_map(|table| table.cells.iter().map(|of| of.0.minute))
        };
        match minutes().max()? {
            NO_MINUTE => Some(0..NO_MINUTE),
            last => Some(minutes().min()?..last + 1),
        }
    }

    /// Whether there was no room for another minute.
    pub(super) fn is_out_of_minutes(&self) -> bool {
        let mut tables = self.0.iter();
        tables.any(|table| table.minutes.len() >= table.limits.minutes)
    }

    /// How many buckets its sketches have, or a little more.
    pub(super) fn n_buckets(&self) -> usize {
        self.0.iter().map(|table| table.n_buckets).sum()
    }
}
