use longpole_proto::testing::{MS, START, SpanBuilder, trace_of};

use super::*;

fn event(at_ms: u64, name: &str, attributes: &[(&str, &str)]) -> Event {
    let mut event = Event {
        time: START.plus_nanos(at_ms * MS),
        name: name.to_owned(),
        ..Event::default()
    };
    for (key, value) in attributes {
        event.attributes.push(*key, *value);
    }
    event
}

/// A span from 100 to 200 ms.
fn span_with(events: Vec<Event>) -> Trace {
    let span = SpanBuilder::new(1, "work").at(100, 200);
    trace_of([span.with(|span| span.events = events)])
}

fn told(span: &Span) -> Vec<String> {
    let tell = |of: &ExceptionView| {
        let stack = of.stack.as_ref().map_or("no stack", |stack| &stack.short);
        format!("{} | {} | {} | {stack}", of.when, of.kind, of.message.short)
    };
    super::of(span).exceptions.iter().map(tell).collect()
}

#[test]
fn exceptions_are_known_by_every_convention() {
    let trace = span_with(vec![
        event(
            150,
            "exception",
            &[
                ("exception.type", "Timeout"),
                ("exception.message", "too slow"),
            ],
        ),
        event(120, "exception", &[]),
        event(130, "log", &[("exception.message", "no type")]),
        event(
            140,
            "error",
            &[
                ("error.kind", "IOError"),
                ("message", "gone"),
                ("stack", "at read"),
            ],
        ),
        event(145, "", &[("event", "error"), ("message", "logged")]),
        event(160, "message", &[("message", "no error")]),
    ]);
    assert_eq!(
        told(trace.span(0)),
        [
            "at +20 ms | exception |  | no stack",
            "at +30 ms | exception | no type | no stack",
            "at +40 ms | IOError | gone | at read",
            "at +45 ms | exception | logged | no stack",
            "at +50 ms | Timeout | too slow | no stack",
        ]
    );
    assert_eq!(super::of(trace.span(0)).events.len(), 1);
}

#[test]
fn an_exception_told_of_only_by_attributes_is_one_and_is_not_told_twice() {
    let span = |attributes: &[(&str, &str)], events| {
        let mut span = SpanBuilder::new(1, "work").at(100, 200);
        for (key, value) in attributes {
            span = span.attribute(key, *value);
        }
        trace_of([span.with(|span| span.events = events)])
    };
    let of_attributes = [
        ("error.type", "java.io.IOException"),
        ("error.message", "no route"),
        ("error.stack", "at connect"),
    ];
    assert_eq!(
        told(span(&of_attributes, vec![]).span(0)),
        [" | java.io.IOException | no route | at connect"]
    );
    let same = event(110, "exception", &[("exception.message", "no route")]);
    assert_eq!(told(span(&of_attributes, vec![same]).span(0)).len(), 1);
    let other = event(110, "exception", &[("exception.message", "retried")]);
    assert_eq!(told(span(&of_attributes, vec![other]).span(0)).len(), 2);

    let status = span(&[("error.type", "504")], vec![]);
    assert_eq!(
        told(status.span(0)),
        [""; 0],
        "a kind alone is no exception"
    );
    assert_eq!(status_message(status.span(0)).short, "504");
}

#[test]
fn what_else_an_exception_says_is_kept() {
    let attributes = [("exception.message", "no"), ("retry", "3")];
    let trace = span_with(vec![event(150, "exception", &attributes)]);
    let moments = super::of(trace.span(0));
    let pairs = &moments.exceptions[0].attributes.pairs;
    let keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["retry"]);
}

#[test]
fn events_outside_the_span_are_said_to_be_and_are_not_drawn() {
    let mut timeless = event(0, "timeless", &[]);
    timeless.time = UnixNanos(0);
    let trace = span_with(vec![
        event(230, "late", &[]),
        event(100, "first", &[]),
        event(200, "last", &[]),
        event(90, "early", &[]),
        timeless,
        event(150, "exception", &[]),
    ]);
    let moments = super::of(trace.span(0));
    let said = moments.events.iter();
    let said: Vec<String> = said.map(|of| format!("{} {}", of.name, of.when)).collect();
    assert_eq!(
        said,
        [
            "timeless without a time",
            "early 10 ms before the span began",
            "first +0 ns",
            "last +100 ms",
            "late 30 ms after the span ended",
        ]
    );
    let axis = AxisView::of(&trace, &Analysis::of(&trace), 0).expect("it took time");
    assert_eq!(axis.events, "M0 0v1M1000 0v1");
    assert_eq!(axis.exceptions, [Percent(50.0)]);
    assert_eq!(axis.n_outside, Count(3));
}

#[test]
fn the_axis_has_the_spans_own_time_and_which_of_it_is_critical() {
    let trace = trace_of([
        SpanBuilder::new(1, "root").at(0, 200),
        SpanBuilder::new(2, "child").parent(1).at(50, 100),
        SpanBuilder::new(3, "beside").parent(1).at(60, 90),
    ]);
    let analysis = Analysis::of(&trace);
    let root = AxisView::of(&trace, &analysis, 0).expect("it took time");
    assert_eq!(root.own, "M0 0h250v1h-250zM500 0h500v1h-500z");
    assert_eq!(root.critical, root.own);
    let beside = AxisView::of(&trace, &analysis, 2).expect("it took time");
    assert_eq!(
        (beside.own.as_str(), beside.critical.as_str()),
        ("M0 0h1000v1h-1000z", "")
    );
}

#[test]
fn many_events_make_few_marks() {
    let events = (0..30_000_u64).map(|n| {
        let name = if n % 2 == 0 { "exception" } else { "tick" };
        Event {
            time: START.plus_nanos(100 * MS + n * 3_000),
            name: name.to_owned(),
            ..Event::default()
        }
    });
    let trace = span_with(events.collect());
    let axis = AxisView::of(&trace, &Analysis::of(&trace), 0).expect("it took time");
    assert!(axis.events.len() < 4_000, "{} bytes", axis.events.len());
    assert!(axis.exceptions.len() <= 33, "{}", axis.exceptions.len());
    let moments = super::of(trace.span(0));
    assert_eq!(moments.n_more_exceptions, Count(15_000 - 20));
    assert_eq!(moments.n_more_events, Count(15_000 - 100));
}

#[test]
fn a_span_without_duration_has_no_axis() {
    let trace = trace_of([SpanBuilder::new(1, "tick").at(5, 5)]);
    assert!(AxisView::of(&trace, &Analysis::of(&trace), 0).is_none());
}
