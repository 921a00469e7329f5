//! Quantile sketches: how often durations of each length were seen, to within a fixed relative error.
//!
//! A bucket is a number of nanoseconds with all but its seven leading bits cut off: exact below 128 ns, from
//! there on 64 buckets for each doubling. So every bucket is at most 1/64 as wide as where it begins.
//! These are the buckets of [HdrHistogram], kept sparsely as by [DDSketch]: merging adds counts, and what
//! was added can be taken out again.
//!
//! [HdrHistogram]: https://hdrhistogram.github.io/HdrHistogram/
//! [DDSketch]: https://www.vldb.org/pvldb/vol12/p2195-masson.pdf

use std::cmp::Ordering;

/// How many bits of a number are kept behind its first.
const MANTISSA_BITS: u32 = 6;

/// How many buckets there are.
pub const BUCKETS: u16 = 59 << MANTISSA_BITS;

/// How often durations were seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sketch {
    /// By bucket, each with how many; never none.
    counts: Vec<(u16, u32)>,
}

impl Sketch {
    /// The bucket of a duration; less than [`BUCKETS`].
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "58 exponents and seven bits are less than 2^16"
    )]
    pub const fn bucket(nanos: u64) -> u16 {
        // Of short durations the exponent is 0, and all bits are the mantissa.
        let exponent = (nanos | 1 << MANTISSA_BITS).ilog2() - MANTISSA_BITS;
        ((exponent << MANTISSA_BITS) as u64 + (nanos >> exponent)) as u16
    }

    /// The middle of a bucket: less than 1 % (1/128) from any duration in it.
    pub const fn nanos(bucket: u16) -> u64 {
        let mantissa = (bucket as u64) & ((1 << MANTISSA_BITS) - 1);
        match (bucket >> MANTISSA_BITS).checked_sub(1) {
            None => mantissa,
            Some(exponent) => (mantissa | 1 << MANTISSA_BITS) << exponent | (1 << exponent) >> 1,
        }
    }

    /// Adds a duration.
    pub fn add(&mut self, nanos: u64) {
        self.merge(&[(Self::bucket(nanos), 1)]);
    }

    /// Adds buckets, each with how many; a count that becomes larger than 2^32 - 1 stays there.
    /// `more` is by bucket, each once. Takes O(n).
    pub fn merge(&mut self, more: &[(u16, u32)]) {
        if self.counts.is_empty() {
            self.counts.extend(more.iter().filter(|(_, n)| *n > 0));
            return;
        }
        let mut at = 0;
        let mut n_new = 0;
        for &(bucket, n) in more {
            while self.counts.get(at).is_some_and(|have| have.0 < bucket) {
                at += 1;
            }
            match self.counts.get_mut(at) {
                Some(have) if have.0 == bucket => have.1 = have.1.saturating_add(n),
                _ => n_new += usize::from(n > 0),
            }
        }
        if n_new > 0 {
            self.insert(more, n_new);
        }
    }

    /// Puts those in that are not there, from the last to the first.
    fn insert(&mut self, more: &[(u16, u32)], n_new: usize) {
        let mut from = self.counts.len();
        self.counts.resize(from + n_new, (0, 0));
        let mut to = self.counts.len();
        for &(bucket, n) in more.iter().rev().filter(|(_, n)| *n > 0) {
            while from > 0 && self.counts[from - 1].0 > bucket {
                from -= 1;
                to -= 1;
                self.counts[to] = self.counts[from];
            }
            if from == 0 || self.counts[from - 1].0 < bucket {
                to -= 1;
                self.counts[to] = (bucket, n);
            }
        }
    }

    /// Takes out what was added, and gives what was not there.
    #[must_use = "it may not all have been there"]
    pub fn subtract(&mut self, less: &Self) -> Self {
        let mut missing = Self::default();
        let mut at = 0;
        for &(bucket, n) in &less.counts {
            while self.counts.get(at).is_some_and(|have| have.0 < bucket) {
                at += 1;
            }
            let have = self.counts.get_mut(at).filter(|have| have.0 == bucket);
            let mut none = (bucket, 0);
            let have = have.unwrap_or(&mut none);
            if n > have.1 {
                missing.counts.push((bucket, n - have.1));
            }
            have.1 = have.1.saturating_sub(n);
        }
        self.counts.retain(|&(_, n)| n > 0);
        missing
    }

    /// How many durations were added.
    pub fn len(&self) -> u64 {
        self.counts.iter().map(|&(_, n)| u64::from(n)).sum()
    }

    /// Whether none was added.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The buckets that have any, in order, each with how many.
    pub fn counts(&self) -> &[(u16, u32)] {
        &self.counts
    }

    /// The duration in nanoseconds that a share `q` of all, from 0 to 1, do not exceed; less than 1 % from
    /// the exact one: of `n` durations in order the one at place `ceil(q * n)`, at least the first. `None`
    /// when there are none.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number of durations is one of them"
    )]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let n_all = self.len();
        let wanted = ((q * n_all as f64).ceil() as u64).clamp(1, n_all.max(1));
        let mut n = 0;
        let found = self.counts.iter().find(|of| {
            n += u64::from(of.1);
            n.cmp(&wanted) != Ordering::Less
        });
        found.map(|&(bucket, _)| Self::nanos(bucket))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(durations: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        for &nanos in durations {
            sketch.add(nanos);
        }
        sketch
    }

    /// Durations of all magnitudes.
    fn any_durations() -> impl Strategy<Value = Vec<u64>> {
        let any_duration =
            (0..=64_u32, any::<u64>()).prop_map(|(bits, n)| n.checked_shr(bits).unwrap_or(0));
        prop::collection::vec(any_duration, 0..200)
    }

    #[test]
    fn buckets_are_in_order_and_none_is_left_out() {
        assert_eq!(Sketch::bucket(0), 0);
        assert_eq!(Sketch::bucket(u64::MAX), BUCKETS - 1);
        for bucket in 0..BUCKETS {
            assert_eq!(Sketch::bucket(Sketch::nanos(bucket)), bucket);
        }
        assert!((1..BUCKETS).all(|of| Sketch::nanos(of - 1) < Sketch::nanos(of)));
    }

    proptest! {
        #[test]
        fn a_quantile_is_the_exact_one_to_within_one_percent(
            durations in any_durations(),
            sixty_fourths in 0..=64_u32,
        ) {
            let sketch = sketch(&durations);
            prop_assert_eq!(sketch.len(), durations.len() as u64);
            let mut sorted = durations;
            sorted.sort_unstable();
            let rank = (sorted.len() * sixty_fourths as usize).div_ceil(64);
            let q = f64::from(sixty_fourths) / 64.0;
            let exact = sorted.get(rank.max(1) - 1);
            prop_assert_eq!(sketch.quantile(q).is_some(), exact.is_some());
            if let (Some(found), Some(&exact)) = (sketch.quantile(q), exact) {
                prop_assert!(found.abs_diff(exact) <= exact / 128 + 1, "{found} for {exact}");
                prop_assert!(exact >= 128 || found == exact);
            }
        }

        #[test]
        fn merged_sketches_are_the_sketch_of_all_and_subtracting_undoes_it(
            some in any_durations(),
            more in any_durations(),
        ) {
            let (of_some, of_more) = (sketch(&some), sketch(&more));
            let mut merged = of_some.clone();
            merged.merge(of_more.counts());
            prop_assert_eq!(&merged, &sketch(&[some, more].concat()));
            prop_assert!(merged.subtract(&of_more).is_empty());
            prop_assert_eq!(&merged, &of_some);
        }

        #[test]
        fn what_cannot_be_taken_out_is_given_back(
            some in any_durations(),
            more in any_durations(),
        ) {
            let (of_some, of_more) = (sketch(&some), sketch(&more));
            let mut rest = of_some.clone();
            let mut missing = of_more.clone();
            let not_there = rest.subtract(&of_more);
            let not_missing = missing.subtract(&of_some);
            prop_assert_eq!(&not_there, &missing);
            prop_assert_eq!(rest, not_missing);
        }
    }

    #[test]
    fn counts_stop_growing_before_they_overflow() {
        let mut sketch = Sketch::default();
        sketch.merge(&[(7, u32::MAX - 1)]);
        sketch.merge(&[(3, 0), (7, 5), (9, 1)]);
        assert_eq!(sketch.counts(), [(7, u32::MAX), (9, 1)]);
    }
}
