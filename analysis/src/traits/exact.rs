//! The exact test: how likely it is that so many of these have a fact, were they no different.

/// Root operations: how many of these there are in each, and how many others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Groups(pub(super) Vec<(usize, usize)>);

/// The test for some groups, with logarithms of factorials for all numbers in it.
#[derive(Debug)]
pub(super) struct ExactTest<'a> {
    groups: &'a Groups,
    ln_factorials: Vec<f64>,
}

impl<'a> ExactTest<'a> {
    pub(super) fn new(groups: &'a Groups) -> Self {
        let largest = groups.0.iter().map(|(these, others)| these + others).max();
        let mut ln_factorials = vec![0.0];
        let mut sum = 0.0;
        for number in 1..=largest.unwrap_or(0) {
            sum += float(number).ln();
            ln_factorials.push(sum);
        }
        Self {
            groups,
            ln_factorials,
        }
    }

    /// The chance that `n_these` of these or more have a fact, when by group so many requests of either
    /// side do.
    pub(super) fn tail(&self, with: &[usize], n_these: usize) -> f64 {
        // By how many more than the fewest possible have it; at first none, for sure.
        let mut chances = vec![1.0];
        let mut fewest = 0;
        for (&(these, others), &with) in self.groups.0.iter().zip(with) {
            let (from, to) = (with.saturating_sub(others), with.min(these));
            let of_group: Vec<f64> = (from..=to)
                .map(|hits| self.chance(these, others, with, hits))
                .collect();
            chances = convolved(&chances, &of_group);
            fewest += from;
        }
        let from = n_these.saturating_sub(fewest).min(chances.len());
        // The smallest first, so that none is lost.
        let tail: f64 = chances[from..].iter().rev().sum();
        tail.min(1.0)
    }

    /// The least chance [`Self::tail`] can come to: as many of these have it as possible.
    pub(super) fn least(&self, with: &[usize]) -> f64 {
        let groups = self.groups.0.iter().zip(with);
        groups
            .map(|(&(these, others), &with)| self.chance(these, others, with, with.min(these)))
            .product()
    }

    /// The hypergeometric chance that of `with` requests exactly `hits` are among `these`.
    fn chance(&self, these: usize, others: usize, with: usize, hits: usize) -> f64 {
        let ln = self.ln_choose(these, hits) + self.ln_choose(others, with - hits)
            - self.ln_choose(these + others, with);
        ln.exp()
    }

    fn ln_choose(&self, of: usize, some: usize) -> f64 {
        self.ln_factorials[of] - self.ln_factorials[some] - self.ln_factorials[of - some]
    }
}

/// The chances of sums of two independent numbers.
fn convolved(left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; left.len() + right.len() - 1];
    for (at, one) in left.iter().enumerate() {
        for (sum, other) in sums[at..].iter_mut().zip(right) {
            *sum += one * other;
        }
    }
    sums
}

/// A count as a number to reckon with; exact below 2^53, which counts here are.
#[expect(clippy::cast_precision_loss, reason = "requests in memory are few")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}
