//! A row of the waterfall as its template shows it.

mod tag;

use longpole_analysis::format::{count, duration, label, percent, span_label};

use crate::Urls;
use crate::palette::Palette;
use crate::timeline::pair::{self, Call};
use crate::timeline::{
    Bar, Label, Marks, Node, Percent, Place, Row, RowKind, Timeline, Toggle, Under,
};
use crate::trace_cache::Loaded;
use crate::trace_view::{SpanRefs, TraceView};
use tag::{TagView, errors_tag, folded_tags, match_tag, matches_tag, network_tag, quiet};

/// Where rows come from.
pub(super) struct Context<'a> {
    pub(super) urls: &'a Urls,
    pub(super) loaded: &'a Loaded,
    pub(super) refs: &'a SpanRefs<'a>,
    pub(super) view: &'a TraceView,
    pub(super) palette: &'a Palette<'a>,
    pub(super) timeline: &'a Timeline,
    /// Of rows that are a page of more: how many are before them.
    pub(super) first_row: Option<usize>,
}

/// Where on the page a span's row is: for the client of a pair the row of both.
pub(crate) fn anchor(loaded: &Loaded, refs: &SpanRefs<'_>, span_idx: usize) -> String {
    Urls::row(refs.name(pair::row_span(loaded.analysis(), span_idx)))
}

/// A row; `href` opens what it stands for.
#[derive(Default)]
pub(super) struct RowView {
    pub(super) class: String,
    pub(super) is_hot: bool,
    pub(super) id: String,
    pub(super) level: usize,
    /// Which of all rows it is, counted from 1, when not all are here.
    pub(super) index: Option<usize>,
    pub(super) depth: usize,
    pub(super) expanded: Option<bool>,
    /// `▸`, `▾` or nothing, and where it leads.
    pub(super) sign: &'static str,
    pub(super) sign_href: Option<String>,
    pub(super) sign_label: &'static str,
    pub(super) href: Option<String>,
    pub(super) service: String,
    pub(super) name: String,
    pub(super) tags: Vec<TagView>,
    pub(super) took: String,
    pub(super) note: String,
    /// What the bar shows, in words.
    pub(super) bar_label: String,
    pub(super) bar: Option<(Percent, Percent)>,
    /// Whether all of it is self time; else which of it.
    pub(super) is_solid: bool,
    pub(super) solid: String,
    /// Whether the bar goes on to the left and to the right of what is shown.
    pub(super) goes_on: (bool, bool),
    /// What of the client's time lies around the bar.
    pub(super) whisker: String,
    /// What fills the bar: a pattern's name, or nothing.
    pub(super) pattern: &'static str,
    pub(super) label: Option<LabelView>,
}

impl RowView {
    /// Its place in the tree and its bar.
    fn of(row: &Row) -> Self {
        Self {
            class: "r".to_owned(),
            level: row.depth + 1,
            depth: row.depth,
            bar: match row.bar.place {
                Place::Inside(left, width) => Some((left, width)),
                Place::Before(_) | Place::After(_) => None,
            },
            is_solid: row.bar.is_solid,
            goes_on: row.bar.goes_on,
            solid: if row.bar.is_solid {
                String::new()
            } else {
                row.bar.solid.clone()
            },
            whisker: row.bar.whisker.clone(),
            ..Self::default()
        }
    }

    /// Whether its bar has self time or a whisker.
    pub(super) fn has_lines(&self) -> bool {
        !self.solid.is_empty() || !self.whisker.is_empty()
    }
}

pub(super) struct LabelView {
    pub(super) side: &'static str,
    pub(super) at: Percent,
    pub(super) text: String,
}

pub(super) fn rows(context: &Context<'_>) -> Vec<RowView> {
    context
        .timeline
        .rows
        .iter()
        .enumerate()
        .map(|(at, row)| RowView {
            index: context.first_row.map(|first| first + at + 1),
            ..context.row(row)
        })
        .collect()
}

