//! Only the critical path, or only errors.

use insta::assert_snapshot;

use super::*;

#[test]
fn only_the_critical_path_or_errors_are_shown_when_asked_for() {
    let trace = checkout();
    let shown = |shown| {
        let options = Options {
            shown,
            ..Options::default()
        };
        text(&trace, &timeline(&trace, &options))
    };
    assert!(!shown(Shown::Path).contains("pricing"));
    assert_snapshot!(shown(Shown::Errors), @r"
    v gateway POST /checkout | 0+100 | M0 0h25.6v1h-25.6zM974.4 0h25.6v1h-25.6z
      v checkout POST /orders | 2.56+94.87 | M25.6 0h25.6v1h-25.6zM564.1 0h51.3v1h-51.3zM897.4 0h76.9v1h-76.9z
          inventory GET /stock HOT | 5.13+51.28 | M51.3 0h25.6v1h-25.6zM512.8 0h51.3v1h-51.3z
        v payments POST /charge | 61.54+28.21 | M615.4 0h25.6v1h-25.6zM871.8 0h25.6v1h-25.6z
            payments POST bank | 64.1+23.08 | M641 0h230.8v1h-230.8z
    ");
}

#[test]
fn errors_below_a_groups_members_have_rows_where_only_errors_are_shown() {
    let items = (0..6).flat_map(|at| {
        let (item, start) = (2 + 2 * at, at * 10);
        let item_span = SpanBuilder::new(item, "item")
            .parent(1)
            .at(start, start + 9);
        let query = SpanBuilder::new(item + 1, "SELECT").parent(item);
        [item_span, query.at(start + 1, start + 8).error("no")]
    });
    let root = SpanBuilder::new(1, "batch").at(0, 60);
    let trace = testing::trace_of(std::iter::once(root).chain(items));
    let n_rows = |shown| {
        let options = Options {
            shown,
            ..Options::default()
        };
        timeline(&trace, &options).rows.len()
    };
    assert_eq!(n_rows(Shown::Story), 2, "the root and a group");
    assert_eq!(n_rows(Shown::Errors), 2 + trace.len() - 1);
}
