use std::collections::{HashMap, HashSet};

use super::recorder::MS;
use super::stories::Story;
use super::*;

const START: UnixNanos = UnixNanos(1_795_312_074_755_000_000);

#[test]
fn all_ids_are_unique_and_not_zero() {
    let mut shop = Shop::new(Rng::with_seed(7));
    let mut trace_ids = HashSet::new();
    let mut span_ids = HashSet::new();
    for n in 0..200 {
        let spans = shop.next(START.plus_nanos(n));
        assert!(trace_ids.insert(spans[0].span.trace_id.clone()));
        for recorded in spans {
            let span = recorded.span;
            assert!((span.trace_id.len(), span.span_id.len()) == (16, 8));
            assert!(span.trace_id.iter().any(|&byte| byte != 0));
            assert!(span.span_id.iter().any(|&byte| byte != 0));
            assert!(span_ids.insert(span.span_id));
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_traffic() {
    let spans = |seed| {
        let mut shop = Shop::new(Rng::with_seed(seed));
        (0..30)
            .flat_map(|n| shop.next(START.plus_nanos(n)))
            .map(|recorded| recorded.span)
            .collect::<Vec<_>>()
    };
    assert_eq!(spans(1), spans(1));
    assert_ne!(spans(1), spans(2));
}

#[test]
fn history_tells_every_story_at_least_twice_and_ends_now() {
    let mut shop = Shop::new(Rng::with_seed(3));
    let requests: Vec<_> = history(&mut shop, START).collect();
    assert_eq!(requests.len(), HISTORY_REQUESTS as usize);
    let starts: Vec<u64> = requests
        .iter()
        .map(|spans| spans[0].span.start_time_unix_nano)
        .collect();
    assert!(starts.is_sorted());
    assert!(starts[0] >= START.minus(HISTORY).0 && starts[starts.len() - 1] < START.0);
    let n_stories = requests.len() / 12;
    assert!(n_stories >= 2 * Story::ALL.len(), "{n_stories}");
}

#[test]
fn everyday_requests_are_fast() {
    let mut shop = Shop::new(Rng::with_seed(5));
    for _ in 0..20 {
        // Eleven of twelve are everyday ones.
        for _ in 0..11 {
            let spans = shop.next(START);
            let root = &spans[0].span;
            let took = root.end_time_unix_nano - root.start_time_unix_nano;
            assert!(
                (5 * MS..300 * MS).contains(&took),
                "{} took {took} ns",
                root.name
            );
        }
        shop.next(START);
    }
}

#[test]
fn processes_send_what_has_ended_in_batches_of_their_own() {
    let mut shop = Shop::new(Rng::with_seed(9));
    let mut batchers = Batchers::new(shop.fleet().clone(), START);
    let spans = shop.tell(Story::RetryStorm, START);
    let n_spans = spans.len();
    let end = spans
        .iter()
        .map(|recorded| recorded.span.end_time_unix_nano)
        .max()
        .expect("spans");
    batchers.push(spans);
    let mut times_by_span: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut parents: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for tick in 0..=40 {
        let now = START.plus_nanos(tick * 200 * MS);
        for request in batchers.due(now) {
            let [resource_spans] = request.resource_spans.as_slice() else {
                panic!("one process")
            };
            for span in resource_spans
                .scope_spans
                .iter()
                .flat_map(|scope| &scope.spans)
            {
                assert!(
                    span.end_time_unix_nano <= now.0,
                    "{} is not over",
                    span.name
                );
                assert_eq!(
                    times_by_span.insert(span.span_id.clone(), tick),
                    None,
                    "sent twice"
                );
                parents.push((span.span_id.clone(), span.parent_span_id.clone()));
            }
        }
    }
    assert!(end < START.plus_nanos(8_000 * MS).0);
    assert_eq!(times_by_span.len(), n_spans);
    let before_parent = |(child, parent): &(Vec<u8>, Vec<u8>)| {
        times_by_span
            .get(parent)
            .is_some_and(|sent| times_by_span[child] < *sent)
    };
    assert!(
        parents.iter().any(before_parent),
        "children come before their parents"
    );
}

#[test]
fn a_batch_has_a_limit() {
    let mut shop = Shop::new(Rng::with_seed(11));
    let mut batchers = Batchers::new(shop.fleet().clone(), START);
    for _ in 0..60 {
        batchers.push(shop.tell(Story::NPlusOne, START));
    }
    let sizes: Vec<usize> = batchers
        .flush(UnixNanos(u64::MAX))
        .iter()
        .map(|request| {
            request.resource_spans[0]
                .scope_spans
                .iter()
                .map(|scope| scope.spans.len())
                .sum()
        })
        .collect();
    assert!(
        sizes
            .iter()
            .all(|&n_spans| n_spans <= batcher::BATCH_SPANS_MAX),
        "{sizes:?}"
    );
    assert!(sizes.contains(&batcher::BATCH_SPANS_MAX), "{sizes:?}");
}

#[test]
fn visitors_come_as_often_as_asked() {
    let mut rng = Rng::with_seed(13);
    let mut arrivals = Arrivals {
        next: START,
        mean_nanos: 2e8,
    };
    let end = START.plus_nanos(1_000_000 * MS);
    let n_arrivals = std::iter::from_fn(|| arrivals.next_by(end, &mut rng)).count();
    assert!(
        (4_700..5_300).contains(&n_arrivals),
        "{n_arrivals} in 1,000 s at 5 a second"
    );
}
