//! Makes overviews: a search's walk over all that may match, the newest first, with a builder behind it.
//! Of the blocks it reads it remembers what it counts ([`heads`]).

mod heads;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::core::Core;
use super::cursor::Position;
use super::entries::Snapshot;
use super::entry::{self, Ends};
use super::partition::{Partition, Rows};
use super::search::{Plan, Search, Sink};
use crate::{Matched, Order, Overview, OverviewBuilder, OverviewRequest, StorageError};

pub(super) use self::heads::Remembered;
use self::heads::{Heads, Names, read_ends};

/// How long blocks are read at a time for who asked: half of the time between two rounds.
const REMEMBER_WITHIN: Duration = Duration::from_secs(1);

/// What is found, taken together.
struct Gathering<'a> {
    core: &'a Core,
    builder: OverviewBuilder,
    told: Option<Told>,
    /// Whether something was left out that may match.
    is_lower_bound: bool,
}

/// What the names of remembered blocks say, each asked once.
struct Told {
    names: Arc<Names>,
    /// By the number of labels, and of ends.
    labels: Vec<Answer>,
    ends: Vec<Answer>,
    /// By the number of ends: how many matches have them.
    n_matches: Vec<u64>,
    /// The places of a block's matches.
    matches: Vec<usize>,
}

/// Whether names are as asked for.
#[derive(Clone, Copy)]
enum Answer {
    Unasked,
    Yes,
    No,
    /// Only the trace itself can say.
    Open,
}

impl Answer {
    /// The answer, asked for once.
    fn or_ask(&mut self, ask: impl FnOnce() -> Option<bool>) -> Self {
        if let Self::Unasked = self {
            *self = match ask() {
                Some(true) => Self::Yes,
                Some(false) => Self::No,
                None => Self::Open,
            };
        }
        *self
    }
}

impl Core {
    /// The requests that match of everything taken in so far, together.
    ///
    /// # Errors
    /// When a partition cannot be read, the query cannot be matched, or it was cancelled.
    pub(super) fn overview(&self, request: &OverviewRequest) -> Result<Overview, StorageError> {
        self.overview_in(&self.snapshot()?, request)
    }

    /// Those of what there was at a moment.
    ///
    /// # Errors
    /// As [`Self::overview`].
    pub(super) fn overview_in(
        &self,
        snapshot: &Snapshot,
        request: &OverviewRequest,
    ) -> Result<Overview, StorageError> {
        let plan = Plan::new(&request.query, request.from, request.to)?;
        self.remembered.keep(&snapshot.view);
        let gathering = Gathering {
            core: self,
            told: None,
            builder: OverviewBuilder::new(request),
            is_lower_bound: false,
        };
        let mut search = Search::new(self, snapshot, plan, gathering, &request.cancel);
        if let Some(within) = request.within {
            search.end_within(within);
        }
        search.walk()?;
        Ok(search.finish())
    }
}

impl Core {
    /// Reads some of the blocks that overviews would have to read, the newest first, as long as there are
    /// any and room to remember them: behind who waited only for as many as could be read. Before anybody
    /// asks it would take memory for nothing.
    ///
    /// # Errors
    /// As [`Self::overview`].
    pub(super) fn remember_blocks(&self) -> Result<(), StorageError> {
        if self.may_remember.swap(false, Ordering::Relaxed) {
            self.overview(&OverviewRequest {
                within: Some(REMEMBER_WITHIN),
                ..OverviewRequest::default()
            })?;
        }
        Ok(())
    }
}

