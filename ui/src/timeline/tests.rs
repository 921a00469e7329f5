use std::collections::HashSet;

use insta::assert_snapshot;
use longpole_analysis::Analysis;
use longpole_proto::testing::{self, MS, SpanBuilder};
use longpole_proto::{SpanKind, Trace};
use proptest::prelude::*;

use super::*;

fn timeline(trace: &Trace, options: &Options) -> Timeline {
    Timeline::of(trace, &Analysis::of(trace), options)
}

fn opened(expanded: &[Expansion]) -> Options {
    Options {
        expanded: expanded.to_vec(),
        ..Options::default()
    }
}

/// The rows as text: toggle, name, marks, bar.
fn text(trace: &Trace, timeline: &Timeline) -> String {
    let lines = timeline.rows.iter().map(|row| {
        let sign = match row.toggle {
            Toggle::None => ' ',
            Toggle::Open => 'v',
            Toggle::Close(_) => 'V',
            Toggle::Expand(_) => '>',
        };
        let name = match &row.kind {
            RowKind::Span {
                span_idx,
                client_idx,
                call,
                marks,
                folded,
            } => {
                let mut name = marked(operation(trace, *span_idx), *marks);
                if let Some(client_idx) = client_idx {
                    name = format!("{name} <- {}", operation(trace, *client_idx));
                }
                if let Some(nanos) = call.network_nanos {
                    name = format!("{name} ({} ms network)", nanos / MS);
                }
                if folded.n_spans > 0 {
                    name = format!("{name} (+{})", folded.n_spans);
                }
                name
            }
            RowKind::Group {
                first,
                n_calls,
                marks,
                folded,
                median_nanos,
                max_nanos,
                ..
            } => format!(
                "{} x{n_calls}, median {} ms, max {} ms, {} spans, {} errors",
                marked(operation(trace, *first), *marks),
                median_nanos / MS,
                max_nanos / MS,
                folded.n_spans,
                folded.n_errors
            ),
            RowKind::Missing { n_orphans, .. } => format!("missing parent of {n_orphans}"),
            RowKind::Fold {
                n_calls, folded, ..
            } => {
                format!(
                    "... {n_calls} calls, {} spans, {} errors",
                    folded.n_spans, folded.n_errors
                )
            }
            RowKind::Levels { n_levels, folded } => {
                format!("... {n_levels} levels, {} spans", folded.n_spans)
            }
        };
        let off = if row.on_path { "" } else { " off" };
        let bar = match row.bar.place {
            Place::Inside(left, width) => format!("{left}+{width}"),
            Place::Before(nanos) => format!("{nanos} ns before"),
            Place::After(nanos) => format!("{nanos} ns after"),
        };
        format!(
            "{}{sign} {name}{off} | {bar} | {}{}",
            "  ".repeat(row.depth),
            row.bar.solid,
            row.bar.whisker
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn operation(trace: &Trace, span_idx: usize) -> String {
    format!("{} {}", trace.service(span_idx), trace.span(span_idx).name)
}

fn marked(mut name: String, marks: Marks) -> String {
    for (is, mark) in [
        (marks.is_hot, "HOT"),
        (marks.is_culprit, "CULPRIT"),
        (marks.is_selected, "SELECTED"),
    ] {
        if is {
            name = format!("{name} {mark}");
        }
    }
    name
}

fn checkout() -> Trace {
    testing::draw(
        "
        gateway POST /checkout    [--------------------------------------]
          checkout POST /orders    [------------------------------------]
            inventory GET /stock    [-------------------]
              inventory SELECT stock [--]                       client
              inventory lock wait       [-------------]
            pricing POST /quote     [---]
            payments POST /charge                         [----------]
              payments POST bank                           [--------]   client error
        ",
    )
}

#[test]
fn a_small_trace_is_shown_whole() {
    let trace = checkout();
    let timeline = timeline(
        &trace,
        &Options {
            selected: Some(3),
            ..Options::default()
        },
    );
    assert_snapshot!(text(&trace, &timeline));
    assert_eq!(timeline.n_spans_shown(), trace.len());
    assert_snapshot!(timeline.path, @"M0 20.5H25.6V44.5H51.3V68.5H76.9V92.5H153.8V116.5H512.8V68.5H564.1V44.5H615.4V164.5H641V188.5H871.8V164.5H897.4V44.5H974.4V20.5H1000");
}

#[test]
fn orphans_stand_under_a_row_of_their_own() {
    let trace = testing::draw(
        "
        web GET /            [--------]
        web late                [--]      orphan
          db SELECT              [-]
        web later                  [--]   orphan
        ",
    );
    assert_snapshot!(text(&trace, &timeline(&trace, &Options::default())));
}

/// A root that makes `n` calls, one operation after the other, each call with one query in it.
fn wide(n: u64) -> Trace {
    let calls = (0..n).flat_map(|at| {
        let (call, query) = (2 + 2 * at, 3 + 2 * at);
        let query = SpanBuilder::new(query, "query")
            .parent(call)
            .at(at * 10 + 2, at * 10 + 8);
        let name = ["read", "write"][usize::from(at % 2 == 0)];
        let call = SpanBuilder::new(call, name)
            .parent(1)
            .at(at * 10, at * 10 + 10);
        [
            call,
            if at % 100 == 7 {
                query.error("no")
            } else {
                query
            },
        ]
    });
    testing::trace_of(std::iter::once(SpanBuilder::new(1, "root").at(0, n * 10)).chain(calls))
}

/// A chain of calls, each but the last from another service.
fn deep(n: u64) -> Trace {
    testing::trace_of((1..=n).map(|at| {
        let span = SpanBuilder::new(at, "level")
            .service(["a", "b"][usize::from(at % 2 == 0)])
            .at(at, 4 * n - at);
        if at == 1 {
            span
        } else {
            span.parent(at - 1).kind(SpanKind::Server)
        }
    }))
}

/// Services that call services, as many spans as asked for; the last call of the first is slow.
fn bushy(n: u64) -> Trace {
    testing::trace_of((1..=n).map(|at| {
        let service = format!("service {}", at % 11);
        let span = SpanBuilder::new(at, &format!("call {}", at % 5))
            .service(&service)
            .kind(SpanKind::Server);
        let (start, length) = (at % 97, 1_000_000 / at);
        let span = span.at(start, start + length);
        if at == 1 {
            span
        } else {
            let span = span.parent(at / 7 + 1);
            if at % 50 == 0 {
                span.error("failed")
            } else {
                span
            }
        }
    }))
}

/// Pages of a shop that call services by client spans, `n` at least; each page asks for many items.
fn shop(n: u64) -> Trace {
    let mut spans = vec![SpanBuilder::new(1, "GET /all").service("web").at(0, n * 10)];
    let mut id = 1;
    while id < n {
        let (page, start) = (id + 1, id * 10);
        spans.push(
            SpanBuilder::new(page, "page")
                .service("web")
                .parent(1)
                .at(start, start + 160),
        );
        for item in 0..page % 9 {
            let (client, at) = (page + 1 + 2 * item, start + 10 * item);
            let call = SpanBuilder::new(client, "GET")
                .service("web")
                .kind(SpanKind::Client);
            spans.push(call.parent(page).at(at, at + 9));
            let answer = SpanBuilder::new(client + 1, "GET /item")
                .service("items")
                .kind(SpanKind::Server);
            let answer = answer.parent(client).at(at + 1, at + 8);
            spans.push(if client % 60 == 0 {
                answer.error("no item")
            } else {
                answer
            });
        }
        id = page + 2 * (page % 9);
    }
    testing::trace_of(spans)
}

fn marks(row: &Row) -> Marks {
    match row.kind {
        RowKind::Span { marks, .. } | RowKind::Group { marks, .. } => marks,
        RowKind::Missing { .. } | RowKind::Fold { .. } | RowKind::Levels { .. } => Marks::default(),
    }
}

fn n_hot(timeline: &Timeline) -> usize {
    let rows = timeline.rows.iter();
    rows.filter(|row| marks(row).is_hot).count()
}

#[test]
fn a_large_trace_is_folded_to_what_matters() {
    let trace = wide(300);
    let timeline = timeline(&trace, &Options::default());
    assert_snapshot!(text(&trace, &timeline));
}

#[test]
fn a_deep_chain_leaves_out_its_middle() {
    let trace = deep(5_000);
    let timeline = timeline(&trace, &Options::default());
    let levels: Vec<&Row> = timeline
        .rows
        .iter()
        .filter(|row| matches!(row.kind, RowKind::Levels { .. }))
        .collect();
    assert!(!levels.is_empty());
    assert!(timeline.rows.len() <= 120, "{}", timeline.rows.len());
    assert_eq!(n_hot(&timeline), 1);
}

#[test]
fn a_trace_of_any_size_has_few_rows_and_one_is_hot() {
    let shapes: [fn(u64) -> Trace; 4] = [wide, deep, bushy, shop];
    for shape in shapes {
        for n in [1, 9, 60, 61, 100, 1_000, 10_000] {
            let trace = shape(n);
            let timeline = timeline(&trace, &Options::default());
            assert!(
                timeline.rows.len() <= 120,
                "{} rows for {}",
                timeline.rows.len(),
                trace.len()
            );
            assert_eq!(n_hot(&timeline), 1, "{n}");
        }
    }
}

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
fn a_selected_span_has_a_row_wherever_it_is() {
    for trace in [wide(500), deep(2_000), shop(50), shop(2_000)] {
        for selected in [1, trace.len() / 3, trace.len() - 1] {
            let timeline = timeline(
                &trace,
                &Options {
                    selected: Some(selected),
                    ..Options::default()
                },
            );
            let selected_rows: Vec<&Row> = timeline
                .rows
                .iter()
                .filter(|row| marks(row).is_selected)
                .collect();
            let [row] = selected_rows[..] else {
                panic!("{selected} has one row, not {selected_rows:?}")
            };
            let RowKind::Span {
                span_idx,
                client_idx,
                ..
            } = row.kind
            else {
                panic!("{row:?}")
            };
            assert!(span_idx == selected || client_idx == Some(selected));
            assert_eq!(n_hot(&timeline), 1);
        }
    }
}

#[test]
fn expansions_of_what_is_not_there_change_nothing() {
    let trace = wide(100);
    let usual = timeline(&trace, &Options::default());
    let missing = timeline(
        &trace,
        &opened(&[Expansion {
            node: Node::Missing,
            page: 1,
        }]),
    );
    assert_eq!(usual.rows, missing.rows);
    let far = timeline(
        &trace,
        &opened(&[Expansion {
            node: Node::Span(0),
            page: usize::MAX,
        }]),
    );
    assert_eq!(n_hot(&far), 1);
}

#[test]
fn a_client_and_the_server_it_called_share_a_row() {
    let trace = testing::draw(
        "
        web GET /                [------------------------]   server
          web GET                  [----------]               client
            stock GET /stock          [----]                  server
              stock SELECT              [-]                   client
          web PUT                               [------]      client error
            log PUT /log                        [------]      server
        ",
    );
    let shown = timeline(
        &trace,
        &Options {
            selected: Some(1),
            ..Options::default()
        },
    );
    assert_snapshot!(text(&trace, &shown));
    assert_eq!(shown.rows.len(), 4);
    assert_eq!(shown.n_spans_shown(), trace.len());
}

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_span_stands_in_one_row(trace in testing::any_trace(150), selected in 0..150_usize, opened in 0..150_usize) {
        let expanded = vec![Expansion { node: Node::Span(opened % trace.len()), page: 1 }];
        let options = Options { selected: Some(selected % trace.len()), expanded, ..Options::default() };
        let timeline = timeline(&trace, &options);
        prop_assert_eq!(n_hot(&timeline), 1);
        let mut n_spans = 0;
        for row in &timeline.rows {
            n_spans += match &row.kind {
                RowKind::Span { folded, client_idx, .. } => 1 + u64::from(client_idx.is_some()) + folded.n_spans,
                RowKind::Group { folded, .. } | RowKind::Missing { folded, .. } | RowKind::Fold { folded, .. } | RowKind::Levels { folded, .. } => {
                    folded.n_spans
                }
            };
            if let Place::Inside(Percent(left), Percent(width)) = row.bar.place {
                prop_assert!(left >= 0.0 && width > 0.0 && left + width <= 100.001, "{left} {width}");
            }
        }
        prop_assert_eq!(n_spans, trace.len() as u64, "folded or shown, each once");
    }

    #[test]
    fn views_show_what_they_say_and_what_leads_to_it(trace in testing::any_trace(60), selected in 0..60_usize) {
        let analysis = Analysis::of(&trace);
        for shown in [Shown::Path, Shown::Errors] {
            let options = Options { shown, selected: Some(selected % trace.len()), ..Options::default() };
            let timeline = timeline(&trace, &options);
            prop_assert_eq!(n_hot(&timeline), 1);
            let n_selected = timeline.rows.iter().filter(|row| marks(row).is_selected).count();
            prop_assert_eq!(n_selected, 1);
            let is_wanted = |at: usize| match shown {
                Shown::Path => analysis.critical_nanos[at] > 0,
                _ => trace.span(at).is_error(),
            };
            let n_wanted = (0..trace.len()).filter(|&at| is_wanted(at)).count();
            let mut n_found = 0;
            for row in &timeline.rows {
                n_found += match row.kind {
                    RowKind::Span { span_idx, client_idx, folded, .. } => {
                        prop_assert_eq!(folded, Under::default());
                        client_idx.into_iter().chain([span_idx]).filter(|&at| is_wanted(at)).count()
                    }
                    RowKind::Group { n_calls, .. } => n_calls,
                    _ => 0,
                };
            }
            prop_assert!(n_found >= n_wanted, "{n_found} of {n_wanted}");
        }
    }
}
