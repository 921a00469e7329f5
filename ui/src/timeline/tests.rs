mod any;
mod extent;
mod groups;
mod links;
mod shown;
mod story;

use longpole_analysis::Analysis;
use longpole_proto::testing::{self, MS, SpanBuilder};
use longpole_proto::{SpanKind, Trace};

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
