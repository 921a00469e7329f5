//! What some requests share that others do not: the facts that hold on more of them than chance explains.
//!
//! A [`Fact`] holds on a request or does not: a service takes part, an attribute of one of its spans or of
//! its resource has a value, an operation fails. A [`Tally`] takes requests of two sides, *these* and the
//! *others*, and [`Tally::shared`] says which facts these have more often, each with its two shares.
//!
//! # The test
//!
//! Requests are compared with others of their own root operation only, so that "these are checkouts" is
//! not said in fifty ways. Within each root operation the number of these with the fact is, were they no
//! different, hypergeometric; the sum over the operations is tested, one-sided and exactly
//! ([Birch 1964]). With one operation that is Fisher's exact test.
//!
//! All facts that could be found at all are tried, and the chances are corrected for their number after
//! [Holm (1979)], which keeps the chance that *any* of the facts told is a coincidence at or below
//! [`LEVEL`], however the facts hang together. Whether a fact could be found is decided by how many
//! requests have it, never by which: of that the test knows nothing, so it cannot be biased
//! ([Tarone 1990]). Values that fewer than [`REQUESTS_MIN`] requests have, as ids are, go that way.
//!
//! What is told besides differs by [`EFFECT_MIN`] or more. Facts of the very same requests are told once.
//! None of it says what causes what.
//!
//! [Birch 1964]: https://doi.org/10.1111/j.2517-6161.1964.tb00564.x
//! [Holm (1979)]: https://www.jstor.org/stable/4615733
//! [Tarone 1990]: https://doi.org/10.2307/2531456

mod asked;
mod compare;
mod exact;
mod fact;
mod tally;
#[cfg(test)]
mod tests;

pub use self::asked::Asked;
pub use self::fact::{AttributeOf, Fact, What};
pub use self::tally::{Side, Tally};

/// How likely it may be that any of the facts told is a coincidence.
pub const LEVEL: f64 = 0.01;

/// By how much the share of these must exceed that of the others.
pub const EFFECT_MIN: f64 = 0.2;

/// On how many requests a fact must hold at least, of either side, to be tried: ids are on fewer.
pub const REQUESTS_MIN: usize = 3;

/// How many facts of different requests are told.
pub const TRAITS_MAX: usize = 10;

/// How many facts are told beside one that holds on the very same requests.
pub const ALSO_MAX: usize = 3;

/// What these requests share.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// How many of these were compared.
    pub n_these: u64,
    /// With how many others.
    pub n_others: u64,
    /// How many of these were not, because there is no other of their root operation.
    pub n_alone: u64,
    /// How many facts were tried.
    pub n_tried: u64,
    /// Whether all facts were counted; false when there were too many different ones.
    pub is_whole: bool,
    /// What was found, the greatest difference first; at most [`TRAITS_MAX`].
    pub traits: Vec<Trait>,
    /// How many more were.
    pub n_more: u64,
}

/// A fact that holds on more of these than of the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Trait {
    /// The fact.
    pub fact: Fact,
    /// Others that hold on the very same requests; at most [`ALSO_MAX`].
    pub also: Vec<Fact>,
    /// How many more do.
    pub n_more_also: u64,
    /// On how many of these it holds.
    pub n_these: u64,
    /// On how many of the others.
    pub n_others: u64,
    /// On what share of these, from 0 to 1.
    pub these_share: f64,
    /// On what share of the others, each root operation weighing as much as it does among these.
    pub others_share: f64,
    /// How likely so great a difference is by chance, corrected for all facts tried.
    pub p: f64,
}
