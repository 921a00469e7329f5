//! See [`super::Story::RetryStorm`].

use crate::demo::calls::{Endpoint, Outcome, Served};
use crate::demo::everyday::{ACME_PAY, place_order, quote, session, stock};
use crate::demo::fleet::Service;
use crate::demo::recorder::{MS, Recorder, SpanRef};
use crate::demo::{stacks, statements};
use crate::otlp::attributes::{int, text};

/// How each try ends, how long it takes in milliseconds, and how long is waited before it.
const TRIES: [(Outcome, f64, u64); 4] = [
    (Outcome::Status(503), 160.0, 0),
    (Outcome::Timeout, 0.0, 100),
    (Outcome::Status(503), 140.0, 200),
    (Outcome::Status(200), 85.0, 400),
];

/// When the client gives up on a try.
const TIMEOUT: u64 = 1_000 * MS;

pub(super) fn record(recorder: &mut Recorder<'_>) {
    recorder.visit(Endpoint::plain("POST", "/checkout"), |r, gateway, at| {
        let at = session(r, gateway, at);
        let orders = Endpoint::plain("POST", "/orders");
        let served = r.call(gateway, Service::Checkout, orders, at, |r, checkout, at| {
            let at = at + r.about(2.0);
            let stock = stock(r, checkout, at);
            let price = quote(r, checkout, at + MS / 5);
            let charge = Endpoint::plain("POST", "/charge");
            let at = stock.max(price) + r.about(1.0);
            let charged = r.call(checkout, Service::Payments, charge, at, charge_in_the_end);
            let at = place_order(r, checkout, charged.at);
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

fn charge_in_the_end(r: &mut Recorder<'_>, payments: SpanRef, at: u64) -> Served {
    let mut at = at + r.about(2.0);
    for (n_resent, (outcome, millis, backoff_millis)) in (0_i64..).zip(TRIES) {
        at += backoff_millis * MS;
        let took = if outcome == Outcome::Timeout {
            TIMEOUT
        } else {
            r.about(millis)
        };
        let call = r.call_external(payments, ACME_PAY, outcome, at, took);
        at += took;
        if n_resent > 0 {
            r.set(call, [int("http.request.resend_count", n_resent)]);
        }
        if outcome == Outcome::Timeout {
            r.exception(call, at, &stacks::READ_TIMEOUT);
        }
        at += r.about(0.5);
    }
    r.event(
        payments,
        at,
        "charged after retries",
        vec![text("payment.provider", "acme-pay")],
    );
    let took = r.about(5.0);
    let at = r.query(payments, statements::INSERT_CHARGE, at, took);
    Served {
        at: at + r.about(1.0),
        status: 200,
    }
}
