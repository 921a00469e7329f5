//! Traces as they should not be, and very large ones: each opens as a page and says what is wrong.

use longpole_proto::TraceId;
use longpole_tests::Server;
use longpole_tests::spans::{Draft, MS, request};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::check::check_trace;

/// A trace, and the findings it must have.
struct Shape {
    what: &'static str,
    spans: Vec<Draft>,
    findings: &'static [&'static str],
}

fn shape(what: &'static str, spans: Vec<Draft>, findings: &'static [&'static str]) -> Shape {
    Shape {
        what,
        spans,
        findings,
    }
}

fn span(id: u64, start_ms: u64, end_ms: u64) -> Draft {
    Draft::new(1, id, "work")
        .service("shop")
        .at(start_ms, end_ms)
}

fn root() -> Draft {
    span(1, 0, 100).kind(SpanKind::Server)
}

fn broken_trees() -> Vec<Shape> {
    vec![
        shape(
            "a parent that never came",
            vec![span(2, 0, 50).parent(9)],
            &["missingParent"],
        ),
        shape(
            "a parent of its own",
            vec![root(), span(2, 0, 50).parent(2)],
            &["missingParent"],
        ),
        shape(
            "a circle",
            vec![root(), span(2, 0, 50).parent(3), span(3, 0, 40).parent(2)],
            &["missingParent"],
        ),
        shape("two roots", vec![root(), span(2, 10, 40)], &[]),
        shape("the same span twice", vec![root(), root()], &[]),
        shape(
            "one ID for two spans",
            vec![root(), span(1, 10, 40).kind(SpanKind::Client)],
            &[],
        ),
    ]
}

fn broken_times() -> Vec<Shape> {
    let at = |start, end| {
        move |span: &mut opentelemetry_proto::tonic::trace::v1::Span| {
            span.start_time_unix_nano = start;
            span.end_time_unix_nano = end;
        }
    };
    vec![
        shape("no duration", vec![span(1, 5, 5)], &[]),
        shape("an end before the start", vec![span(1, 50, 5)], &[]),
        shape("no times", vec![span(1, 0, 0).with(at(0, 0))], &[]),
        shape(
            "the end of time",
            vec![span(1, 0, 0).with(at(0, u64::MAX))],
            &[],
        ),
        shape(
            "beyond its parent",
            vec![root(), span(2, 50, 90_000).parent(1)],
            &["runsAfterAnswer"],
        ),
        shape(
            "a callee's clock that is wrong",
            vec![
                span(1, 5_000, 5_100).kind(SpanKind::Server),
                span(2, 4_000, 4_050)
                    .service("stock")
                    .kind(SpanKind::Server)
                    .parent(1),
            ],
            &["clockSkew"],
        ),
    ]
}

fn slow_habits() -> Vec<Shape> {
    let mut repeated = vec![root()];
    repeated.extend((0..40).map(|n| {
        span(n + 2, n * 2, n * 2 + 2)
            .kind(SpanKind::Client)
            .parent(1)
            .attribute("db.system.name", "postgresql")
    }));
    let failed = span(2, 0, 90)
        .parent(1)
        .exception("Timeout", "no answer", "at connect");
    vec![
        shape("the same call forty times", repeated, &["repeatedCall"]),
        shape("a failed call", vec![root(), failed], &["errors"]),
        shape(
            "time nobody accounts for",
            vec![root(), span(2, 0, 9).parent(1)],
            &["uninstrumentedGap"],
        ),
        shape("no name", vec![root().with(|span| span.name.clear())], &[]),
        shape("no service", vec![root().service("")], &[]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_its_shape_a_trace_opens_and_says_what_is_wrong() {
    let server = Server::start().await;
    let shapes = broken_trees()
        .into_iter()
        .chain(broken_times())
        .chain(slow_habits());
    for (
        trace,
        Shape {
            what,
            spans,
            findings,
        },
    ) in (1_u128..).zip(shapes)
    {
        let of_trace =
            |draft: Draft| draft.with(|span| span.trace_id = trace.to_be_bytes().to_vec());
        server
            .client()
            .export(&request(spans.into_iter().map(of_trace)))
            .await;
        let id = TraceId::from_slice(&trace.to_be_bytes()).expect("not zero");
        let analysis = check_trace(server.client(), what, id).await;
        let found = analysis["findings"].as_array().expect("a list of findings");
        for kind in findings {
            let finding = found.iter().find(|finding| finding["kind"] == *kind);
            let finding = finding.unwrap_or_else(|| panic!("{what}: no {kind} in {found:?}"));
            assert_ne!(finding["text"].as_str().unwrap_or_default(), "", "{what}");
            assert!(
                finding["spanIds"]
                    .as_array()
                    .is_some_and(|ids| !ids.is_empty()),
                "{what}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn very_deep_and_very_wide_traces_open_as_small_pages() {
    const N_SPANS: u64 = 20_000;
    let server = Server::start().await;
    let deep = (2..=N_SPANS).map(|n| span(n, 0, 100).parent(n - 1));
    let wide = (2..=N_SPANS).map(|n| span(n, n % 100, n % 100 + 1).parent(n % 50 + 1));
    let shapes: [(&str, Vec<Draft>); 2] = [("deep", deep.collect()), ("wide", wide.collect())];
    for (trace, (what, spans)) in (1_u128..).zip(shapes) {
        let spans = spans.into_iter().chain([root()]);
        let of_trace =
            |draft: Draft| draft.with(|span| span.trace_id = trace.to_be_bytes().to_vec());
        server.client().export(&request(spans.map(of_trace))).await;
        let id = TraceId::from_slice(&trace.to_be_bytes()).expect("not zero");
        let analysis = check_trace(server.client(), what, id).await;
        assert_eq!(analysis["durationNanos"], 100 * MS, "{what}");
        let page = server
            .client()
            .get(&format!("/trace/{id}"))
            .await
            .expect(200);
        let selector = scraper::Selector::parse("*").expect("a valid selector");
        let n_elements = page.html().select(&selector).count();
        assert!(
            n_elements <= 1_500,
            "{what}: {n_elements} elements on the page"
        );
    }
}
