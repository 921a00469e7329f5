//! The matcher: finds the spans on which a query holds.

use fixedbitset::FixedBitSet;
use longpole_proto::Trace;

use super::compile::{Node, compile};
use super::error::QueryError;
use super::field::SpanField;
use super::necessary::{Necessary, necessary};
use super::relation::related;
use super::request::{Seen, SummaryLimits};
use super::span::SpanCondition;
use super::{Query, Relation};
use crate::{Analysis, TraceSummary};

/// A query made ready to be matched.
#[derive(Debug, Clone)]
pub struct Matcher {
    root: Node,
    needs: Needs,
    necessary: Necessary,
}

/// How much of a trace must be known to say whether it matches; each includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Needs {
    /// The whole [`TraceSummary`]: [`Matcher::judge_summary`] has an answer unless the store cut
    /// something that decides.
    Summary,
    /// A trace as [`longpole_proto::wire::decode_outline`] reads it, with [`crate::PEER_KEYS`]:
    /// spans without attributes, events and texts of status.
    Outline,
    /// The trace.
    Trace,
}

impl Matcher {
    /// Makes a query ready.
    ///
    /// # Errors
    /// When the query exceeds a limit, a pattern is no regular expression or becomes too large, or a
    /// field is compared with what it can never be.
    pub fn new(query: &Query) -> Result<Self, QueryError> {
        let root = compile(query)?;
        Ok(Self {
            needs: needs(&root),
            necessary: necessary(&root),
            root,
        })
    }

    /// How much of a trace [`Self::is_match`] looks at.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// What holds on every trace that matches.
    pub fn necessary(&self) -> &Necessary {
        &self.necessary
    }

    /// Whether the request matches. Each condition looks at each span and each of its values at most
    /// once, so this is linear in the trace (as far as the query [needs](Self::needs) it) times the query.
    pub fn is_match(&self, trace: &Trace, analysis: &Analysis) -> bool {
        self.is_match_seen(&Seen::new(trace, Some(analysis)))
    }

    /// As [`Self::is_match`], of a trace that is only analysed when a condition asks for that.
    pub fn is_match_unanalysed(&self, trace: &Trace) -> bool {
        self.is_match_seen(&Seen::new(trace, None))
    }

    /// What the summary alone says: whether the request matches, or `None` when its spans decide, or
    /// what the store cut from the summary.
    pub fn judge_summary(&self, summary: &TraceSummary, limits: SummaryLimits) -> Option<bool> {
        judge(&self.root, summary, limits)
    }

    /// The spans to point at in a request that matches, in pre-order; none when it does not match.
    ///
    /// They are the spans on which the query holds. Where it says nothing of the span itself it holds
    /// on all of them, which points at nothing; then they are those that the query's parts which hold
    /// point at: the spans found by `{ … }`, none for what is said of the request.
    pub fn matching_spans(&self, trace: &Trace, analysis: &Analysis) -> Vec<usize> {
        let seen = Seen::new(trace, Some(analysis));
        Eval::new(&seen, true)
            .root(&self.root)
            .spans
            .ones()
            .collect()
    }

    fn is_match_seen(&self, seen: &Seen<'_>) -> bool {
        Eval::new(seen, false).root(&self.root).holds_somewhere()
    }
}

/// What a node came to.
struct Found {
    /// Whether it holds, when that is the same for all spans whatever they are.
    known: Option<bool>,
    /// The spans on which it holds; when that is known, those to point at instead.
    spans: FixedBitSet,
}

impl Found {
    fn known(holds: bool) -> Self {
        Self {
            known: Some(holds),
            spans: FixedBitSet::new(),
        }
    }

    fn on(spans: FixedBitSet) -> Self {
        Self { known: None, spans }
    }

    fn holds_somewhere(&self) -> bool {
        self.known.unwrap_or_else(|| !self.spans.is_clear())
    }
}

struct Eval<'a> {
    seen: &'a Seen<'a>,
    /// Whether spans to point at are wanted.
    points: bool,
    all_spans: FixedBitSet,
}

impl<'a> Eval<'a> {
    fn new(seen: &'a Seen<'a>, points: bool) -> Self {
        let mut all_spans = FixedBitSet::with_capacity(seen.trace.len());
        all_spans.insert_range(..);
        Self {
            seen,
            points,
            all_spans,
        }
    }

    fn root(&self, root: &Node) -> Found {
        self.eval(root, &self.all_spans)
    }

