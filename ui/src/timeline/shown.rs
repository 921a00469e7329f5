//! Which spans of a trace have rows at all: the story's, or only some of them.

use longpole_proto::Trace;

use super::extent::Extent;

/// Which rows a viewer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Shown {
    /// Whatever tells the story; all others are folded.
    #[default]
    Story,
    /// Only what is on the critical path, with what leads to it.
    Path,
    /// Only what failed, with what leads to it.
    Errors,
    /// Every span, a page at a time.
    All,
    /// Every span in a table without a timeline, a page at a time.
    Table,
}

impl Shown {
    /// As URLs call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Story => "story",
            Self::Path => "path",
            Self::Errors => "errors",
            Self::All => "all",
            Self::Table => "table",
        }
    }

    /// What URLs call so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Story,
            Self::Path,
            Self::Errors,
            Self::All,
            Self::Table,
        ];
        all.into_iter().find(|shown| shown.name() == name)
    }

    /// Whether it lists spans in pages, each with a row of its own.
    pub(crate) const fn is_list(self) -> bool {
        matches!(self, Self::All | Self::Table)
    }

    /// By span, whether it is shown; empty when all are. The spans of `always` are, and whatever
    /// leads down to one that is.
    pub(super) fn spans(
        self,
        trace: &Trace,
        extent: &Extent,
        critical_nanos: &[u64],
        always: impl Iterator<Item = usize>,
    ) -> Vec<bool> {
        let mut is_shown: Vec<bool> = match self {
            Self::Story | Self::All | Self::Table => return Vec::new(),
            Self::Path => critical_nanos.iter().map(|&nanos| nanos > 0).collect(),
            Self::Errors => (0..trace.len())
                .map(|at| trace.span(at).is_error() && extent.has_time_of(trace, at))
                .collect(),
        };
        for at in always {
            is_shown[at] = true;
        }
        // Parents stand before their children.
        for at in (0..trace.len()).rev() {
            if is_shown[at]
                && let Some(parent) = trace.parent(at)
            {
                is_shown[parent] = true;
            }
        }
        is_shown
    }
}
