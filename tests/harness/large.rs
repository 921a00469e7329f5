//! Traces as large, deep and wide as they come, as export requests of a size that receivers take.
//!
//! All of it follows from the trace's ID: the same spans each time, with ids and times that look
//! random, so that what is measured on them is not better than life.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Status, status};

use crate::spans::{Draft, START_NANOS, request};

/// How many spans a request has at the most.
const REQUEST_SPANS: usize = 5_000;
/// What calls and is called.
const SERVICES: [&str; 10] = [
    "catalog",
    "inventory",
    "media",
    "pricing",
    "profile",
    "promo",
    "recommend",
    "search",
    "shipping",
    "wallet",
];
/// One in so many spans of a report fails.
const FAILS: u64 = 400;

/// A trace being drawn.
struct Drawing {
    trace: u128,
    random: fastrand::Rng,
    drafts: Vec<Draft>,
    last_id: u64,
}

impl Drawing {
    fn new(trace: u128) -> Self {
        Self {
            trace,
            random: fastrand::Rng::with_seed(u64::try_from(trace).unwrap_or(7)),
            drafts: Vec::new(),
            last_id: 0,
        }
    }

    /// Draws a span, from and to in nanoseconds, and gives its ID.
    fn span(&mut self, parent: u64, service: &str, name: &str, from: u64, to: u64) -> u64 {
        // Odd steps of this size come by each number once.
        self.last_id = self.last_id.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let id = self.last_id;
        let draft = Draft::new(self.trace, id, name)
            .service(service)
            .with(|span| {
                span.start_time_unix_nano = START_NANOS + from;
                span.end_time_unix_nano = START_NANOS + to;
            });
        self.drafts.push(match parent {
            0 => draft,
            parent => draft.parent(parent),
        });
        id
    }

    /// Changes the newest span.
    fn last(&mut self, change: impl FnOnce(Draft) -> Draft) {
        let draft = self.drafts.pop().expect("a span was drawn");
        self.drafts.push(change(draft));
    }

    fn kind(&mut self, kind: SpanKind) {
        self.last(|draft| draft.kind(kind));
    }

    fn requests(self) -> Vec<ExportTraceServiceRequest> {
        let chunks = self.drafts.chunks(REQUEST_SPANS);
        chunks.map(|chunk| request(chunk.to_vec())).collect()
    }
}

/// A nightly report of exactly `n_spans` spans, which asks ten services for one thing after another:
/// pairs of client and server, queries below them, now and then a call of a third service. One in
/// some hundred spans fails; a reindexing is the slowest hop. At least 20 spans.
///
/// ```text
/// batch POST /api/reports/nightly |==========================================|
///   batch POST (client)            |======|
///     search POST /v1/reindex       |====|
///       search SELECT documents      ||
///       search merge segments          |==|
///   batch GET (client)                     |=|      … and so on
///     catalog GET /v1/catalog/{id}          =
/// ```
///
/// # Panics
/// With fewer than 20 spans.
pub fn report(trace: u128, n_spans: usize) -> Vec<ExportTraceServiceRequest> {
    assert!(n_spans >= 20, "too few for what must be there");
    let mut drawing = Drawing::new(trace);
    let root = drawing.span(0, "batch", "POST /api/reports/nightly", 0, 0);
    drawing.kind(SpanKind::Server);
    let mut now = 40_000;
    let slow = n_spans as u64 * 500_000;
    let caller = drawing.span(root, "batch", "POST", now, now + slow);
    drawing.kind(SpanKind::Client);
    let entry = drawing.span(
        caller,
        "search",
        "POST /v1/reindex",
        now + 90_000,
        now + slow - 70_000,
    );
    drawing.kind(SpanKind::Server);
    drawing.span(
        entry,
        "search",
        "SELECT documents",
        now + 150_000,
        now + slow / 12,
    );
    drawing.span(
        entry,
        "search",
        "merge segments",
        now + slow / 11,
        now + slow - slow / 20,
    );
    now += slow;
    while drawing.drafts.len() < n_spans {
        now = call(&mut drawing, root, "batch", now + 3_000, n_spans, 0);
    }
    let end = now + 250_000;
    // The root ends when all has ended.
    drawing.drafts[0] = drawing.drafts[0]
        .clone()
        .with(|span| span.end_time_unix_nano = START_NANOS + end);
    drawing.requests()
}