impl Sink for Gathering<'_> {
    /// What is not reached of too much is the oldest.
    fn order(&self) -> Order {
        Order::Newest
    }

    fn add(&mut self, position: Position, entry: &[u8]) -> Result<(), StorageError> {
        let entry::Parts { head, ends, .. } = entry::parts(entry)?;
        let has_errors = head.n_errors > 0;
        let trace_id = position.trace_id();
        self.builder.add(
            trace_id,
            head.start,
            head.duration_nanos,
            has_errors,
            Some(ends.hop),
        );
        Ok(())
    }

    fn leave_out(&mut self) {
        self.is_lower_bound = true;
    }

    fn recall(
        &mut self,
        plan: &Plan,
        snapshot: &Snapshot,
        partition: &Partition,
        block: u32,
    ) -> bool {
        if !plan.is_of_names() || partition.is_broken() {
            return false;
        }
        let place = (partition.number(), block);
        let Some(heads) = self.core.remembered.get(place) else {
            return false;
        };
        let told = self.told.get_or_insert_with(|| Told::new(&heads.names));
        // When all was forgotten meanwhile, numbers stand for other names.
        if !Arc::ptr_eq(&told.names, &heads.names) || !told.find(plan, snapshot, place, &heads) {
            return false;
        }
        for head in told.matches.iter().map(|&at| &heads.all[at]) {
            *at_number(&mut told.n_matches, head.ends, 0) += 1;
            let numbers = head.numbers();
            let has_errors = numbers.n_errors > 0;
            self.builder.add(
                head.trace_id,
                head.start(),
                numbers.duration_nanos,
                has_errors,
                None,
            );
        }
        true
    }

    fn see(&mut self, rows: &Rows, partition: &Partition, block: u32) {
        let bytes_max = usize::try_from(self.core.settings.overview_bytes_max);
        let place = (partition.number(), block);
        let remembered = &self.core.remembered;
        if remembered.add(place, rows, bytes_max.unwrap_or(usize::MAX)) {
            self.core.may_remember.store(true, Ordering::Relaxed);
        }
    }
}

impl Told {
    fn new(names: &Arc<Names>) -> Self {
        Self {
            names: Arc::clone(names),
            labels: Vec::new(),
            ends: Vec::new(),
            n_matches: Vec::new(),
            matches: Vec::new(),
        }
    }

    /// Finds the matches of a block; `false` when its heads do not tell.
    fn find(&mut self, plan: &Plan, snapshot: &Snapshot, place: (u32, u32), heads: &Heads) -> bool {
        let is_all_newest = snapshot.is_all_newest(place.0, place.1);
        self.matches.clear();
        for (at, head) in heads.all.iter().enumerate() {
            let is_newest = is_all_newest
                || (!snapshot.live.contains_key(&head.trace_id)
                    && snapshot.view.is_newest(head.trace_id, place.0, place.1));
            if !is_newest || !plan.is_in_ranges(&head.numbers()) {
                continue;
            }
            match (
                self.ask_labels(plan, head.labels),
                self.ask_ends(plan, head.ends),
            ) {
                (Answer::No, _) | (_, Answer::No) => {}
                (Answer::Yes, Answer::Yes) => self.matches.push(at),
                _ => return false,
            }
        }
        true
    }

    fn ask_labels(&mut self, plan: &Plan, number: u16) -> Answer {
        let names = &self.names;
        at_number(&mut self.labels, number, Answer::Unasked)
            .or_ask(|| plan.has_labels(&names.get(number)?).ok()?)
    }

    fn ask_ends(&mut self, plan: &Plan, number: u16) -> Answer {
        let names = &self.names;
        at_number(&mut self.ends, number, Answer::Unasked)
            .or_ask(|| plan.has_ends(&read_ends(&names.get(number)?)?))
    }

    /// Gives the builder the hops that were counted.
    fn finish(self, builder: &mut OverviewBuilder) {
        let matches = (0..).zip(self.n_matches);
        for (number, n) in matches.filter(|(_, n)| *n > 0) {
            let text = self.names.get(number);
            if let Some(Ends { hop, .. }) = text.as_deref().and_then(read_ends) {
                builder.add_hop(hop.0, hop.1, n);
            }
        }
    }
}

impl Search<'_, Gathering<'_>> {
    fn finish(mut self) -> Overview {
        let saw_all = self.saw_all();
        let Gathering {
            mut builder,
            told,
            is_lower_bound,
            ..
        } = self.sink;
        if let Some(told) = told {
            told.finish(&mut builder);
        }
        let is_stopped = self.unseen.stopped.is_some();
        let overview = builder.finish();
        let matched = match overview.matched {
            Matched::Exactly(n) if is_lower_bound || is_stopped => Matched::AtLeast(n),
            matched => matched,
        };
        Overview {
            matched,
            complete: saw_all && !is_stopped,
            unseen: self.unseen,
            scanned: self.scanned,
            ..overview
        }
    }
}

/// What a list has for a number; it grows to have it.
fn at_number<T: Clone>(of: &mut Vec<T>, number: u16, otherwise: T) -> &mut T {
    let at = usize::from(number);
    if of.len() <= at {
        of.resize(at + 1, otherwise);
    }
    &mut of[at]
}
