//! What stands behind a row's name.

use std::borrow::Cow;

use longpole_analysis::format::{count, duration};

use crate::timeline::Under;

/// A tag; on narrow screens `wide` is left out, and of those with nothing else all.
pub(in crate::pages::trace) struct TagView {
    pub(in crate::pages::trace) class: &'static str,
    pub(in crate::pages::trace) sign: Cow<'static, str>,
    pub(in crate::pages::trace) wide: String,
    pub(in crate::pages::trace) text: String,
}

pub(super) fn quiet(text: String) -> TagView {
    TagView {
        class: "q",
        sign: "".into(),
        wide: text,
        text: String::new(),
    }
}

pub(super) fn network_tag(nanos: u64) -> TagView {
    quiet(format!("↔ {} network", duration(nanos)))
}

pub(super) fn errors_tag(n_errors: u64) -> Option<TagView> {
    (n_errors > 0).then(|| TagView {
        class: "e",
        sign: format!("✕ {}", count(n_errors)).into(),
        wide: if n_errors == 1 { " error" } else { " errors" }.to_owned(),
        text: String::new(),
    })
}

/// Says that a row has what is looked for.
pub(super) fn match_tag() -> TagView {
    TagView {
        class: "f",
        sign: "✓".into(),
        wide: " match".to_owned(),
        text: String::new(),
    }
}

/// Says how many of what a row stands for have what is looked for.
pub(super) fn matches_tag(n_matches: u64) -> Option<TagView> {
    (n_matches > 0).then(|| TagView {
        class: "f",
        sign: format!("✓ {}", count(n_matches)).into(),
        wide: if n_matches == 1 { " match" } else { " matches" }.to_owned(),
        text: String::new(),
    })
}

/// What a closed row has under it.
pub(super) fn folded_tags(folded: Under) -> impl Iterator<Item = TagView> {
    let spans = match folded.n_spans {
        0 => None,
        1 => Some(quiet("+1 span".to_owned())),
        n => Some(quiet(format!("+{} spans", count(n)))),
    };
    spans
        .into_iter()
        .chain(errors_tag(folded.n_errors))
        .chain(matches_tag(folded.n_matches))
}
