//! Makes overviews: a search's walk over all that may match, the newest first, with a builder behind it.
//! Of the blocks it reads it remembers what it counts ([`heads`]).

mod heads;

use std::sync::Arc;

use super::core::Core;
use super::cursor::Position;
use super::entries::Snapshot;
use super::entry;
use super::partition::{Partition, Rows};
use super::search::{Plan, Search, Sink};
use crate::{Matched, Order, Overview, OverviewBuilder, OverviewRequest, StorageError};

pub(super) use self::heads::Remembered;
use self::heads::{Heads, Names, read_hop};

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
    /// By labels' number.
    labels: Vec<Answer>,
    /// By slowest hop's number: how many matches have it.
    hops: Vec<u64>,
    /// The places of a block's matches.
    matches: Vec<usize>,
}

/// Whether labels are as asked for.
#[derive(Clone, Copy)]
enum Answer {
    Unasked,
    Yes,
    No,
    /// Only the trace itself can say.
    Open,
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

impl Sink for Gathering<'_> {
    /// What is not reached of too much is the oldest.
    fn order(&self) -> Order {
        Order::Newest
    }

    fn add(&mut self, position: Position, entry: &[u8]) -> Result<(), StorageError> {
        let entry::Parts { head, hop, .. } = entry::parts(entry)?;
        let has_errors = head.n_errors > 0;
        let trace_id = position.trace_id();
        self.builder.add(
            trace_id,
            head.start,
            head.duration_nanos,
            has_errors,
            Some(hop),
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
        if !plan.is_of_labels() || partition.is_broken() {
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
            *at_number(&mut told.hops, head.hop, 0) += 1;
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
        remembered.add(place, rows, bytes_max.unwrap_or(usize::MAX));
    }
}

impl Told {
    fn new(names: &Arc<Names>) -> Self {
        Self {
            names: Arc::clone(names),
            labels: Vec::new(),
            hops: Vec::new(),
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
            match self.ask(plan, head.labels) {
                Answer::Yes => self.matches.push(at),
                Answer::No => {}
                Answer::Unasked | Answer::Open => return false,
            }
        }
        true
    }

    fn ask(&mut self, plan: &Plan, number: u16) -> Answer {
        let answer = at_number(&mut self.labels, number, Answer::Unasked);
        if let Answer::Unasked = answer {
            let labels = self.names.get(number);
            let has_labels = labels.map(|labels| plan.has_labels(&labels));
            *answer = match has_labels {
                Some(Ok(Some(true))) => Answer::Yes,
                Some(Ok(Some(false))) => Answer::No,
                Some(Ok(None) | Err(_)) | None => Answer::Open,
            };
        }
        *answer
    }

    /// Gives the builder the hops that were counted.
    fn finish(self, builder: &mut OverviewBuilder) {
        let hops = (0..).zip(self.hops);
        for (number, n) in hops.filter(|(_, n)| *n > 0) {
            let text = self.names.get(number);
            if let Some((service, name)) = text.as_deref().and_then(read_hop) {
                builder.add_hop(service, name, n);
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
