//! Calls of one operation are one row.

use insta::assert_snapshot;

use super::*;

/// A request that asks for `n` items one after the other, the slowest of them the `slow`th.
fn repeated(n: u64, slow: u64) -> Trace {
    let calls = (0..n).flat_map(|at| {
        let (client, start) = (2 + 2 * at, at * 10);
        let end = start + if at == slow { 9 } else { 6 };
        let call = SpanBuilder::new(client, "GET")
            .service("web")
            .kind(SpanKind::Client);
        let answer = SpanBuilder::new(client + 1, "GET /item")
            .service("items")
            .kind(SpanKind::Server);
        let answer = answer.parent(client).at(start, end);
        [
            call.parent(1).at(start, end),
            if at % 50 == 7 {
                answer.error("no item")
            } else {
                answer
            },
        ]
    });
    let root = SpanBuilder::new(1, "GET /items").service("web");
    testing::trace_of(std::iter::once(root.at(0, n * 10)).chain(calls))
}

#[test]
fn calls_of_one_operation_in_a_row_are_a_group() {
    // The root does more itself than any one item takes: a member is never the slowest hop here.
    let trace = repeated(153, 80);
    assert_snapshot!(text(&trace, &timeline(&trace, &Options::default())));
    let group = Node::Group(2);
    let open = timeline(
        &trace,
        &opened(&[Expansion {
            node: group,
            page: 1,
        }]),
    );
    assert_eq!(open.rows[1].toggle, Toggle::Close(group));
    assert_eq!(open.rows.len(), 2 + 153);
    assert_eq!(open.n_spans_shown(), trace.len());
}

#[test]
fn fewer_calls_than_five_are_no_group() {
    let is_group = |row: &Row| matches!(row.kind, RowKind::Group { .. });
    for (n, expected) in [(4, 0), (5, 1), (6, 1)] {
        let timeline = timeline(&repeated(n, 0), &Options::default());
        let n_groups = timeline.rows.iter().filter(|row| is_group(row)).count();
        assert_eq!(n_groups, expected, "{n} calls");
    }
}

/// Six calls of one operation, the third much slower than all else.
fn slow_among_others() -> Trace {
    testing::draw(
        "
        web GET /     [------------------------------------]
          a GET /x     [-]
          a GET /x       [-]
          a GET /x         [---------------------]
          a GET /x                                [-]
          a GET /x                                  [-]
          a GET /x                                    [-]
        ",
    )
}

#[test]
fn a_closed_group_stands_for_the_slowest_hop_in_it() {
    let trace = slow_among_others();
    let closed = timeline(&trace, &Options::default());
    assert_snapshot!(text(&trace, &closed), @r"
    v web GET / | 0+100 | M0 0h27v1h-27zM729.7 0h27v1h-27zM918.9 0h81.1v1h-81.1z
      > a GET /x HOT CULPRIT x6, median 2 ms, max 22 ms, 6 spans, 0 errors | 2.7+89.19 | 
    ");
    let expansion = Expansion {
        node: Node::Group(1),
        page: 1,
    };
    let selected = Options {
        selected: Some(6),
        ..Options::default()
    };
    for options in [opened(&[expansion]), selected] {
        let open = timeline(&trace, &options);
        assert_eq!(open.rows.len(), 8, "{options:?}");
        assert_eq!(n_hot(&open), 1);
        assert!(marks(&open.rows[4]).is_hot, "its own row is marked");
    }
}

#[test]
fn a_slowest_hop_below_a_groups_member_has_its_row() {
    let items = (0..100).flat_map(|at| {
        let (item, start) = (2 + 2 * at, at * 10);
        let end = if at == 70 { 2_000 } else { start + 9 };
        let item_span = SpanBuilder::new(item, "item").parent(1).at(start, end);
        let store = SpanBuilder::new(item + 1, "PUT /item")
            .service("store")
            .kind(SpanKind::Server);
        [item_span, store.parent(item).at(start + 1, end - 1)]
    });
    let root = SpanBuilder::new(1, "batch").at(0, 2_000);
    let trace = testing::trace_of(std::iter::once(root).chain(items));
    let timeline = timeline(&trace, &Options::default());
    assert_snapshot!(text(&trace, &timeline));
}
