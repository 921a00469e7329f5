//! What the stories come to when they are analysed.

use fastrand::Rng;
use longpole_analysis::{Analysis, FindingKind, Phrase};
use longpole_proto::wire::{ExportRequest, decode_traces};
use longpole_proto::{Trace, UnixNanos};
use prost::Message;

use super::Story;
use crate::demo::batcher::Batchers;
use crate::demo::recorder::{MS, Recorded};
use crate::demo::shop::Shop;

const START: UnixNanos = UnixNanos(1_795_312_074_755_000_000);

/// How many tellings of a story are looked at: chance differs in each.
const N_SEEDS: u64 = 40;

/// The trace of a request's spans, after batching, sending and reading.
fn received(shop: &Shop, spans: Vec<Recorded>) -> Trace {
    let mut batchers = Batchers::new(shop.fleet().clone(), START);
    batchers.push(spans);
    let mut stored = Vec::new();
    let mut trace_id = None;
    for request in batchers.flush(UnixNanos(u64::MAX)) {
        let request =
            ExportRequest::parse(request.encode_to_vec().into()).expect("an export request");
        assert_eq!(
            request.rejections().total(),
            0,
            "{}",
            request.rejections().message()
        );
        for (id, bytes) in request.by_trace().messages() {
            assert_eq!(*trace_id.get_or_insert(id), id, "a request is one trace");
            stored.extend(bytes);
        }
    }
    let trace_id = trace_id.expect("a request has spans");
    let parts = decode_traces(trace_id, &stored).expect("traces data");
    Trace::new(trace_id, parts).expect("a request has spans")
}

fn told(story: Story, seed: u64) -> (Trace, Analysis) {
    let mut shop = Shop::new(Rng::with_seed(seed));
    let spans = shop.tell(story, START);
    let trace = received(&shop, spans);
    let analysis = Analysis::of(&trace);
    (trace, analysis)
}

fn plain(phrases: &[Phrase]) -> String {
    let text = |phrase: &Phrase| match phrase {
        Phrase::Plain(text) | Phrase::Strong(text) => text.clone(),
    };
    phrases.iter().map(text).collect()
}

fn finding(analysis: &Analysis, kind: FindingKind) -> bool {
    analysis.findings.iter().any(|finding| finding.kind == kind)
}

#[test]
fn the_lock_wait_is_200_ms_of_390() {
    for seed in 0..N_SEEDS {
        let (trace, analysis) = told(Story::LockWait, seed);
        assert_eq!(analysis.duration_nanos, 390 * MS);
        let hop = &analysis.hops[analysis.slowest_hop];
        assert_eq!(
            (
                trace.service(hop.entry_idx),
                &*trace.span(hop.entry_idx).name
            ),
            ("inventory", "GET /stock")
        );
        assert_eq!((hop.nanos, hop.network_nanos), (200 * MS, 4 * MS));
        assert_eq!(analysis.culprit.nanos, 152 * MS);
        assert_eq!(
            &*trace.span(analysis.culprit.span_idxs[0]).name,
            "lock wait sku-8812"
        );
        let headline = plain(&analysis.verdict.headline);
        assert!(
            headline.starts_with("Slowest hop: inventory GET /stock took 200 ms of 390 ms (51 %)"),
            "{headline}"
        );
    }
}

#[test]
fn the_n_plus_one_is_thirty_queries_in_a_row() {
    for seed in 0..N_SEEDS {
        let (trace, analysis) = told(Story::NPlusOne, seed);
        let culprit = &analysis.culprit;
        assert_eq!(&*trace.span(culprit.span_idxs[0]).name, "SELECT product");
        assert_eq!(
            (culprit.span_idxs.len(), culprit.peer.as_deref()),
            (30, Some("postgresql"))
        );
        assert!(
            culprit.nanos * 2 > analysis.duration_nanos,
            "most of the request"
        );
        assert!(finding(&analysis, FindingKind::RepeatedCall));
    }
}

