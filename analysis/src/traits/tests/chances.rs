//! The exact test and the correction against what is known.

use proptest::prelude::*;

use super::super::compare::{Found, correct};
use super::super::exact::{ExactTest, Groups};

fn tail(groups: &[(usize, usize)], with: &[usize], n_these: usize) -> f64 {
    ExactTest::new(&Groups(groups.to_vec())).tail(with, n_these)
}

fn assert_near(found: f64, known: f64) {
    assert!(
        (found - known).abs() <= known * 1e-9,
        "{found} is not {known}"
    );
}

/// The lady tasting tea (Fisher 1935, chapter 2): of four cups each, three and four told right.
#[test]
fn it_is_fishers_exact_test() {
    assert_near(tail(&[(4, 4)], &[4], 3), 17.0 / 70.0);
    assert_near(tail(&[(4, 4)], &[4], 4), 1.0 / 70.0);
}

/// Convictions of like-sex twins of criminals (Fisher 1962), which R's `fisher.test` has as an example:
/// `p-value = 0.0004652`, to more digits with exact fractions.
#[test]
fn it_agrees_with_r_on_fishers_twins() {
    assert_near(tail(&[(13, 17)], &[12], 10), 0.000_465_180_943_362_905_03);
}

/// Penicillin in rabbits, in five strata (Mantel 1963; Agresti 2002, p. 287). R's `mantelhaen.test(Rabbits,
/// exact = TRUE)` has twice this one-sided chance, S = 16, p-value = 0.03994.
#[test]
fn it_agrees_with_r_on_the_rabbits_of_several_groups() {
    let groups = [(6, 5), (6, 6), (6, 6), (6, 6), (2, 5)];
    assert_near(
        tail(&groups, &[0, 3, 8, 11, 7], 16),
        0.019_972_451_790_633_61,
    );
}

#[test]
fn the_least_likely_is_not_lost_to_rounding() {
    // 1 in C(600, 200).
    let ln: f64 = (1..=200_u32)
        .map(|k| (f64::from(400 + k) / f64::from(k)).ln())
        .sum();
    let found = tail(&[(200, 400)], &[200], 200);
    assert!((found.ln() + ln).abs() < 1e-6, "{found}");
}

/// C(n, k), exactly.
fn choose(n: usize, k: usize) -> u128 {
    if k > n {
        return 0;
    }
    (0..k).fold(1, |product, at| {
        product * (n - at) as u128 / (at + 1) as u128
    })
}

/// How many ways there are to choose these so that they have so many of the facts, and how many in all.
fn counted(groups: &[(usize, usize)], with: &[usize], n_these: usize) -> (u128, u128) {
    let mut ways = vec![1_u128];
    let mut all = 1;
    for (&(these, others), &with) in groups.iter().zip(with) {
        let mut next = vec![0; ways.len() + these];
        for (before, n) in ways.iter().enumerate() {
            for hits in 0..=these.min(with) {
                next[before + hits] +=
                    n * choose(with, hits) * choose(these + others - with, these - hits);
            }
        }
        ways = next;
        all *= choose(these + others, these);
    }
    (ways.into_iter().skip(n_these).sum(), all)
}

proptest! {
    #[test]
    #[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
    fn it_agrees_with_counting_all_choices(
        groups in prop::collection::vec((1..9_usize, 1..9_usize), 1..4),
        shares in prop::collection::vec(0.0..=1.0_f64, 3),
        hit in 0.0..=1.0_f64,
    ) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
        let part = |of: usize, share: f64| (of as f64 * share).round() as usize;
        let with: Vec<usize> = groups
            .iter()
            .zip(shares)
            .map(|((these, others), share)| part(these + others, share))
            .collect();
        let most = groups.iter().zip(&with).map(|((these, _), with)| these.min(with)).sum();
        let n_these = part(most, hit);
        let (ways, all) = counted(&groups, &with, n_these);
        let known = ways as f64 / all as f64;
        prop_assert!((tail(&groups, &with, n_these) - known).abs() < 1e-12 + known * 1e-9);
        let groups = Groups(groups);
        let test = ExactTest::new(&groups);
        prop_assert!((test.least(&with) - test.tail(&with, most)).abs() < 1e-12);
    }

    #[test]
    fn corrected_chances_are_none_smaller_and_keep_their_order(
        chances in prop::collection::vec((0.0..=1.0_f64, 1..4_usize), 1..40),
    ) {
        let mut tried = Vec::new();
        let mut n_tried = 0;
        for (p, n_facts) in &chances {
            tried.push(of_chance(*p, (n_tried..n_tried + n_facts).collect()));
            n_tried += n_facts;
        }
        let before = tried.clone();
        correct(&mut tried, n_tried);
        prop_assert!(tried.windows(2).all(|two| two[0].p <= two[1].p));
        for found in &tried {
            let plain = before.iter().find(|plain| plain.facts == found.facts).expect("it was tried");
            prop_assert!(plain.p <= found.p && found.p <= 1.0);
        }
        // The least is corrected for all.
        let least = before.iter().map(|plain| plain.p).fold(1.0, f64::min);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let corrected = (least * n_tried as f64).min(1.0);
        prop_assert!((tried[0].p - corrected).abs() < 1e-12);
    }
}

fn of_chance(p: f64, facts: Vec<usize>) -> Found {
    Found {
        facts,
        n_these: 0,
        n_others: 0,
        these_share: 0.0,
        others_share: 0.0,
        p,
    }
}

/// The example of Holm's paper as textbooks have it: 0.01, 0.04, 0.03 and 0.005 of four.
#[test]
fn the_correction_is_holms() {
    let mut tried: Vec<Found> = [0.01, 0.04, 0.03, 0.005]
        .into_iter()
        .enumerate()
        .map(|(at, p)| of_chance(p, vec![at]))
        .collect();
    correct(&mut tried, 4);
    let corrected: Vec<(usize, f64)> = tried
        .iter()
        .map(|found| (found.facts[0], found.p))
        .collect();
    for ((fact, p), (known, known_p)) in
        corrected
            .into_iter()
            .zip([(3, 0.02), (0, 0.03), (2, 0.06), (1, 0.06)])
    {
        assert_eq!(fact, known);
        assert_near(p, known_p);
    }
}
