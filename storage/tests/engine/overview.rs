//! An overview says of all that match what a search lists of them.

use std::collections::{BTreeMap, BTreeSet};

use longpole_analysis::TraceSummary;
use longpole_proto::TraceId;
use longpole_storage::{
    Matched, Operation, Overview, OverviewRequest, SearchRequest, Store, Unseen, heat_row,
    heat_row_bounds,
};
use proptest::prelude::*;

/// Checks the overview of what a search asks for, which finds these.
pub(crate) fn check(
    store: &dyn Store,
    search: &SearchRequest,
    found: &[TraceSummary],
) -> Result<(), TestCaseError> {
    let request = OverviewRequest {
        query: search.query.clone(),
        from: search.from,
        to: search.to,
        n_columns: 60,
        n_hops: 1_000,
        n_sample: search.limit,
        ..OverviewRequest::default()
    };
    let overview = store.overview(&request).expect("the store looks");
    prop_assert!(overview.complete);
    prop_assert_eq!(overview.unseen, Unseen::default());
    prop_assert_eq!(overview.matched, Matched::Exactly(found.len() as u64));
    let n_with_errors = found.iter().filter(|of| of.n_errors > 0).count() as u64;
    prop_assert_eq!(overview.n_with_errors, n_with_errors);
    check_cells(&overview, found)?;
    check_percentiles(&overview, found)?;
    check_hops(&overview, found)?;
    let ids: BTreeSet<TraceId> = found.iter().map(|of| of.trace_id).collect();
    let sample: BTreeSet<TraceId> = overview.sample.iter().copied().collect();
    prop_assert!(sample.is_subset(&ids));
    prop_assert_eq!(sample.len(), found.len().min(search.limit));
    // The second time from what is remembered.
    let again = Overview {
        scanned: overview.scanned,
        ..store.overview(&request).expect("the store looks")
    };
    prop_assert_eq!(again, overview);
    Ok(())
}

fn check_cells(overview: &Overview, found: &[TraceSummary]) -> Result<(), TestCaseError> {
    let Some(columns) = overview.columns else {
        prop_assert!(found.is_empty() && overview.cells.is_empty());
        return Ok(());
    };
    let mut expected: BTreeMap<(u32, u8), (u64, u64)> = BTreeMap::new();
    for of in found {
        let mut all = 0..columns.n;
        let column = all.find(|&column| {
            let (from, to) = columns.bounds(column);
            from <= of.start && to.is_none_or(|to| of.start < to)
        });
        let row = heat_row(of.duration_nanos);
        let (least, most) = heat_row_bounds(row);
        prop_assert!((least..=most).contains(&of.duration_nanos));
        let cell = expected.entry((column.expect("a column"), row));
        let (n, n_with_errors) = cell.or_default();
        *n += 1;
        *n_with_errors += u64::from(of.n_errors > 0);
    }
    let cells = overview.cells.iter();
    let cells = cells.map(|cell| {
        let numbers = (cell.n_requests, cell.n_with_errors);
        ((cell.column, cell.row), numbers)
    });
    prop_assert_eq!(
        cells.collect::<Vec<_>>(),
        expected.into_iter().collect::<Vec<_>>()
    );
    Ok(())
}

fn check_percentiles(overview: &Overview, found: &[TraceSummary]) -> Result<(), TestCaseError> {
    let mut durations: Vec<u64> = found.iter().map(|of| of.duration_nanos).collect();
    durations.sort_unstable();
    let Some(percentiles) = overview.percentiles else {
        prop_assert!(durations.is_empty());
        return Ok(());
    };
    let at = |percent: usize| durations[(durations.len() * percent).div_ceil(100) - 1];
    prop_assert!(percentiles.are_exact);
    prop_assert_eq!(percentiles.p50_nanos, at(50));
    prop_assert_eq!(percentiles.p95_nanos, at(95));
    prop_assert_eq!(percentiles.p99_nanos, at(99));
    Ok(())
}

fn check_hops(overview: &Overview, found: &[TraceSummary]) -> Result<(), TestCaseError> {
    let mut expected: BTreeMap<Operation, u64> = BTreeMap::new();
    for of in found {
        let service = of.slowest_hop.service.clone();
        let name = of.slowest_hop.name.clone();
        *expected.entry(Operation { service, name }).or_default() += 1;
    }
    let mut expected: Vec<(Operation, u64)> = expected.into_iter().collect();
    expected.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    prop_assert!(overview.has_all_hops);
    prop_assert_eq!(&overview.slowest_hops, &expected);
    Ok(())
}