    /// Finds those of the spans `within` on which the node holds. Recurses as deep as the query,
    /// which is bounded.
    fn eval(&self, node: &Node, within: &FixedBitSet) -> Found {
        match node {
            Node::And(nodes) => self.and(nodes, within),
            Node::Or(nodes) => self.or(nodes, within),
            Node::Not(node) => {
                let found = self.eval(node, within);
                match found.known {
                    Some(holds) => Found::known(!holds),
                    None => Found::on(within.difference(&found.spans).collect()),
                }
            }
            Node::SomeSpan(node) => {
                let found = self.eval(node, &self.all_spans);
                Found {
                    known: Some(found.holds_somewhere()),
                    spans: found.spans,
                }
            }
            Node::Related {
                left,
                relation,
                negated,
                right,
            } => Found::on(self.related(left, *relation, *negated, right, within)),
            Node::Request(condition) => Found::known(condition.holds(self.seen)),
            Node::Span(condition) => Found::on(condition.spans(self.seen, within)),
        }
    }

    fn and(&self, nodes: &[Node], within: &FixedBitSet) -> Found {
        let mut pointed_at = FixedBitSet::new();
        let mut left: Option<FixedBitSet> = None;
        for node in nodes {
            let found = self.eval(node, left.as_ref().unwrap_or(within));
            match found.known {
                Some(true) => pointed_at.union_with(&found.spans),
                Some(false) => return Found::known(false),
                None if found.spans.is_clear() => return found,
                None => left = Some(found.spans),
            }
        }
        left.map_or(
            Found {
                known: Some(true),
                spans: pointed_at,
            },
            Found::on,
        )
    }

    fn or(&self, nodes: &[Node], within: &FixedBitSet) -> Found {
        let mut is_known_true = false;
        let mut is_known = true;
        let mut spans = FixedBitSet::new();
        let mut left = within.clone();
        for node in nodes {
            let found = self.eval(node, &left);
            match found.known {
                Some(false) => continue,
                Some(true) if !self.points => return found,
                Some(true) => is_known_true = true,
                None => {
                    is_known = false;
                    left.difference_with(&found.spans);
                }
            }
            spans.union_with(&found.spans);
            if left.is_clear() && !self.points {
                break;
            }
        }
        Found {
            known: (is_known || is_known_true).then_some(is_known_true),
            spans,
        }
    }

    fn related(
        &self,
        left: &Node,
        relation: Relation,
        negated: bool,
        right: &Node,
        within: &FixedBitSet,
    ) -> FixedBitSet {
        let mut spans = self.holding(right, within);
        if spans.is_clear() {
            return spans;
        }
        let others = self.holding(left, &self.all_spans);
        let found = related(self.seen.trace, &others, relation, &spans);
        if negated {
            spans.difference_with(&found);
            return spans;
        }
        found
    }

    /// Those of the spans `within` on which the node holds, known or not.
    fn holding(&self, node: &Node, within: &FixedBitSet) -> FixedBitSet {
        let found = self.eval(node, within);
        match found.known {
            Some(true) => within.clone(),
            Some(false) => FixedBitSet::new(),
            None => found.spans,
        }
    }
}

/// What is known when conditions on spans are not.
fn judge(node: &Node, summary: &TraceSummary, limits: SummaryLimits) -> Option<bool> {
    let judge = |node: &Node| judge(node, summary, limits);
    match node {
        Node::And(nodes) => decided(nodes.iter().map(judge), false),
        Node::Or(nodes) => decided(nodes.iter().map(judge), true),
        Node::Not(node) => judge(node).map(|holds| !holds),
        Node::SomeSpan(node) => judge(node),
        Node::Related {
            left,
            negated,
            right,
            ..
        } => match (judge(left), judge(right)) {
            (_, Some(false)) => Some(false),
            (Some(false), right) if *negated => right,
            (Some(false), _) => Some(false),
            _ => None,
        },
        Node::Request(condition) => condition.holds_on_summary(summary, limits),
        Node::Span(_) => None,
    }
}

/// `decisive` when one of them is that, unknown when one is unknown, the opposite otherwise.
fn decided(judged: impl Iterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    let mut all_known = true;
    for judged in judged {
        match judged {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => all_known = false,
        }
    }
    all_known.then_some(!decisive)
}

fn needs(node: &Node) -> Needs {
    match node {
        Node::And(nodes) | Node::Or(nodes) => {
            nodes.iter().map(needs).max().unwrap_or(Needs::Summary)
        }
        Node::Not(node) | Node::SomeSpan(node) => needs(node),
        Node::Related { left, right, .. } => needs(left).max(needs(right)).max(Needs::Outline),
        Node::Request(_) => Needs::Summary,
        Node::Span(SpanCondition::Field { field, .. }) => match field {
            SpanField::StatusMessage | SpanField::EventName => Needs::Trace,
            _ => Needs::Outline,
        },
        Node::Span(SpanCondition::Attribute { .. } | SpanCondition::Word(_)) => Needs::Trace,
    }
}
