//! A checkout of 390 ms to the nanosecond; see [`super::Story::LockWait`].
//!
//! ```text
//! ms            0         100        200        300       390
//! gateway       [------------------------------------------]
//!   checkout     [----------------------------------------]
//!     inventory    [--------------------]                      20 to 220
//!       stock       [--]                                       25 to 56
//!       lock wait       [--------------]                       58 to 210
//!     pricing      [---]                                       21 to 69
//!     payments                           [------------]        226 to 354
//! ```

use crate::demo::calls::{Endpoint, Network, Outcome, Served};
use crate::demo::everyday::{ACME_PAY, ORDERS};
use crate::demo::fleet::Service;
use crate::demo::recorder::{MS, Recorder, SpanRef};
use crate::demo::statements;
use crate::otlp::attributes::{int, text};

const NETWORK: Network = Network {
    there: 2 * MS,
    back: 2 * MS,
};

pub(super) fn record(recorder: &mut Recorder<'_>) {
    recorder.visit(Endpoint::plain("POST", "/checkout"), |r, gateway, at| {
        r.redis(gateway, "GET", "session:4c7b1e02d9a3f586", at + MS / 2);
        let orders = Endpoint::plain("POST", "/orders");
        r.call_over(
            NETWORK,
            gateway,
            Service::Checkout,
            orders,
            at + 5 * MS,
            |r, checkout, _| {
                order(r, checkout);
                Served {
                    at: 383 * MS,
                    status: 201,
                }
            },
        );
        Served {
            at: 390 * MS,
            status: 200,
        }
    });
}

fn order(r: &mut Recorder<'_>, checkout: SpanRef) {
    let stock = Endpoint::plain("GET", "/stock");
    r.call_over(
        NETWORK,
        checkout,
        Service::Inventory,
        stock,
        20 * MS,
        |r, inventory, _| {
            r.query(inventory, statements::SELECT_STOCK, 25 * MS, 31 * MS);
            let lock = r.work(inventory, "lock wait sku-8812", 58 * MS, 152 * MS);
            r.set(
                lock,
                [
                    text("lock.name", "sku-8812"),
                    text("thread.name", "http-nio-8082-exec-7"),
                    int("lock.waiters", 6),
                ],
            );
            Served {
                at: 218 * MS,
                status: 200,
            }
        },
    );
    let quote = Endpoint::plain("POST", "/quote");
    r.call_over(
        NETWORK,
        checkout,
        Service::Pricing,
        quote,
        21 * MS,
        |r, pricing, _| {
            r.redis(pricing, "MGET", "price:* rate:EUR", 25 * MS);
            r.work(pricing, "PromotionEngine.Apply", 34 * MS, 30 * MS);
            Served {
                at: 67 * MS,
                status: 200,
            }
        },
    );
    let charge = Endpoint::plain("POST", "/charge");
    r.call_over(
        NETWORK,
        checkout,
        Service::Payments,
        charge,
        226 * MS,
        |r, payments, _| {
            r.call_external(payments, ACME_PAY, Outcome::Status(200), 232 * MS, 101 * MS);
            r.query(payments, statements::INSERT_CHARGE, 337 * MS, 9 * MS);
            Served {
                at: 352 * MS,
                status: 200,
            }
        },
    );
    r.query(checkout, statements::INSERT_ORDER, 356 * MS, 8 * MS);
    r.publish(checkout, ORDERS, 366 * MS, 9 * MS);
}
