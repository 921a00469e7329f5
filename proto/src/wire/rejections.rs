//! Spans that are refused one by one while the rest of their request is kept.

use std::fmt::Write as _;

/// The spans of an export request that are refused, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejections(Vec<(RejectReason, u64)>);

/// Why one span is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// The trace ID has not 16 bytes, or is all zero.
    TraceId,
    /// The span ID has not 8 bytes, or is all zero.
    SpanId,
    /// The parent's ID is there and has not 8 bytes.
    ParentId,
    /// The span is not of the shape OTLP says.
    Malformed,
}

impl RejectReason {
    /// The reason's name in metrics: `trace_id`, `span_id`, `parent_id`, `malformed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::ParentId => "parent_id",
            Self::Malformed => "malformed",
        }
    }

    /// The reason in words, for whoever sent the span.
    const fn text(self) -> &'static str {
        match self {
            Self::TraceId => "invalid trace ID (not 16 bytes, or all zero)",
            Self::SpanId => "invalid span ID (not 8 bytes, or all zero)",
            Self::ParentId => "invalid parent span ID (neither empty nor 8 bytes)",
            Self::Malformed => "malformed (not of the shape OTLP says)",
        }
    }
}

impl Rejections {
    /// Counts `count` more.
    pub fn add(&mut self, reason: RejectReason, count: u64) {
        if count == 0 {
            return;
        }
        match self.0.binary_search_by_key(&reason, |(known, _)| *known) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (reason, count)),
        }
    }

    /// How many spans are refused in all.
    pub fn total(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |total, (_, count)| total.saturating_add(*count))
    }

    /// The counts by reason, none of them 0.
    pub fn iter(&self) -> impl Iterator<Item = (RejectReason, u64)> + '_ {
        self.0.iter().copied()
    }

    /// The sentence for `partial_success.error_message`, such as `2 spans refused: invalid trace ID
    /// (not 16 bytes, or all zero)`; empty when nothing is refused.
    pub fn message(&self) -> String {
        let total = self.total();
        if total == 0 {
            return String::new();
        }
        let mut text = format!("{total} span{} refused", if total == 1 { "" } else { "s" });
        for (n, (reason, count)) in self.iter().enumerate() {
            text.push_str(if n == 0 { ": " } else { ", " });
            if self.0.len() > 1 {
                write!(text, "{count} × ").expect("a string takes all text");
            }
            text.push_str(reason.text());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_counts_by_reason() {
        let mut rejections = Rejections::default();
        assert_eq!(rejections.message(), "");
        rejections.add(RejectReason::SpanId, 1);
        assert_eq!(
            rejections.message(),
            "1 span refused: invalid span ID (not 8 bytes, or all zero)"
        );
        rejections.add(RejectReason::TraceId, 2);
        rejections.add(RejectReason::TraceId, 1);
        rejections.add(RejectReason::Malformed, 0);
        assert_eq!(rejections.total(), 4);
        assert_eq!(
            rejections.message(),
            "4 spans refused: 3 × invalid trace ID (not 16 bytes, or all zero), \
             1 × invalid span ID (not 8 bytes, or all zero)"
        );
    }
}
