//! What is found among generated facts: what was planted, and nothing where nothing was.

use fastrand::Rng;
use fixedbitset::FixedBitSet;

use super::super::compare::{Compared, Design};
use super::super::exact::{ExactTest, Groups};
use super::super::{EFFECT_MIN, LEVEL};

/// The first so many are these.
fn design(n_these: usize, n_others: usize) -> Design {
    let requests: Vec<(usize, bool)> = (0..n_these + n_others)
        .map(|at| (0, at < n_these))
        .collect();
    Design::of(requests.into_iter())
}

/// A set of requests, each in it with a chance of its own.
fn drawn(rng: &mut Rng, n: usize, chance: impl Fn(usize) -> f64) -> FixedBitSet {
    let mut set = FixedBitSet::with_capacity(n);
    set.extend((0..n).filter(|&at| rng.f64() < chance(at)));
    set
}

/// Facts that hang together as attributes do: each third is one that was there before, on some other
/// requests besides or instead.
fn unrelated(rng: &mut Rng, n_facts: usize, n: usize) -> Vec<FixedBitSet> {
    let mut facts: Vec<FixedBitSet> = Vec::new();
    for at in 0..n_facts {
        let share = rng.f64();
        let mut fact = drawn(rng, n, |_| share);
        if at % 3 == 2 {
            fact = facts[rng.usize(..at)].clone();
            for _ in 0..n / 20 {
                fact.toggle(rng.usize(..n));
            }
        }
        facts.push(fact);
    }
    facts
}

#[test]
fn what_was_planted_is_found_and_told_first() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let mut facts = unrelated(&mut rng, 60, 600);
        facts[17] = drawn(&mut rng, 600, |at| if at < 200 { 0.8 } else { 0.1 });
        let Compared { n_tried, found } = design(200, 400).compare(facts.iter());
        assert!(n_tried <= 60 && n_tried > 40, "{n_tried}");
        assert_eq!(found[0].facts, [17], "seed {seed}: {found:?}");
        assert!(found[0].effect() > 0.55 && found[0].p < 1e-20);
        assert_eq!(found.len(), 1, "seed {seed}: {found:?}");
    }
}

#[test]
fn a_difference_is_found_among_few_requests() {
    let mut rng = Rng::with_seed(1);
    let mut facts = unrelated(&mut rng, 200, 416);
    // 15 of 16, and 3 % elsewhere.
    facts[99] = drawn(&mut rng, 416, |at| match at {
        ..15 => 1.0,
        15 => 0.0,
        _ => 0.03,
    });
    let found = design(16, 400).compare(facts.iter()).found;
    assert_eq!(found[0].facts, [99]);
    assert_eq!((found[0].n_these, found.len()), (15, 1));
}

/// Of 1,000 comparisons of requests that do not differ, no more may tell anything than [`LEVEL`] says;
/// without the correction many would.
#[test]
fn where_nothing_differs_hardly_ever_anything_is_told() {
    let (mut n_told, mut n_told_uncorrected) = (0, 0);
    let n_draws = 1_000;
    for seed in 0..n_draws {
        let mut rng = Rng::with_seed(seed);
        let facts = unrelated(&mut rng, 60, 60);
        let design = design(20, 40);
        n_told += usize::from(!design.compare(facts.iter()).found.is_empty());
        let groups = Groups(vec![(20, 40)]);
        let test = ExactTest::new(&groups);
        n_told_uncorrected += usize::from(facts.iter().any(|fact| {
            let n_these = fact.ones().filter(|&at| at < 20).count();
            test.tail(&[fact.count_ones(..)], n_these) <= LEVEL
        }));
    }
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let most = n_draws as f64 * LEVEL;
    assert!(
        f64::from(u32::try_from(n_told).unwrap()) <= most,
        "{n_told} of {n_draws}"
    );
    assert!(n_told > 0, "the test is not merely blind");
    assert!(
        n_told_uncorrected > 100,
        "{n_told_uncorrected} of {n_draws}"
    );
}