/// A call by `caller` that begins at `from`, and what it leads to; gives when it ends. Ends early when
/// there are enough spans.
fn call(
    drawing: &mut Drawing,
    parent: u64,
    caller: &str,
    from: u64,
    n_spans: usize,
    depth: usize,
) -> u64 {
    let client_at = drawing.drafts.len();
    let client = drawing.span(parent, caller, "GET", from, from);
    drawing.kind(SpanKind::Client);
    let mut now = from + drawing.random.u64(80_000..400_000);
    if drawing.drafts.len() < n_spans {
        let service = SERVICES[drawing.random.usize(..SERVICES.len())];
        let name = format!("GET /v1/{service}/{{id}}");
        let server_at = drawing.drafts.len();
        let server = drawing.span(client, service, &name, now, now);
        drawing.kind(SpanKind::Server);
        now += drawing.random.u64(20_000..90_000);
        for _ in 0..drawing.random.usize(2..8) {
            if drawing.drafts.len() == n_spans {
                break;
            }
            if depth < 6 && drawing.random.u8(..) < 50 {
                now = call(drawing, server, service, now, n_spans, depth + 1);
            } else {
                let took = drawing.random.u64(30_000..2_500_000);
                let table = ["user_pref", "price", "item"][drawing.random.usize(..3)];
                drawing.span(server, service, &format!("SELECT {table}"), now, now + took);
                drawing.kind(SpanKind::Client);
                if drawing.random.u64(..FAILS) == 0 {
                    drawing.last(failed);
                }
                now += took + drawing.random.u64(1_000..40_000);
            }
        }
        end_at(drawing, server_at, now);
        now += drawing.random.u64(60_000..300_000);
    }
    end_at(drawing, client_at, now);
    now
}

fn end_at(drawing: &mut Drawing, at: usize, end: u64) {
    let draft = drawing.drafts[at].clone();
    drawing.drafts[at] = draft.with(|span| span.end_time_unix_nano = START_NANOS + end);
}

fn failed(draft: Draft) -> Draft {
    draft.with(|span| {
        span.status = Some(Status {
            code: status::StatusCode::Error.into(),
            message: "deadline exceeded".to_owned(),
        });
    })
}

/// A chain of `depth` spans, each called by the one before: `level 1` to `level N`.
pub fn chain(trace: u128, depth: u64) -> Vec<ExportTraceServiceRequest> {
    let mut drawing = Drawing::new(trace);
    let mut parent = 0;
    for level in 1..=depth {
        let name = format!("level {level}");
        parent = drawing.span(
            parent,
            "deep",
            &name,
            level * 1_000,
            (3 * depth - level) * 1_000,
        );
    }
    drawing.requests()
}

/// A span that makes `width` calls, one after another: `call 1` to `call N`.
pub fn fan(trace: u128, width: u64) -> Vec<ExportTraceServiceRequest> {
    let mut drawing = Drawing::new(trace);
    let root = drawing.span(0, "wide", "fan out", 0, (width + 1) * 10_000);
    for call in 1..=width {
        let name = format!("call {call}");
        drawing.span(root, "wide", &name, call * 10_000, call * 10_000 + 7_000);
    }
    drawing.requests()
}

/// A span and `n` more under it, each with a name of its own (`operation 1` to `operation N`), of so
/// many services (`service 0` and on) in turn.
pub fn motley(trace: u128, n: u64, n_services: u64) -> Vec<ExportTraceServiceRequest> {
    let mut drawing = Drawing::new(trace);
    let root = drawing.span(0, "service 0", "all of them", 0, (n + 1) * 10_000);
    for at in 1..=n {
        let (name, service) = (
            format!("operation {at}"),
            format!("service {}", at % n_services),
        );
        drawing.span(root, &service, &name, at * 10_000, at * 10_000 + 7_000);
    }
    drawing.requests()
}
