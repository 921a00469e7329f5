use std::collections::BTreeSet;

use longpole_analysis::aggregate::Sketch;
use longpole_proto::{TraceId, UnixNanos};
use proptest::prelude::*;

use super::*;

fn id(n: usize) -> TraceId {
    TraceId::new((n as u128 + 1).to_be_bytes()).expect("not zero")
}

/// An overview of requests by start, duration and whether they have errors.
fn overview(request: &OverviewRequest, requests: &[(u64, u64, bool)]) -> Overview {
    let mut builder = OverviewBuilder::new(request);
    for (n, &(start, nanos, has_errors)) in requests.iter().enumerate() {
        builder.add(id(n), UnixNanos(start), nanos, has_errors, None);
    }
    builder.finish()
}

fn columns(n_columns: usize) -> OverviewRequest {
    OverviewRequest {
        n_columns,
        ..OverviewRequest::default()
    }
}

#[test]
fn rows_begin_at_one_two_and_five() {
    let starts: Vec<u64> = (0..HEAT_ROWS).map(|row| heat_row_bounds(row).0).collect();
    assert_eq!(starts[..8], [0, 1, 2, 5, 10, 20, 50, 100]);
    assert_eq!(heat_row_bounds(HEAT_ROWS - 1), (10_u64.pow(19), u64::MAX));
    for (row, next) in (0..HEAT_ROWS).zip(1..HEAT_ROWS) {
        assert_eq!(heat_row_bounds(row).1 + 1, heat_row_bounds(next).0);
    }
}

#[test]
fn columns_are_round_and_as_many_as_there_is_room_for() {
    const S: u64 = 1_000_000_000;
    let cases = [
        (0, 1, 1),
        (60 * S, 1, 61),
        (61 * S, 2, 31),
        (900 * S, 15, 61),
        (3_600 * S, 60, 61),
        (24 * 3_600 * S, 30 * 60, 49),
        (7 * 24 * 3_600 * S, 3 * 3_600, 57),
    ];
    for (range, step, n) in cases {
        let start = 1_795_312_074 * S;
        let start = start - start % (86_400 * S);
        let found = overview(
            &columns(61),
            &[(start, 1, false), (start + range, 1, false)],
        );
        let expected = Columns {
            start: UnixNanos(start),
            step: Duration::from_secs(step),
            n,
        };
        assert_eq!(found.columns, Some(expected), "{range}");
    }
    let all = overview(&columns(60), &[(0, 1, false), (u64::MAX, 1, false)]);
    let all = all.columns.expect("columns");
    assert_eq!((all.n, all.bounds(all.n - 1).1), (43, None));
}

#[test]
fn nothing_has_no_columns_and_no_percentiles() {
    let none = overview(&columns(60), &[]);
    assert_eq!((none.columns, none.percentiles), (None, None));
    assert_eq!(none.matched, Matched::Exactly(0));
    let one = overview(&columns(0), &[(5, 7, true)]);
    assert_eq!((one.columns, one.n_with_errors), (None, 1));
    let p = one.percentiles.expect("one");
    assert_eq!([p.p50_nanos, p.p95_nanos, p.p99_nanos], [7; 3]);
}

#[test]
fn a_whole_range_is_covered() {
    const S: u64 = 1_000_000_000;
    let request = OverviewRequest {
        from: Some(UnixNanos(100 * S)),
        to: Some(UnixNanos(160 * S)),
        is_whole_range: true,
        ..columns(60)
    };
    let found = overview(&request, &[(130 * S, 1, false)]);
    let columns = found.columns.expect("columns");
    assert_eq!((columns.start, columns.n), (UnixNanos(100 * S), 60));
    assert_eq!(found.cells[0].column, 30);
    let narrow = OverviewRequest {
        is_whole_range: false,
        ..request
    };
    let columns = overview(&narrow, &[(130 * S, 1, false)]).columns;
    assert_eq!(columns.expect("columns").n, 1);
}

