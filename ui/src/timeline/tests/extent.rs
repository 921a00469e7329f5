//! Parts of a trace: what is under a span, a stretch of time.

use super::*;

fn under(root: usize) -> Options {
    Options {
        root: Some(root),
        ..Options::default()
    }
}

#[test]
fn a_call_stands_at_the_top_alone() {
    let trace = checkout();
    let stock = timeline(&trace, &under(2));
    assert_eq!(stock.extent.spans, 2..5);
    let depths: Vec<usize> = stock.rows.iter().map(|row| row.depth).collect();
    assert_eq!(depths, [0, 1, 1]);
    assert_eq!(stock.n_spans_shown(), 3);
    // The line of the critical path is only where it runs through these.
    assert!(stock.path.starts_with("M51.3 "), "{}", stock.path);
    assert!(stock.path.ends_with("H564.1"), "{}", stock.path);
    assert_eq!(n_hot(&stock), 1);
    let bank = timeline(&trace, &under(7));
    assert_eq!((bank.rows.len(), n_hot(&bank)), (1, 0));
}

#[test]
fn a_part_of_a_large_trace_is_shown_whole_when_it_is_small() {
    let trace = bushy(2_000);
    let root = (0..trace.len())
        .find(|&at| (20..=60).contains(&trace.subtree(at).len()))
        .expect("a span with as many below it");
    let part = timeline(&trace, &under(root));
    assert!((2..=60).contains(&part.rows.len()));
    let folds = |row: &Row| matches!(row.kind, RowKind::Fold { .. } | RowKind::Levels { .. });
    assert!(!part.rows.iter().any(folds));
}

#[test]
fn many_spans_on_their_own_are_groups() {
    let spans = (1..=100).map(|at| {
        let tick = SpanBuilder::new(at, "tick").at(at * 10, at * 10 + 5);
        match at {
            1..=60 => tick,
            _ => tick.parent(9_999),
        }
    });
    let trace = testing::trace_of(spans);
    let orphans = Expansion {
        node: Node::Missing,
        page: 1,
    };
    let timeline = timeline(&trace, &opened(&[orphans]));
    let groups = |row: &&Row| matches!(row.kind, RowKind::Group { .. });
    let depths: Vec<usize> = timeline
        .rows
        .iter()
        .filter(groups)
        .map(|row| row.depth)
        .collect();
    assert_eq!(depths, [0, 1], "{}", text(&trace, &timeline));
    assert_eq!(n_hot(&timeline), 1);
    assert!(timeline.rows.len() < 10);
}

#[test]
fn a_stretch_of_time_keeps_its_bounds_whatever_is_asked_for() {
    let trace = checkout();
    let whole = Window::of(&trace);
    for (from_micros, to_micros) in [(0, 1), (38_999, u64::MAX), (u64::MAX - 1, u64::MAX)] {
        let zoom = Some(Zoom {
            from_micros,
            to_micros,
        });
        let options = Options {
            zoom,
            ..Options::default()
        };
        let timeline = timeline(&trace, &options);
        let window = timeline.extent.window;
        assert!(whole.start <= window.start && window.end <= whole.end);
        assert_eq!(window.nanos(), 1_000, "{zoom:?}");
        assert_eq!(n_hot(&timeline), 1);
    }
}
