//! See [`super::Story::PoolWait`].

use crate::demo::calls::{Endpoint, Served};
use crate::demo::everyday::{quote, session};
use crate::demo::fleet::Service;
use crate::demo::recorder::{MS, Recorder};
use crate::demo::statements;
use crate::otlp::attributes::{int, text};

pub(super) fn record(recorder: &mut Recorder<'_>) {
    let path = format!("/carts/{:08x}", recorder.rng().u32(..));
    recorder.visit(Endpoint::plain("GET", "/cart"), |r, gateway, at| {
        let at = session(r, gateway, at);
        let cart = Endpoint::new("GET", "/carts/{id}", &path);
        let served = r.call(gateway, Service::Checkout, cart, at, |r, checkout, at| {
            let at = at + r.about(1.5);
            let waited = 320 * MS + r.about(120.0);
            let acquire = r.work(checkout, "pool.acquire", at, waited);
            r.set(
                acquire,
                [
                    text("db.client.connection.pool.name", "pg-shop-rw"),
                    int("db.client.connection.max", 8),
                    int("db.client.connection.pending_requests", 23),
                ],
            );
            let at = at + waited + MS / 10;
            let took = r.about(3.0);
            let at = r.query(checkout, statements::SELECT_CART, at, took);
            let at = quote(r, checkout, at + MS / 2);
            Served {
                at: at + r.about(1.0),
                status: 200,
            }
        });
        Served {
            at: served.at + r.about(4.0),
            status: 200,
        }
    });
}