impl Context<'_> {
    fn row(&self, row: &Row) -> RowView {
        let mut view = RowView::of(row);
        if !row.on_path {
            view.class.push_str(" off");
        }
        self.toggle(&mut view, row.toggle);
        match &row.kind {
            RowKind::Span {
                span_idx,
                client_idx,
                call,
                marks,
                folded,
            } => {
                self.span(&mut view, *span_idx, *client_idx, *call);
                self.marks(&mut view, *marks, row);
                self.errors(&mut view, *span_idx, *client_idx);
                view.tags.extend(call.network_nanos.map(network_tag));
                view.tags.extend(folded_tags(*folded));
            }
            RowKind::Group {
                first,
                n_calls,
                marks,
                folded,
                total_nanos,
                median_nanos,
                max_nanos,
                elapsed_nanos,
            } => {
                self.operation(&mut view, *first);
                view.id = Urls::group_id(self.refs.name(*first));
                view.pattern = "url(#stripes)";
                view.class.push_str(" group");
                self.marks(&mut view, *marks, row);
                view.tags.push(TagView {
                    class: "k",
                    sign: format!("×{}", count(*n_calls as u64)).into(),
                    wide: format!(
                        " · median {} · max {}",
                        duration(*median_nanos),
                        duration(*max_nanos)
                    ),
                    text: String::new(),
                });
                view.tags.extend(errors_tag(folded.n_errors));
                view.tags.extend(matches_tag(folded.n_matches));
                view.href.clone_from(&view.sign_href);
                in_all(&mut view, *total_nanos, *elapsed_nanos);
            }
            RowKind::Missing { n_orphans, folded } => {
                view.class.push_str(" fold");
                "missing parent".clone_into(&mut view.name);
                view.tags.push(quiet(match n_orphans {
                    1 => "1 span names a parent that is not stored".to_owned(),
                    n => format!(
                        "{} spans name parents that are not stored",
                        count(*n as u64)
                    ),
                }));
                view.tags.extend(folded_tags(*folded));
            }
            RowKind::Fold {
                n_calls,
                is_all,
                folded,
                total_nanos,
                elapsed_nanos,
                operation_of,
            } => {
                let more = if *is_all { "" } else { "more " };
                let name = format!("⋯ {} {more}calls", count(*n_calls as u64));
                if let Some(span_idx) = *operation_of {
                    self.colour(&mut view, span_idx);
                    let operation = span_label(&self.loaded.trace, span_idx);
                    view.tags.push(quiet(format!("all {operation}")));
                }
                fold(&mut view, name, *n_calls, *folded);
                in_all(&mut view, *total_nanos, *elapsed_nanos);
            }
            RowKind::Levels { n_levels, folded } => {
                let name = format!("⋯ {} levels", count(*n_levels as u64));
                fold(&mut view, name, *n_levels, *folded);
            }
        }
        // A page of 200 rows does without: the column beside says it.
        let is_said = self.view.shown.is_list() && view.bar.is_some();
        view.label = label_view(&row.bar, &view).filter(|_| !is_said);
        if let (None, Some(label)) = (view.bar, &view.label) {
            // What is said contains what is seen.
            view.bar_label = format!("{}, {}", label.text, view.bar_label);
        }
        view
    }

    /// Gives a row its service's colour.
    fn colour(&self, view: &mut RowView, span_idx: usize) {
        view.class.push(' ');
        let service = self.loaded.trace.service(span_idx);
        view.class.push_str(&self.palette.class(service));
    }

    fn toggle(&self, view: &mut RowView, toggle: Toggle) {
        let trace_id = self.loaded.trace.id();
        match toggle {
            Toggle::None => {}
            Toggle::Open => {
                view.expanded = Some(true);
                view.sign = "▾";
            }
            Toggle::Close(node) => {
                view.expanded = Some(true);
                view.sign = "▾";
                view.sign_label = "close";
                let closed = self.view.with_closed(self.refs.node(node));
                view.sign_href = Some(self.urls.trace_view(trace_id, &closed) + &self.anchor(node));
            }
            Toggle::Expand(expansion) => {
                view.expanded = Some(false);
                view.sign = "▸";
                view.sign_label = "open";
                let open = self.view.with_open(self.refs.expansion(expansion));
                view.sign_href =
                    Some(self.urls.trace_view(trace_id, &open) + &self.anchor(expansion.node));
            }
        }
    }

    /// Where on the page a row is, so that opening it does not lose one's place.
    fn anchor(&self, node: Node) -> String {
        match node {
            Node::Span(span_idx) => Urls::row(self.refs.name(span_idx)),
            Node::Group(first) => format!("#{}", Urls::group_id(self.refs.name(first))),
            Node::Top | Node::Missing => String::new(),
        }
    }

    /// Names a row after a span's operation.
    fn operation(&self, view: &mut RowView, span_idx: usize) {
        let trace = &self.loaded.trace;
        self.colour(view, span_idx);
        view.service = label(trace.service(span_idx)).into_owned();
        view.name = label(&trace.span(span_idx).name).into_owned();
    }

    fn span(&self, view: &mut RowView, span_idx: usize, client_idx: Option<usize>, call: Call) {
        let trace = &self.loaded.trace;
        let span = trace.span(span_idx);
        let name = self.refs.name(span_idx);
        self.operation(view, span_idx);
        view.id = Urls::row_id(name);
        view.href =
            Some(self.urls.trace_view(trace.id(), &self.view.with_row(name)) + &Urls::row(name));
        view.took = duration(call.nanos);
        if call.network_nanos.is_some() || trace.subtree(span_idx).len() > 1 {
            view.note = format!("self {}", duration(call.self_nanos));
        }
        let origin = self.timeline.extent.origin();
        let start = client_idx.map_or(span.start, |client_idx| {
            trace.span(client_idx).start.min(span.start)
        });
        let start = if start < origin {
            format!("starts {} before this", duration(origin.nanos_since(start)))
        } else {
            format!("starts at {}", duration(start.nanos_since(origin)))
        };
        let critical = match call.critical_nanos {
            0 => "not on the critical path itself".to_owned(),
            nanos => format!("on the critical path for {}", duration(nanos)),
        };
        view.bar_label = format!("{}, {start}, {critical}", view.took);
    }

    fn marks(&self, view: &mut RowView, marks: Marks, row: &Row) {
        let analysis = self.loaded.analysis();
        if marks.is_hot {
            view.is_hot = true;
            view.class.push_str(" hot");
            view.pattern = "url(#hatch)";
            let share = percent(
                analysis.hops[analysis.slowest_hop].nanos,
                analysis.duration_nanos,
            );
            view.tags.push(TagView {
                class: "h",
                sign: "◀ ".into(),
                wide: "SLOWEST HOP ".to_owned(),
                text: share,
            });
        }
        if marks.is_culprit {
            let share = percent(analysis.culprit.nanos, analysis.duration_nanos);
            let wide = match (&row.kind, analysis.culprit.span_idxs.len()) {
                (RowKind::Group { .. }, _) | (_, 1) => "most of it here ".to_owned(),
                (_, n) => format!("most of it in {} of these ", count(n as u64)),
            };
            view.tags.push(TagView {
                class: "h",
                sign: "".into(),
                wide,
                text: share,
            });
        }
        if marks.is_match {
            view.class.push_str(" hit");
            view.tags.push(match_tag());
        }
        if marks.is_selected {
            view.class.push_str(" sel");
        }
    }

    /// Says that a span failed, or of a pair only the client.
    fn errors(&self, view: &mut RowView, span_idx: usize, client_idx: Option<usize>) {
        let is_error = |at: usize| self.loaded.trace.span(at).is_error();
        let wide = if is_error(span_idx) {
            "error"
        } else if client_idx.is_some_and(is_error) {
            "error at the caller"
        } else {
            return;
        };
        view.tags.push(TagView {
            class: "e",
            sign: "✕ ".into(),
            wide: wide.to_owned(),
            text: String::new(),
        });
    }
}

