//! The verdict: why the request was slow, in words.
//!
//! Made here and nowhere else, so that pages, JSON and the terminal say the same.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::fmt;

use longpole_proto::Trace;

use crate::format::{count, duration, label, percent, span_label};
use crate::{Culprit, Hop};

/// Below this part of the request no hop is blamed alone, in percent.
const DOMINATES_PERCENT: u64 = 10;

/// From this part of the request on a hop's network and queue time is worth a word, in percent.
const NETWORK_PERCENT: u64 = 5;

/// How many hops are named when none dominates.
const NAMED_MAX: usize = 3;

/// A piece of a verdict's sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phrase {
    /// Plain words.
    Plain(String),
    /// What matters: a name, a time, a share.
    Strong(String),
}

/// Why the request was slow: a sentence, and what adds to it. `Display` gives both as plain text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The sentence.
    pub headline: Vec<Phrase>,
    /// What in it took the time; may be empty.
    pub detail: Vec<Phrase>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = [Phrase::Plain(" ".to_owned())];
        let gap: &[Phrase] = if self.detail.is_empty() { &[] } else { &gap };
        for phrase in self.headline.iter().chain(gap).chain(&self.detail) {
            let (Phrase::Plain(text) | Phrase::Strong(text)) = phrase;
            f.write_str(text)?;
        }
        Ok(())
    }
}

/// What a verdict is made from.
pub(crate) struct Facts<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) duration_nanos: u64,
    pub(crate) hops: &'a [Hop],
    pub(crate) hop_of: &'a [u32],
    pub(crate) slowest_hop: usize,
    pub(crate) culprit: &'a Culprit,
}

/// The hops of one operation.
struct Group {
    first_idx: usize,
    n_hops: u64,
    nanos: u64,
}

pub(crate) fn verdict(facts: &Facts<'_>) -> Verdict {
    let mut words = Words::default();
    let hop = &facts.hops[facts.slowest_hop];
    let groups = groups(facts);
    let Some(largest) = groups.first() else {
        words.plain("The request took no time: there is nothing to explain.");
        return words.finish(facts);
    };
    // Hops of one operation that together outweigh the slowest hop are what made it slow.
    let (named, nanos) = if largest.nanos > hop.nanos {
        (largest, largest.nanos)
    } else {
        (
            &Group {
                first_idx: hop.entry_idx,
                n_hops: 1,
                nanos: hop.nanos,
            },
            hop.nanos,
        )
    };

    if !at_least(nanos, facts.duration_nanos, DOMINATES_PERCENT) {
        words.plain("No single hop dominates; the largest are ");
        for (at, group) in groups.iter().take(NAMED_MAX).enumerate() {
            words.plain(if at == 0 { "" } else { ", " });
            words.strong(facts.group_name(group));
            words.plain(format!(" {} (", duration(group.nanos)));
            words.strong(percent(group.nanos, facts.duration_nanos));
            words.plain(")");
        }
        words.plain(".");
        return words.finish(facts);
    }

    let root_hop = facts.hop_of[facts.trace.request_root()] as usize;
    let leads_with_culprit = named.n_hops == 1
        && facts.slowest_hop == root_hop
        && at_least(facts.culprit.nanos, facts.duration_nanos, DOMINATES_PERCENT);
    if leads_with_culprit {
        facts.own_headline(&mut words);
        facts.own_detail(&mut words);
    } else {
        words.plain("Slowest hop: ");
        words.strong(facts.group_name(named));
        words.plain(if named.n_hops > 1 {
            " together took "
        } else {
            " took "
        });
        facts.amount(&mut words, nanos);
        words.plain(", on the critical path.");
        words.begin_detail();
        if named.n_hops > 1 {
            words.plain(format!(
                "The longest of them took {}. ",
                duration(facts.longest_of(named))
            ));
        }
        facts.culprit_detail(&mut words, named, nanos);
    }
    words.finish(facts)
}

/// The hops on the critical path by operation, most time first (ties: the earlier).
fn groups(facts: &Facts<'_>) -> Vec<Group> {
    let mut by_operation: HashMap<(usize, &str), Group, RandomState> = HashMap::default();
    for hop in facts.hops.iter().filter(|hop| hop.nanos > 0) {
        let group = by_operation
            .entry(facts.operation(hop.entry_idx))
            .or_insert(Group {
                first_idx: hop.entry_idx,
                n_hops: 0,
                nanos: 0,
            });
        group.n_hops += 1;
        group.nanos += hop.nanos;
    }
    let mut groups: Vec<Group> = by_operation.into_values().collect();
    groups.sort_unstable_by_key(|group| (std::cmp::Reverse(group.nanos), group.first_idx));
    groups
}

impl<'a> Facts<'a> {
    fn operation(&self, span_idx: usize) -> (usize, &'a str) {
        (
            self.trace.service_idx(span_idx),
            self.trace.span(span_idx).name.as_ref(),
        )
    }

    fn name(&self, span_idx: usize) -> String {
        span_label(self.trace, span_idx)
    }

    fn group_name(&self, group: &Group) -> String {
        times(group.n_hops, &self.name(group.first_idx))
    }

