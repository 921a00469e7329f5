//! See [`super::Story::AfterAnswer`].

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::demo::calls::{Endpoint, Served};
use crate::demo::everyday::{charge, place_order, quote, session, stock};
use crate::demo::fleet::{Library, Service};
use crate::demo::recorder::{MS, Recorder, SpanRef};
use crate::demo::statements;
use crate::otlp::attributes::int;

pub(super) fn record(recorder: &mut Recorder<'_>) {
    recorder.visit(Endpoint::plain("POST", "/checkout"), |r, gateway, at| {
        let at = session(r, gateway, at);
        let orders = Endpoint::plain("POST", "/orders");
        let served = r.call(gateway, Service::Checkout, orders, at, |r, checkout, at| {
            let at = at + r.about(2.0);
            let stock = stock(r, checkout, at);
            let price = quote(r, checkout, at + MS / 5);
            let at = stock.max(price) + r.about(1.0);
            let at = charge(r, checkout, at);
            let at = place_order(r, checkout, at);
            audit(r, checkout, at);
            Served {
                at: at + r.about(1.0),
                status: 201,
            }
        });
        Served {
            at: served.at + r.about(3.0),
            status: 200,
        }
    });
}

/// Begins while the request is served and goes on for most of a second after the answer.
fn audit(r: &mut Recorder<'_>, checkout: SpanRef, at: u64) {
    let audit = r.child(
        checkout,
        Library::Own,
        "audit.write",
        SpanKind::Internal,
        at,
    );
    r.set(audit, [int("audit.events", 14)]);
    let batching = at + 400 * MS;
    let took = r.about(180.0);
    let done = r.query(audit, statements::INSERT_AUDIT, batching, took);
    r.end(audit, done + 2 * MS);
}
