//! Which facts these have more often: tried, corrected, and those of the same requests put together.

use std::cmp::Reverse;

use fixedbitset::FixedBitSet;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::exact::{ExactTest, Groups, float};
use super::{EFFECT_MIN, LEVEL, REQUESTS_MIN};

/// The requests that are compared, by number, by root operation.
#[derive(Debug)]
pub(super) struct Design {
    groups: Groups,
    /// By group, which requests are these, and which the others.
    members: Vec<(FixedBitSet, FixedBitSet)>,
    /// How many of these have no others to be compared with.
    pub(super) n_alone: usize,
}

/// Facts that hold on the very same requests, more often on these.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// The facts, by number.
    pub(super) facts: Vec<usize>,
    pub(super) n_these: usize,
    pub(super) n_others: usize,
    pub(super) these_share: f64,
    pub(super) others_share: f64,
    /// Corrected.
    pub(super) p: f64,
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compared {
    /// How many facts were tried.
    pub(super) n_tried: usize,
    /// What was found, the greatest difference first, then the least likely.
    pub(super) found: Vec<Found>,
}

impl Design {
    /// Of requests by number: the group of each, and whether it is one of these.
    pub(super) fn of(requests: impl ExactSizeIterator<Item = (usize, bool)> + Clone) -> Self {
        let n_groups = requests.clone().map(|(group, _)| group + 1).max();
        let none = FixedBitSet::with_capacity(requests.len());
        let mut members = vec![(none.clone(), none); n_groups.unwrap_or(0)];
        for (at, (group, is_these)) in requests.enumerate() {
            let (these, others) = &mut members[group];
            if is_these { these } else { others }.insert(at);
        }
        let alone = members.iter().filter(|(_, others)| others.is_clear());
        let n_alone = alone.map(|(these, _)| these.count_ones(..)).sum();
        members.retain(|(these, others)| !these.is_clear() && !others.is_clear());
        let size = |(these, others): &(FixedBitSet, FixedBitSet)| {
            (these.count_ones(..), others.count_ones(..))
        };
        Self {
            groups: Groups(members.iter().map(size).collect()),
            members,
            n_alone,
        }
    }

    /// How many of these are compared.
    pub(super) fn n_these(&self) -> usize {
        self.groups.0.iter().map(|(these, _)| these).sum()
    }

    /// With how many others.
    pub(super) fn n_others(&self) -> usize {
        self.groups.0.iter().map(|(_, others)| others).sum()
    }

    /// How many of these, and of the others, are in a set of requests; by group.
    fn hits(&self, set: &FixedBitSet) -> Vec<(usize, usize)> {
        let hits = |(these, others): &(FixedBitSet, FixedBitSet)| {
            (
                set.intersection_count(these),
                set.intersection_count(others),
            )
        };
        self.members.iter().map(hits).collect()
    }

    /// The share of these that is hit, and that of the others, each group weighing as among these.
    fn shares(&self, hits: &[(usize, usize)]) -> (f64, f64) {
        let n_these = float(self.n_these());
        let groups = self.groups.0.iter().zip(hits);
        groups.fold((0.0, 0.0), |(of_these, of_others), (size, hits)| {
            let weight = float(size.0) / n_these;
            (
                of_these + float(hits.0) / n_these,
                of_others + weight * float(hits.1) / float(size.1),
            )
        })
    }

    /// The greatest difference there can be, when by group so many have it.
    fn most(&self, with: &[usize]) -> f64 {
        let hits: Vec<_> = self.groups.0.iter().zip(with).collect();
        let hits: Vec<_> = hits
            .into_iter()
            .map(|(&(these, _), &with)| (with.min(these), with - with.min(these)))
            .collect();
        let (of_these, of_others) = self.shares(&hits);
        of_these - of_others
    }

    /// Tries facts, of each of which is given on which requests it holds.
    pub(super) fn compare<'s>(&self, facts: impl Iterator<Item = &'s FixedBitSet>) -> Compared {
        let mut same: HashMap<&FixedBitSet, Vec<usize>, RandomState> = HashMap::default();
        for (at, set) in facts.enumerate() {
            same.entry(set).or_default().push(at);
        }
        let test = ExactTest::new(&self.groups);
        let mut tried: Vec<Found> = same
            .into_iter()
            .filter_map(|(set, facts)| self.tried(&test, set, facts))
            .collect();
        let n_tried = tried.iter().map(|tried| tried.facts.len()).sum();
        correct(&mut tried, n_tried);
        let mut found = tried;
        found.retain(|found| found.p <= LEVEL && found.effect() >= EFFECT_MIN);
        found.sort_by(|one, other| {
            let by_effect = other.effect().total_cmp(&one.effect());
            let by_chance = || one.p.total_cmp(&other.p);
            let by_size = || Reverse(one.n_these).cmp(&Reverse(other.n_these));
            by_effect
                .then_with(by_chance)
                .then_with(by_size)
                .then_with(|| one.facts.cmp(&other.facts))
        });
        Compared { n_tried, found }
    }

    /// A set of requests with its chance, not corrected; `None` when no choice of these among all
    /// requests could make it one to tell.
    fn tried(&self, test: &ExactTest<'_>, set: &FixedBitSet, facts: Vec<usize>) -> Option<Found> {
        let hits = self.hits(set);
        let with: Vec<usize> = hits.iter().map(|(these, others)| these + others).collect();
        // Without any request to compare none is on enough.
        let could_be_told = with.iter().sum::<usize>() >= REQUESTS_MIN
            && self.most(&with) >= EFFECT_MIN
            && test.least(&with) <= LEVEL;
        if !could_be_told {
            return None;
        }
        let n_these = hits.iter().map(|(these, _)| these).sum();
        let (these_share, others_share) = self.shares(&hits);
        // Of what these do not have more often the chance does not matter.
        let is_more = these_share > others_share;
        Some(Found {
            facts,
            n_these,
            n_others: hits.iter().map(|(_, others)| others).sum(),
            these_share,
            others_share,
            p: if is_more {
                test.tail(&with, n_these)
            } else {
                1.0
            },
        })
    }
}

impl Found {
    pub(super) fn effect(&self) -> f64 {
        self.these_share - self.others_share
    }
}

/// Corrects chances for the number of facts tried, after Holm: the least for all, the next for all but
/// those before it, and so on, and none below one before it.
pub(super) fn correct(tried: &mut [Found], n_tried: usize) {
    tried.sort_by(|one, other| {
        let by_chance = one.p.total_cmp(&other.p);
        by_chance.then_with(|| one.facts.cmp(&other.facts))
    });
    let mut n_left = n_tried;
    let mut least: f64 = 0.0;
    for found in tried {
        least = least.max((found.p * float(n_left)).min(1.0));
        found.p = least;
        n_left -= found.facts.len();
    }
}
