//! Rows that are opened by hand lead to every span.

use std::collections::HashSet;

use super::*;

/// Follows every link that opens a row, from `start` on, and gives all spans that had a row.
fn reached(
    trace: &Trace,
    start: Options,
    follow: impl Fn(&Options, Expansion) -> Options,
) -> HashSet<usize> {
    let analysis = Analysis::of(trace);
    let mut seen = HashSet::new();
    let mut followed: HashSet<(Node, usize)> = HashSet::new();
    let mut waiting = vec![start];
    while let Some(options) = waiting.pop() {
        let timeline = Timeline::of(trace, &analysis, &options);
        assert_eq!(n_hot(&timeline), 1, "the slowest hop is always there");
        for row in &timeline.rows {
            if let RowKind::Span {
                span_idx,
                client_idx,
                ..
            } = row.kind
            {
                seen.extend([Some(span_idx), client_idx].into_iter().flatten());
            }
            if let Toggle::Expand(expansion) = row.toggle
                && followed.insert((expansion.node, expansion.page))
            {
                waiting.push(follow(&options, expansion));
            }
        }
    }
    seen
}

/// As a URL keeps them: the newest 16, each row once.
fn with(options: &Options, expansion: Expansion) -> Options {
    let mut expanded = options.expanded.clone();
    expanded.retain(|known| known.node != expansion.node);
    expanded.push(expansion);
    if expanded.len() > 16 {
        expanded.remove(0);
    }
    Options {
        expanded,
        ..options.clone()
    }
}

#[test]
fn links_reach_every_span() {
    for trace in [wide(700), deep(400), bushy(1_000), shop(1_000)] {
        assert_eq!(reached(&trace, Options::default(), with).len(), trace.len());
    }
}

#[test]
fn a_row_opened_by_hand_shows_a_page_of_its_children() {
    let trace = wide(700);
    let root = Node::Span(0);
    let timeline = timeline(
        &trace,
        &opened(&[Expansion {
            node: root,
            page: 2,
        }]),
    );
    let rows = &timeline.rows;
    assert_eq!(rows[0].toggle, Toggle::Close(root));
    assert!(matches!(
        rows[1].kind,
        RowKind::Span { .. } | RowKind::Fold { .. }
    ));
    let folds: Vec<(usize, Expansion)> = rows
        .iter()
        .filter_map(|row| match (&row.kind, row.toggle) {
            (RowKind::Fold { n_calls, .. }, Toggle::Expand(expansion)) => {
                Some((*n_calls, expansion))
            }
            _ => None,
        })
        .collect();
    let (first, last) = (folds[0], folds[folds.len() - 1]);
    assert_eq!(
        first.1,
        Expansion {
            node: root,
            page: 1
        }
    );
    assert_eq!(
        last,
        (
            300,
            Expansion {
                node: root,
                page: 3
            }
        )
    );
    let n_calls = rows
        .iter()
        .filter(|row| row.depth == 1 && matches!(row.kind, RowKind::Span { .. }))
        .count();
    assert!((200..=204).contains(&n_calls), "{n_calls}");
}

#[test]
fn links_reach_all_errors_where_only_they_are_shown() {
    for trace in [shop(1_500), wide(3_000), bushy(2_000)] {
        let options = Options {
            shown: Shown::Errors,
            ..Options::default()
        };
        let reached = reached(&trace, options, with);
        let errors = (0..trace.len()).filter(|&at| trace.span(at).is_error());
        let missed: Vec<usize> = errors.filter(|at| !reached.contains(at)).collect();
        assert_eq!(missed, [0; 0]);
        assert!(reached.len() < trace.len() / 2);
    }
}