#[test]
fn the_retry_storm_is_four_calls_of_the_provider() {
    for seed in 0..N_SEEDS {
        let (trace, analysis) = told(Story::RetryStorm, seed);
        let calls: Vec<_> = (0..trace.len())
            .filter(|&at| {
                trace.span(at).attributes.text("server.address") == Some("api.acme-pay.test")
            })
            .collect();
        let resent: Vec<_> = calls
            .iter()
            .map(|&at| {
                trace
                    .span(at)
                    .attributes
                    .get("http.request.resend_count")
                    .cloned()
            })
            .collect();
        assert_eq!(
            resent,
            [None, Some(1.into()), Some(2.into()), Some(3.into())]
        );
        let failed: Vec<_> = calls.iter().map(|&at| trace.span(at).is_error()).collect();
        assert_eq!(failed, [true, true, true, false]);
        let hop = &analysis.hops[analysis.slowest_hop];
        assert_eq!(trace.service(hop.entry_idx), "payments");
        assert!(
            !trace.span(trace.request_root()).is_error(),
            "it goes well in the end"
        );
    }
}

#[test]
fn the_legacy_call_takes_three_seconds() {
    for seed in 0..N_SEEDS {
        let (trace, analysis) = told(Story::LegacyCall, seed);
        let hop = &analysis.hops[analysis.slowest_hop];
        assert_eq!(trace.service(hop.entry_idx), "legacy-erp");
        assert!(
            (2_950 * MS..3_200 * MS).contains(&hop.nanos),
            "{} ns",
            hop.nanos
        );
    }
}

#[test]
fn the_pool_wait_is_the_culprit() {
    for seed in 0..N_SEEDS {
        let (trace, analysis) = told(Story::PoolWait, seed);
        let culprit = &analysis.culprit;
        assert_eq!(&*trace.span(culprit.span_idxs[0]).name, "pool.acquire");
        assert!(
            (340 * MS..800 * MS).contains(&culprit.nanos),
            "{} ns",
            culprit.nanos
        );
    }
}

#[test]
fn the_exception_fails_the_request() {
    let mut throwers = Vec::new();
    for seed in 0..N_SEEDS {
        let (trace, _) = told(Story::Exception, seed);
        assert!(trace.span(trace.request_root()).is_error());
        let thrown: Vec<_> = (0..trace.len())
            .filter(|&at| {
                trace
                    .span(at)
                    .events
                    .iter()
                    .any(|event| event.name == "exception")
            })
            .collect();
        for &at in &thrown {
            let stack = trace.span(at).events[0]
                .attributes
                .text("exception.stacktrace");
            assert!(
                stack.is_some_and(|stack| stack.lines().count() > 3),
                "a stack"
            );
        }
        throwers.extend(thrown.iter().map(|&at| trace.service(at).to_owned()));
    }
    throwers.sort_unstable();
    throwers.dedup();
    assert_eq!(throwers, ["gateway", "inventory", "pricing"]);
}

#[test]
fn nobody_waits_for_the_work_after_the_answer() {
    for seed in 0..N_SEEDS {
        let (trace, analysis) = told(Story::AfterAnswer, seed);
        let audit = (0..trace.len())
            .find(|&at| &*trace.span(at).name == "audit.write")
            .expect("an audit");
        assert!(!analysis.awaited[audit]);
        assert!(
            analysis.duration_nanos < 400 * MS,
            "{} ns",
            analysis.duration_nanos
        );
        assert!(trace.end() > trace.span(trace.request_root()).end.plus_nanos(300 * MS));
        assert!(finding(&analysis, FindingKind::RunsAfterAnswer));
        assert!((0..trace.len()).any(|at| trace.service(at) == "mailer"));
    }
}

#[test]
fn what_is_awaited_lies_inside_its_parent() {
    for seed in 0..N_SEEDS {
        let mut shop = Shop::new(Rng::with_seed(seed));
        for n in 0..84 {
            let spans = shop.next(START.plus_nanos(n * 1_000 * MS));
            let trace = received(&shop, spans);
            let analysis = Analysis::of(&trace);
            assert_eq!(trace.roots(), [0], "one root, no orphan");
            for at in 1..trace.len() {
                let (span, parent) = (
                    trace.span(at),
                    trace.span(trace.parent(at).expect("a parent")),
                );
                assert!(
                    span.start < span.end && span.start >= parent.start,
                    "{} in {}",
                    span.name,
                    parent.name
                );
                assert!(
                    !analysis.awaited[at] || span.end <= parent.end,
                    "{} in {}",
                    span.name,
                    parent.name
                );
            }
        }
    }
}