#[test]
fn a_difference_that_is_sure_but_small_is_not_told() {
    let n = 8_000;
    let mut rng = Rng::with_seed(3);
    let small = drawn(&mut rng, n, |at| if at < 4_000 { 0.30 } else { 0.15 });
    let large = drawn(&mut rng, n, |at| if at < 4_000 { 0.40 } else { 0.15 });
    let found = design(4_000, 4_000).compare([small, large].iter()).found;
    let facts: Vec<_> = found.iter().map(|found| &found.facts).collect();
    assert_eq!(facts, [&[1]]);
    assert!(found[0].effect() >= EFFECT_MIN);
}

#[test]
fn what_is_rarer_among_these_is_not_told() {
    let mut rng = Rng::with_seed(4);
    let rarer = drawn(&mut rng, 600, |at| if at < 200 { 0.1 } else { 0.9 });
    assert_eq!(design(200, 400).compare([rarer].iter()).found, []);
}

/// What comes with the operation is no difference when requests are compared with those of their own.
#[test]
fn requests_are_compared_with_others_of_their_operation() {
    // Checkouts are most of these and few of the others; every checkout charges.
    let is_checkout = |at: usize| at < 90 || (100..150).contains(&at);
    let requests: Vec<(usize, bool)> = (0..600)
        .map(|at| (usize::from(is_checkout(at)), at < 100))
        .collect();
    let mut charges = FixedBitSet::with_capacity(600);
    charges.extend((0..600).filter(|&at| is_checkout(at)));
    // Of these checkouts nine in ten pay by invoice, of the others one in ten does.
    let mut invoice = FixedBitSet::with_capacity(600);
    invoice.extend((0..600).filter(|&at| is_checkout(at) && (at % 10 > 0) == (at < 100)));
    let design = Design::of(requests.into_iter());
    let found = design.compare([charges.clone(), invoice].iter()).found;
    let facts: Vec<_> = found.iter().map(|found| &found.facts).collect();
    assert_eq!(facts, [&[1]]);
    // 81 of 100, and 10 % of the checkouts among the others, which weigh nine tenths here.
    assert_eq!((found[0].n_these, found[0].n_others), (81, 5));
    assert!((found[0].these_share - 0.81).abs() < 1e-9);
    assert!((found[0].others_share - 0.09).abs() < 1e-9);

    // Alone, without regard to the operation, it would look like a great one.
    let plain = self::design(100, 500).compare([charges].iter()).found;
    assert_eq!(plain.len(), 1);
}

#[test]
fn those_without_others_of_their_operation_are_not_compared() {
    let requests = [(0, true), (0, false), (1, true), (2, false)];
    let design = Design::of(requests.into_iter());
    assert_eq!(
        (design.n_these(), design.n_others(), design.n_alone),
        (1, 1, 1)
    );
    let none = Design::of([(0, true), (0, true)].into_iter());
    let all = FixedBitSet::with_capacity_and_blocks(2, [3]);
    let compared = none.compare([all].iter());
    assert_eq!((compared.n_tried, compared.found.len()), (0, 0));
}

/// Of two requests both are these, which is unlikely enough: but so few are an id's.
#[test]
fn what_two_requests_have_is_not_tried() {
    let on = |requests: &[usize]| {
        let mut set = FixedBitSet::with_capacity(1_000);
        set.extend(requests.iter().copied());
        set
    };
    let compared = design(4, 996).compare([on(&[0, 1]), on(&[0, 1, 2])].iter());
    assert_eq!((compared.n_tried, compared.found.len()), (1, 1));
    assert_eq!(compared.found[0].facts, [1]);
}

#[test]
fn facts_of_the_same_requests_are_one() {
    let mut rng = Rng::with_seed(5);
    let mut facts = unrelated(&mut rng, 30, 600);
    let planted = drawn(&mut rng, 600, |at| if at < 200 { 0.8 } else { 0.1 });
    for at in [3, 8, 29] {
        facts[at] = planted.clone();
    }
    let found = design(200, 400).compare(facts.iter()).found;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].facts, [3, 8, 29]);
}
