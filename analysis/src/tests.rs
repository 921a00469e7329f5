//! Drawn traces and what longpole says of them; a column is a millisecond.

use std::fmt::Write as _;

use longpole_proto::testing::{self, SpanBuilder, draw};
use longpole_proto::trace::TraceParts;
use longpole_proto::{SpanKind, Trace};
use proptest::prelude::*;

use crate::Analysis;
use crate::format::{duration, span_label};

/// Everything a person would check by hand, as text.
fn told(drawing: &str) -> String {
    tell(&draw(drawing))
}

fn tell(trace: &Trace) -> String {
    let analysis = Analysis::of(trace);
    let mut text = String::new();
    let ms = |at: longpole_proto::UnixNanos| at.nanos_since(testing::START) / testing::MS;
    writeln!(text, "verdict: {}", analysis.verdict).expect("a string takes all");
    for section in &analysis.critical_path {
        let name = span_label(trace, section.span_idx);
        writeln!(
            text,
            "{:>3}..{:<3} {name}",
            ms(section.start),
            ms(section.end)
        )
        .expect("a string takes all");
    }
    for (at, hop) in analysis.hops.iter().enumerate() {
        writeln!(
            text,
            "hop {}{}: {} over {} spans, {} of it network",
            span_label(trace, hop.entry_idx),
            if at == analysis.slowest_hop {
                " (slowest)"
            } else {
                ""
            },
            duration(hop.nanos),
            hop.n_spans,
            duration(hop.network_nanos),
        )
        .expect("a string takes all");
    }
    for finding in &analysis.findings {
        writeln!(
            text,
            "{}: {} (saves {})",
            finding.kind.name(),
            finding.text,
            duration(finding.saved_nanos)
        )
        .expect("a string takes all");
    }
    text
}

#[test]
fn the_hop_behind_the_longest_wait_is_named_with_what_took_the_time() {
    insta::assert_snapshot!(told(
        "
gateway POST /checkout       [-----------------------------------------]
  checkout POST /orders       [---------------------------------------]
    inventory GET /stock        [--------------------]
      inventory SELECT stock    [---]                       client db.system.name=postgresql
      inventory lock wait            [-------------]
    pricing POST /quote         [------]
    payments POST /charge                             [------------]
      payments POST api.acme                           [---------]  client error server.address=api.acme
"
    ));
}

#[test]
fn a_client_span_is_the_network_part_of_its_callees_hop() {
    insta::assert_snapshot!(told(
        "
gateway GET /            [----------------------------]
  gateway GET             [--------------------------]   client
    stock GET /stock          [--------]
"
    ));
}

#[test]
fn thirty_small_hops_of_one_operation_outweigh_a_larger_one() {
    let mut spans = vec![
        SpanBuilder::new(1, "GET /cart")
            .service("web")
            .kind(SpanKind::Server)
            .at(0, 400),
        SpanBuilder::new(2, "GET /big")
            .service("big")
            .kind(SpanKind::Server)
            .parent(1)
            .at(310, 390),
    ];
    for n in 0..30 {
        spans.push(
            SpanBuilder::new(10 + n, "GET /price")
                .service("pricing")
                .kind(SpanKind::Server)
                .parent(1)
                .at(n * 10, n * 10 + 9),
        );
    }
    insta::assert_snapshot!(
        tell(&testing::trace_of(spans))
            .lines()
            .next()
            .expect("a line")
    );
}

#[test]
fn the_requests_own_query_leads_with_the_query_and_its_peer() {
    let mut spans = vec![
        SpanBuilder::new(1, "GET /cart")
            .service("web")
            .kind(SpanKind::Server)
            .at(0, 400),
    ];
    for n in 0..30 {
        spans.push(
            SpanBuilder::new(10 + n, "SELECT item")
                .service("web")
                .kind(SpanKind::Client)
                .attribute("db.system", "postgresql")
                .parent(1)
                .at(n * 10, n * 10 + 9),
        );
    }
    insta::assert_snapshot!(
        tell(&testing::trace_of(spans))
            .lines()
            .filter(|line| !line.contains(".."))
            .collect::<Vec<_>>()
            .join("\n")
    );
}

#[test]
fn repeated_calls_are_counted_by_what_is_called() {
    let mut spans = vec![
        SpanBuilder::new(1, "GET /cart")
            .service("web")
            .kind(SpanKind::Server)
            .at(0, 400),
    ];
    for n in 0..30 {
        let callee = if n < 12 { "GET /price" } else { "GET /stock" };
        let client = SpanBuilder::new(10 + n, "GET")
            .service("web")
            .kind(SpanKind::Client)
            .parent(1)
            .at(n * 10, n * 10 + 9);
        let server = SpanBuilder::new(100 + n, callee)
            .service("shop")
            .kind(SpanKind::Server)
            .parent(10 + n)
            .at(n * 10 + 1, n * 10 + 8);
        spans.extend([client, server]);
    }
    let told = tell(&testing::trace_of(spans));
    let repeated: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("Repeated call"))
        .collect();
    assert_eq!(
        repeated,
        [
            "Repeated call: shop GET /stock × 18 in GET /cart, 162 ms on the critical path (saves 153 ms)",
            "Repeated call: shop GET /price × 12 in GET /cart, 108 ms on the critical path (saves 99 ms)",
        ]
    );
}

