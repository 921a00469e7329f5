//! What is odd about spans that are kept: worth telling their sender, no reason to refuse them.

use std::fmt::Write as _;

/// How many of an export request's accepted spans are odd, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Warnings {
    no_service_name: u64,
    ends_before_start: u64,
}

/// What is odd about a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarnReason {
    /// Its resource has no `service.name`, or one without text.
    NoServiceName,
    /// It ends before it starts; it is shown with no duration.
    EndsBeforeStart,
}

impl WarnReason {
    /// The reason's name in metrics: `no_service_name`, `ends_before_start`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoServiceName => "no_service_name",
            Self::EndsBeforeStart => "ends_before_start",
        }
    }

    /// The reason in words, behind a number of spans.
    const fn text(self) -> &'static str {
        match self {
            Self::NoServiceName => "without service.name (set OTEL_SERVICE_NAME)",
            Self::EndsBeforeStart => "with an end before the start",
        }
    }
}

impl Warnings {
    pub(super) fn add(&mut self, reason: WarnReason, count: u64) {
        match reason {
            WarnReason::NoServiceName => self.no_service_name += count,
            WarnReason::EndsBeforeStart => self.ends_before_start += count,
        }
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The counts by reason, none of them 0. A span may count under several.
    pub fn iter(&self) -> impl Iterator<Item = (WarnReason, u64)> {
        let counts = [
            (WarnReason::NoServiceName, self.no_service_name),
            (WarnReason::EndsBeforeStart, self.ends_before_start),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0)
    }

    /// The sentence for `partial_success.error_message`, such as `2 spans kept, but with an
    /// end before the start`; empty when there is nothing to say.
    pub fn message(&self) -> String {
        let mut text = String::new();
        for (reason, count) in self.iter() {
            let separator = if text.is_empty() { "" } else { "; " };
            let plural = if count == 1 { "" } else { "s" };
            let reason = reason.text();
            write!(text, "{separator}{count} span{plural} kept, but {reason}")
                .expect("a string takes all text");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_counts_by_reason() {
        let mut warnings = Warnings::default();
        assert!(warnings.is_empty());
        assert_eq!(warnings.message(), "");
        warnings.add(WarnReason::EndsBeforeStart, 1);
        assert_eq!(
            warnings.message(),
            "1 span kept, but with an end before the start"
        );
        warnings.add(WarnReason::NoServiceName, 12);
        assert!(!warnings.is_empty());
        assert_eq!(
            warnings.message(),
            "12 spans kept, but without service.name (set OTEL_SERVICE_NAME); \
             1 span kept, but with an end before the start"
        );
    }
}
