//! The verdict: why the request was slow, in words.

/// A piece of a verdict's sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phrase {
    /// Plain words.
    Plain(String),
    /// What matters: a name, a time, a share.
    Strong(String),
}

/// Why the request was slow: a sentence, and one or two that add to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The sentence.
    pub headline: Vec<Phrase>,
    /// What in it took the time; may be empty.
    pub detail: Vec<Phrase>,
}