#[test]
fn a_request_of_one_span_says_that_nothing_inside_says_where() {
    insta::assert_snapshot!(told("web GET / [----------]"));
}

#[test]
fn where_nothing_dominates_three_are_named() {
    let mut spans = vec![
        SpanBuilder::new(100, "GET /")
            .service("web")
            .kind(SpanKind::Server)
            .at(0, 360),
    ];
    for n in 0..12_u64 {
        spans.push(
            SpanBuilder::new(1 + n, &format!("GET /{n}"))
                .service(&format!("s{n}"))
                .kind(SpanKind::Server)
                .parent(100)
                .at(n * 30, n * 30 + 29 + n % 2),
        );
    }
    insta::assert_snapshot!(
        tell(&testing::trace_of(spans))
            .lines()
            .next()
            .expect("a line")
    );
}

#[test]
fn work_after_the_answer_and_queued_work_is_not_waited_for() {
    insta::assert_snapshot!(told(
        "
web POST /order      [--------------------]
  web audit             [----------------------------]
  web publish             [---]                          producer messaging.destination.name=orders
    mailer process            [------------------]       consumer
  web after                                   [-----]
"
    ));
}

#[test]
fn a_callee_whose_clock_is_off_is_clipped_and_told() {
    insta::assert_snapshot!(told(
        "
web GET /            [--------------------]
  stock GET /stock         [---------------------]
  bank GET /balance   [-----]
"
    ));
}

#[test]
fn orphans_without_a_root_make_an_incomplete_request() {
    insta::assert_snapshot!(told(
        "
stock GET /stock     [--------]            orphan
  stock SELECT         [----]              client db.system.name=mysql
bank GET /balance           [---------]    orphan error
"
    ));
}

#[test]
fn a_request_that_took_no_time_has_nothing_to_explain() {
    insta::assert_snapshot!(told(
        "
web GET /   |
  web work  |
"
    ));
}

#[test]
fn linked_work_is_not_waited_for() {
    insta::assert_snapshot!(told(
        "
web GET /          [----------]
  web batch           [------]     link=1
"
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn hops_and_services_share_out_the_request(trace in testing::any_trace(30)) {
        let analysis = Analysis::of(&trace);
        let duration = trace.span(trace.request_root()).duration_nanos();
        prop_assert_eq!(analysis.duration_nanos, duration);
        prop_assert_eq!(analysis.hops.iter().map(|hop| hop.nanos).sum::<u64>(), duration);
        prop_assert_eq!(analysis.services.iter().map(|share| share.critical_nanos).sum::<u64>(), duration);
        prop_assert_eq!(analysis.hops.iter().map(|hop| hop.n_spans).sum::<usize>(), trace.len());

        let mut of_hops = vec![0; analysis.hops.len()];
        for (&hop, nanos) in analysis.hop_of.iter().zip(&analysis.critical_nanos) {
            of_hops[hop as usize] += nanos;
        }
        for (hop, nanos) in analysis.hops.iter().zip(of_hops) {
            prop_assert_eq!(hop.nanos, nanos, "a hop's time is that of its spans");
            prop_assert!(hop.network_nanos <= hop.nanos);
        }

        let slowest = &analysis.hops[analysis.slowest_hop];
        prop_assert!(analysis.hops.iter().all(|hop| hop.nanos <= slowest.nanos));
        prop_assert!(slowest.network_nanos <= slowest.nanos);
        prop_assert!(analysis.culprit.nanos <= slowest.nanos);
        prop_assert!(analysis.culprit.span_idxs.iter().all(|&at| analysis.hop_of[at] as usize == analysis.slowest_hop));
        for (at, hop) in analysis.hops.iter().enumerate() {
            prop_assert_eq!(analysis.hop_of[hop.entry_idx] as usize, at);
        }
        for finding in &analysis.findings {
            prop_assert!(!finding.span_idxs.is_empty());
            prop_assert!(finding.saved_nanos <= duration);
        }
        let summary = analysis.summary(&trace);
        prop_assert_eq!(summary.duration_nanos, duration);
        prop_assert_eq!(summary.slowest_hop.nanos, slowest.nanos);
    }

    #[test]
    fn the_order_in_which_spans_arrived_changes_nothing((trace, parts) in any_order()) {
        let again = Trace::new(trace.id(), parts).expect("the same spans");
        prop_assert_eq!(Analysis::of(&again), Analysis::of(&trace));
    }
}

/// A trace, and its spans and resources in another order; without duplicates, of which the first counts.
fn any_order() -> impl Strategy<Value = (Trace, TraceParts)> {
    testing::any_trace(30).prop_flat_map(|trace| {
        let spans = Just(trace.spans().to_vec()).prop_shuffle();
        (Just(trace), spans).prop_map(|(trace, mut spans)| {
            let n_resources = u32::try_from(trace.resources().len()).expect("few resources");
            for span in &mut spans {
                span.resource_idx = n_resources - 1 - span.resource_idx;
            }
            let parts = TraceParts {
                spans,
                resources: trace.resources().iter().rev().cloned().collect(),
                scopes: trace.scopes().to_vec(),
            };
            (trace, parts)
        })
    })
}