/// Says how long several calls took.
fn in_all(view: &mut RowView, total_nanos: u64, elapsed_nanos: u64) {
    view.took = duration(total_nanos);
    "in all".clone_into(&mut view.note);
    view.bar_label = format!("{} elapsed", duration(elapsed_nanos));
}

/// A row that stands for `n` siblings or levels and all that is under them.
fn fold(view: &mut RowView, name: String, n: usize, folded: Under) {
    view.class.push_str(" fold");
    view.pattern = "url(#stripes)";
    view.name = name;
    if folded.n_spans > n as u64 {
        let text = format!("{} spans folded", count(folded.n_spans));
        view.tags.push(quiet(text));
    }
    view.tags.extend(errors_tag(folded.n_errors));
    view.tags.extend(matches_tag(folded.n_matches));
    view.href.clone_from(&view.sign_href);
}

fn label_view(bar: &Bar, view: &RowView) -> Option<LabelView> {
    let text = match bar.place {
        Place::Before(nanos) => format!("‹ {} earlier", duration(nanos)),
        Place::After(nanos) => format!("{} later ›", duration(nanos)),
        Place::Inside(..) if view.note == "in all" => view.bar_label.clone(),
        Place::Inside(..) if view.took.is_empty() => return None,
        Place::Inside(..) => view.took.clone(),
    };
    let (side, at) = match bar.label? {
        Label::Right(at) => ("left", at),
        Label::Left(at) => ("right", at),
    };
    Some(LabelView { side, at, text })
}
