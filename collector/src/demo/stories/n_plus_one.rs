//! See [`super::Story::NPlusOne`].

use crate::demo::calls::{Endpoint, Served};
use crate::demo::everyday::session;
use crate::demo::fleet::Service;
use crate::demo::recorder::{MS, Recorder};
use crate::demo::statements;
use crate::otlp::attributes::int;

/// How many products the page shows, and so how often the same statement runs.
pub(super) const N_PRODUCTS: usize = 30;

pub(super) fn record(recorder: &mut Recorder<'_>) {
    recorder.visit(Endpoint::plain("GET", "/deals"), |r, gateway, at| {
        let at = session(r, gateway, at);
        let deals = Endpoint::plain("GET", "/deals");
        let served = r.call(gateway, Service::Catalog, deals, at, |r, catalog, at| {
            let at = at + r.about(3.0);
            let took = r.about(11.0);
            let mut at = r.query(catalog, statements::SELECT_FEATURED, at, took);
            for _ in 0..N_PRODUCTS {
                let took = r.about(8.0);
                at = r.query(catalog, statements::SELECT_PRODUCT, at + MS / 3, took);
            }
            let took = r.about(12.0);
            let render = r.work(catalog, "render deals.html", at, took);
            r.set(render, [int("shop.products", 30)]);
            Served {
                at: at + took + r.about(1.0),
                status: 200,
            }
        });
        Served {
            at: served.at + r.about(5.0),
            status: 200,
        }
    });
}
