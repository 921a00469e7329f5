//! Spans as a plain table: the timeline's twin for who reads rather than looks.

use longpole_analysis::format::{duration, label};

use super::scene::Scene;
use crate::Urls;
use crate::palette::Palette;
use crate::timeline::Sort;

/// A table of spans.
pub(super) struct Table {
    /// The columns by which it can be sorted.
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<TableRow>,
}

pub(super) struct Column {
    pub(super) name: &'static str,
    /// As ARIA calls the order; `None` where it is sorted by another.
    pub(super) order: Option<&'static str>,
    /// The same for the eye.
    pub(super) arrow: char,
    pub(super) href: String,
}

pub(super) struct TableRow {
    pub(super) id: String,
    pub(super) class: String,
    pub(super) service: String,
    pub(super) operation: String,
    pub(super) href: String,
    pub(super) start: String,
    pub(super) took: String,
    pub(super) self_time: String,
    /// Empty when it has none.
    pub(super) critical: String,
    pub(super) is_error: bool,
    pub(super) is_hot: bool,
}

impl Table {
    /// The spans of the page.
    pub(super) fn of(scene: &Scene<'_>, palette: &Palette<'_>, spans: &[usize]) -> Self {
        let columns = [
            (Sort::Start, "Start"),
            (Sort::Duration, "Duration"),
            (Sort::SelfTime, "Self time"),
            (Sort::Critical, "Critical time"),
        ];
        let columns = columns.map(|(sort, name)| Column {
            name,
            order: (scene.view.sort == sort).then_some(match sort {
                Sort::Start => "ascending",
                Sort::Duration | Sort::SelfTime | Sort::Critical => "descending",
            }),
            arrow: if sort == Sort::Start { '↑' } else { '↓' },
            href: scene.href(&scene.view.with_sort(sort)),
        });
        Self {
            columns: columns.into(),
            rows: spans
                .iter()
                .map(|&span_idx| row(scene, palette, span_idx))
                .collect(),
        }
    }
}

fn row(scene: &Scene<'_>, palette: &Palette<'_>, span_idx: usize) -> TableRow {
    let (trace, analysis) = (scene.trace(), scene.loaded.analysis());
    let span = trace.span(span_idx);
    let name = scene.refs.name(span_idx);
    let is_hot = analysis.hops[analysis.slowest_hop].entry_idx == span_idx;
    let mut class = palette.class(trace.service(span_idx));
    if is_hot {
        class.push_str(" hot");
    }
    if scene.selected == Some(span_idx) {
        class.push_str(" sel");
    }
    let origin = scene.extent.origin();
    let start = match span.start.nanos_since(origin) {
        0 if span.start < origin => format!("−{}", duration(origin.nanos_since(span.start))),
        0 => "0".to_owned(),
        nanos => duration(nanos),
    };
    let critical = analysis.critical_nanos[span_idx];
    TableRow {
        id: Urls::row_id(name),
        class,
        service: label(trace.service(span_idx)).into_owned(),
        operation: label(&span.name).into_owned(),
        href: scene.href(&scene.view.with_row(name)) + &Urls::row(name),
        start,
        took: duration(span.duration_nanos()),
        self_time: duration(analysis.self_nanos[span_idx]),
        critical: if critical == 0 {
            String::new()
        } else {
            duration(critical)
        },
        is_error: span.is_error(),
        is_hot,
    }
}