    fn longest_of(&self, group: &Group) -> u64 {
        let operation = self.operation(group.first_idx);
        self.hops
            .iter()
            .filter(|hop| self.operation(hop.entry_idx) == operation)
            .map(|hop| hop.nanos)
            .max()
            .unwrap_or(0)
    }

    /// `200 ms of 390 ms (51 %)`.
    fn amount(&self, words: &mut Words, nanos: u64) {
        words.strong(duration(nanos));
        words.plain(format!(" of {} (", duration(self.duration_nanos)));
        words.strong(percent(nanos, self.duration_nanos));
        words.plain(")");
    }

    /// The culprit by name, count and peer.
    fn culprit_name(&self, words: &mut Words) {
        let name = label(&self.trace.span(self.culprit.span_idxs[0]).name);
        words.strong(times(self.culprit.span_idxs.len() as u64, &name));
        if let Some(peer) = &self.culprit.peer {
            words.plain(" on ");
            words.strong(label(peer));
        }
    }

    /// The headline of a request whose slowest hop is its root's own.
    fn own_headline(&self, words: &mut Words) {
        let root = self.trace.request_root();
        if self.culprit.span_idxs == [root] {
            words.strong(self.name(root));
            words.plain(" itself took ");
            self.amount(words, self.culprit.nanos);
            words.plain(": self time, in which no span says where.");
        } else {
            self.culprit_name(words);
            words.plain(" took ");
            self.amount(words, self.culprit.nanos);
            words.plain(format!(", in {} itself.", label(self.trace.service(root))));
        }
    }

    fn own_detail(&self, words: &mut Words) {
        let hop = &self.hops[self.slowest_hop];
        if hop.nanos == self.culprit.nanos {
            return;
        }
        words.begin_detail();
        words.plain("The slowest hop is the request's own, ");
        words.strong(self.name(hop.entry_idx));
        words.plain(format!(
            ": {} ({}).",
            duration(hop.nanos),
            percent(hop.nanos, self.duration_nanos)
        ));
    }

    /// What in the slowest hop took the time. `named` took `nanos`: that hop, or its operation's.
    fn culprit_detail(&self, words: &mut Words, named: &Group, nanos: u64) {
        let hop = &self.hops[self.slowest_hop];
        if self.operation(hop.entry_idx) != self.operation(named.first_idx) {
            words.plain("The slowest single hop is ");
            words.strong(self.name(hop.entry_idx));
            words.plain(format!(": {}.", duration(hop.nanos)));
            return;
        }
        let culprit = self.culprit;
        let whole = if named.n_hops > 1 { hop.nanos } else { nanos };
        let of = if named.n_hops > 1 { "that one" } else { "it" };
        words.plain(if culprit.nanos == whole {
            format!("All of {of} is ")
        } else if culprit.nanos > whole / 2 {
            format!("Most of {of} is ")
        } else {
            format!("The largest part of {of} is ")
        });
        let took = duration(culprit.nanos);
        let share = percent(culprit.nanos, self.duration_nanos);
        let is_client = |&at: &usize| Some(at) == hop.client_idx;
        if culprit.span_idxs == [hop.entry_idx] {
            words.strong("its self time");
            words.plain(format!(": {took} ({share})."));
        } else if culprit.span_idxs.iter().any(is_client) {
            words.strong("network and queue");
            words.plain(format!(" before and after it: {took} ({share})."));
        } else {
            words.plain("inside ");
            self.culprit_name(words);
            words.plain(format!(": {took} of self time ({share})."));
        }
        if !culprit.span_idxs.iter().any(is_client)
            && at_least(hop.network_nanos, self.duration_nanos, NETWORK_PERCENT)
        {
            words.plain(format!(
                " Network and queue: {} of it.",
                duration(hop.network_nanos)
            ));
        }
    }
}

fn times(n: u64, name: &str) -> String {
    if n == 1 {
        name.to_owned()
    } else {
        format!("{} × {name}", count(n))
    }
}

fn at_least(part: u64, whole: u64, percent: u64) -> bool {
    part > 0 && u128::from(part) * 100 >= u128::from(whole) * u128::from(percent)
}

/// Puts phrases together, headline first.
#[derive(Default)]
struct Words {
    verdict: Verdict,
    in_detail: bool,
}

impl Words {
    fn begin_detail(&mut self) {
        self.in_detail = true;
    }

    fn push(&mut self, phrase: Phrase) {
        let part = if self.in_detail {
            &mut self.verdict.detail
        } else {
            &mut self.verdict.headline
        };
        match (part.last_mut(), phrase) {
            (Some(Phrase::Plain(before)), Phrase::Plain(text)) => before.push_str(&text),
            (_, phrase) => part.push(phrase),
        }
    }

    fn plain(&mut self, text: impl Into<String>) {
        self.push(Phrase::Plain(text.into()));
    }

    fn strong(&mut self, text: impl Into<String>) {
        self.push(Phrase::Strong(text.into()));
    }

    fn finish(mut self, facts: &Facts<'_>) -> Verdict {
        if facts.trace.is_incomplete() {
            self.in_detail = true;
            if !self.verdict.detail.is_empty() {
                self.plain(" ");
            }
            self.plain("The request's root span is not stored: this is what is known without it.");
        }
        self.verdict
    }
}
