//! Makes overviews: a search's walk over all that may match, the newest first, with a builder behind it.

use super::core::Core;
use super::cursor::Position;
use super::entries::Snapshot;
use super::entry;
use super::search::{Plan, Search, Sink};
use crate::{Matched, Order, Overview, OverviewBuilder, OverviewRequest, StorageError};

/// What is found, taken together.
struct Gathering {
    builder: OverviewBuilder,
    /// Whether something was left out that may match.
    is_lower_bound: bool,
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
        let gathering = Gathering {
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

impl Sink for Gathering {
    /// What is not reached of too much is the oldest.
    fn order(&self) -> Order {
        Order::Newest
    }

    fn add(&mut self, position: Position, entry: &[u8]) -> Result<(), StorageError> {
        let (head, _) = entry::head(entry)?;
        let wants_hops = self.builder.wants_hops();
        let hop = wants_hops.then(|| entry::hop(entry)).transpose()?;
        let has_errors = head.n_errors > 0;
        let trace_id = position.trace_id();
        self.builder
            .add(trace_id, head.start, head.duration_nanos, has_errors, hop);
        Ok(())
    }

    fn leave_out(&mut self) {
        self.is_lower_bound = true;
    }
}

impl Search<'_, Gathering> {
    fn finish(mut self) -> Overview {
        let saw_all = self.saw_all();
        let Gathering {
            builder,
            is_lower_bound,
        } = self.sink;
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