#[test]
fn of_very_many_the_percentiles_are_about() {
    let mut builder = OverviewBuilder::new(&OverviewRequest::default());
    let n = EXACT_PERCENTILES_MAX as u64 + 1;
    for nanos in 1..=n {
        builder.add(id(0), UnixNanos(0), nanos * 1_000, false, None);
    }
    let found = builder.finish().percentiles.expect("some");
    assert!(!found.are_exact);
    let (p99, exact) = (found.p99_nanos, (n * 99).div_ceil(100) * 1_000);
    assert!(p99.abs_diff(exact) <= exact / 100, "{p99} for {exact}");
    assert_eq!(p99, Sketch::nanos(Sketch::bucket(exact)));
}

#[test]
fn too_many_hops_are_said_to_be() {
    let request = OverviewRequest {
        n_hops: 2,
        ..OverviewRequest::default()
    };
    let mut builder = OverviewBuilder::new(&request);
    for n in 0..10_005 {
        let name = format!("{}", n % 10_002);
        builder.add(id(n), UnixNanos(0), 1, false, Some(("web", &name)));
    }
    let found = builder.finish();
    assert!(!found.has_all_hops);
    let names = found.slowest_hops.iter().map(|(of, n)| (&*of.name, *n));
    assert_eq!(names.collect::<Vec<_>>(), [("0", 2), ("1", 2)]);
}

#[test]
fn a_sample_is_the_same_whatever_the_order() {
    let request = OverviewRequest {
        n_sample: 10,
        ..OverviewRequest::default()
    };
    let sample = |ids: &mut dyn Iterator<Item = usize>| {
        let mut builder = OverviewBuilder::new(&request);
        ids.for_each(|n| builder.add(id(n), UnixNanos(0), 1, false, None));
        builder.finish().sample
    };
    let forth = sample(&mut (0..1_000));
    assert_eq!(forth.len(), 10);
    assert_eq!(forth, sample(&mut (0..1_000).rev()));
    // Of IDs that count up, not the first.
    assert!(!forth.contains(&id(0)) || !forth.contains(&id(1)));
    assert_eq!(sample(&mut (0..3)).len(), 3);
}

fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..100_u64,
        1_795_312_074_000_000_000..1_795_398_474_000_000_000_u64,
        (0..64_u32).prop_map(|bit| 1 << bit),
    ]
}

proptest! {
    #[test]
    fn every_duration_is_between_its_rows_bounds(nanos in any_number()) {
        let row = heat_row(nanos);
        let (least, most) = heat_row_bounds(row);
        prop_assert!(row < HEAT_ROWS && least <= nanos && nanos <= most);
    }

    #[test]
    fn cells_count_what_is_between_their_bounds(
        requests in prop::collection::vec((any_number(), any_number(), any::<bool>()), 0..40),
        n_columns in 1..80_usize,
    ) {
        let found = overview(&columns(n_columns), &requests);
        let Some(columns) = found.columns else {
            prop_assert!(requests.is_empty());
            return Ok(());
        };
        prop_assert!(columns.n as usize <= n_columns.max(4));
        let mut n_counted = 0;
        for cell in &found.cells {
            let (from, to) = columns.bounds(cell.column);
            let (least, most) = heat_row_bounds(cell.row);
            let of_cell = requests.iter().filter(|(start, nanos, _)| {
                *start >= from.0
                    && to.is_none_or(|to| *start < to.0)
                    && (least..=most).contains(nanos)
            });
            let n_with_errors = of_cell.clone().filter(|(_, _, has_errors)| *has_errors).count();
            prop_assert_eq!(of_cell.count() as u64, cell.n_requests);
            prop_assert_eq!(n_with_errors as u64, cell.n_with_errors);
            n_counted += cell.n_requests;
        }
        prop_assert_eq!(n_counted, requests.len() as u64);
        let places = found.cells.iter().map(|cell| (cell.column, cell.row));
        let n_cells = found.cells.len();
        prop_assert_eq!(places.collect::<BTreeSet<_>>().len(), n_cells);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_list(mut all in prop::collection::vec(any_number(), 1..300)) {
        let requests: Vec<_> = all.iter().map(|&nanos| (0, nanos, false)).collect();
        let found = overview(&OverviewRequest::default(), &requests).percentiles.expect("some");
        all.sort_unstable();
        let at = |percent: usize| all[(all.len() * percent).div_ceil(100) - 1];
        prop_assert_eq!(found.p50_nanos, at(50));
        prop_assert_eq!(found.p95_nanos, at(95));
        prop_assert_eq!(found.p99_nanos, at(99));
        prop_assert!(found.are_exact);
    }
}
