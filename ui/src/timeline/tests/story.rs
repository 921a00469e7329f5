//! Which rows tell a story.

use insta::assert_snapshot;

use super::*;

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
