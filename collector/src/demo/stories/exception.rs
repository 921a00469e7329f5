//! See [`super::Story::Exception`].

use crate::demo::calls::{Endpoint, Served};
use crate::demo::everyday::{session, stock};
use crate::demo::fleet::Service;
use crate::demo::recorder::{Recorder, SpanRef};
use crate::demo::stacks::{self, Exception};
use crate::demo::statements;

pub(super) fn record(recorder: &mut Recorder<'_>) {
    let in_inventory = recorder.rng().bool();
    recorder.visit(Endpoint::plain("POST", "/checkout"), |r, gateway, at| {
        let at = session(r, gateway, at);
        let orders = Endpoint::plain("POST", "/orders");
        let served = r.call(gateway, Service::Checkout, orders, at, |r, checkout, at| {
            let at = at + r.about(2.0);
            let served = if in_inventory {
                no_stock(r, checkout, at)
            } else {
                no_quote(r, checkout, at)
            };
            Served {
                at: served.at + r.about(1.0),
                status: 500,
            }
        });
        let at = served.at + r.about(2.0);
        r.exception(gateway, at, &stacks::UPSTREAM_FAILED);
        Served {
            at: at + r.about(1.0),
            status: 500,
        }
    });
}

fn no_stock(r: &mut Recorder<'_>, checkout: SpanRef, at: u64) -> Served {
    let endpoint = Endpoint::plain("GET", "/stock");
    r.call(
        checkout,
        Service::Inventory,
        endpoint,
        at,
        |r, inventory, at| {
            let at = at + r.about(2.0);
            let took = r.about(7.0);
            let at = r.query(inventory, statements::SELECT_STOCK, at, took);
            thrown(r, inventory, at, &stacks::NULL_STOCK)
        },
    )
}

fn no_quote(r: &mut Recorder<'_>, checkout: SpanRef, at: u64) -> Served {
    let at = stock(r, checkout, at);
    let endpoint = Endpoint::plain("POST", "/quote");
    r.call(
        checkout,
        Service::Pricing,
        endpoint,
        at,
        |r, pricing, at| {
            let at = at + r.about(1.0);
            let at = r.redis(pricing, "MGET", "price:* rate:GBP", at);
            thrown(r, pricing, at, &stacks::NO_RATE)
        },
    )
}

fn thrown(r: &mut Recorder<'_>, span: SpanRef, at: u64, exception: &Exception) -> Served {
    let at = at + r.about(1.0);
    r.exception(span, at, exception);
    r.fail(span, exception.kind, exception.message);
    Served {
        at: at + r.about(2.0),
        status: 500,
    }
}
