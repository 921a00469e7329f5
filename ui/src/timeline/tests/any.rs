//! What holds for any trace.

use proptest::prelude::*;

use super::*;

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

    #[test]
    fn every_span_of_a_part_stands_in_one_row(trace in testing::any_trace(150), root in 0..150_usize, from in 0..100_u64) {
        let options = Options {
            root: Some(root % trace.len()),
            zoom: Some(Zoom { from_micros: from * 100, to_micros: from * 100 + 500 }),
            ..Options::default()
        };
        let timeline = timeline(&trace, &options);
        prop_assert!(n_hot(&timeline) <= 1);
        let mut n_spans = 0;
        for row in &timeline.rows {
            n_spans += match &row.kind {
                RowKind::Span { folded, client_idx, .. } => 1 + u64::from(client_idx.is_some()) + folded.n_spans,
                RowKind::Group { folded, .. } | RowKind::Missing { folded, .. } | RowKind::Fold { folded, .. } | RowKind::Levels { folded, .. } => {
                    folded.n_spans
                }
            };
        }
        prop_assert_eq!(n_spans, timeline.extent.spans.len() as u64);
    }
}
