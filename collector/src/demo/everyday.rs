//! What the shop does most of the time: answer fast.

use super::calls::{Endpoint, External, Outcome, Served};
use super::fleet::Service;
use super::recorder::{MS, Recorder, SpanRef};
use super::statements;
use crate::otlp::attributes::text;

/// The payment provider, which makes no spans.
pub(super) const ACME_PAY: External = External {
    method: "POST",
    host: "api.acme-pay.test",
    path: "/v2/charges",
};

/// The topic orders are announced on.
pub(super) const ORDERS: &str = "orders.created";

/// A request of no particular interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Everyday {
    Browse,
    Search,
    Product,
    AddToCart,
    Checkout,
}

impl Everyday {
    /// Each as often as visitors do it.
    const BY_WEIGHT: [Self; 16] = [
        Self::Browse,
        Self::Browse,
        Self::Browse,
        Self::Browse,
        Self::Browse,
        Self::Search,
        Self::Search,
        Self::Search,
        Self::Product,
        Self::Product,
        Self::Product,
        Self::Product,
        Self::AddToCart,
        Self::AddToCart,
        Self::Checkout,
        Self::Checkout,
    ];

    pub(super) fn any(rng: &mut fastrand::Rng) -> Self {
        Self::BY_WEIGHT[rng.usize(..Self::BY_WEIGHT.len())]
    }

    pub(super) fn record(self, recorder: &mut Recorder<'_>) {
        match self {
            Self::Browse => browse(recorder),
            Self::Search => search(recorder),
            Self::Product => product(recorder),
            Self::AddToCart => add_to_cart(recorder),
            Self::Checkout => checkout(recorder),
        }
    }
}

/// What the gateway does before it routes: look up the session.
pub(super) fn session(recorder: &mut Recorder<'_>, gateway: SpanRef, at: u64) -> u64 {
    let key = format!("session:{:016x}", recorder.rng().u64(..));
    let at = at + recorder.about(1.2);
    recorder.redis(gateway, "GET", &key, at) + recorder.about(1.5)
}

fn browse(recorder: &mut Recorder<'_>) {
    recorder.visit(Endpoint::plain("GET", "/"), |r, gateway, at| {
        let at = session(r, gateway, at);
        let featured = Endpoint::plain("GET", "/featured");
        let served = r.call(gateway, Service::Catalog, featured, at, |r, catalog, at| {
            let at = at + r.about(3.0);
            let at = r.redis(catalog, "GET", "shelf:front", at);
            // One in three finds the cache cold.
            let at = if r.rng().u8(..3) == 0 {
                let took = r.about(14.0);
                let at = r.query(catalog, statements::SELECT_FEATURED, at + MS / 2, took);
                r.redis(catalog, "SETEX", "shelf:front", at + MS / 4)
            } else {
                at
            };
            let took = r.about(9.0);
            let render = r.work(catalog, "render featured.html", at, took);
            r.set(
                render,
                [text("code.function.name", "ShelvesController#featured")],
            );
            Served {
                at: at + took + r.about(1.0),
                status: 200,
            }
        });
        Served {
            at: served.at + r.about(4.0),
            status: 200,
        }
    });
}

fn search(recorder: &mut Recorder<'_>) {
    const WORDS: [&str; 6] = [
        "tent",
        "tent pole",
        "sleeping bag",
        "stove",
        "rain jacket",
        "lantern",
    ];
    let word = WORDS[recorder.rng().usize(..WORDS.len())];
    recorder.visit(Endpoint::plain("GET", "/search"), |r, gateway, at| {
        r.set(
            gateway,
            [text("url.query", format!("q={}", word.replace(' ', "+")))],
        );
        let at = session(r, gateway, at);
        let products = Endpoint::plain("GET", "/products/search");
        let served = r.call(gateway, Service::Catalog, products, at, |r, catalog, at| {
            let at = at + r.about(4.0);
            let took = r.about(38.0);
            let at = r.query(catalog, statements::SEARCH_PRODUCTS, at, took);
            Served {
                at: at + r.about(6.0),
                status: 200,
            }
        });
        Served {
            at: served.at + r.about(5.0),
            status: 200,
        }
    });
}

fn product(recorder: &mut Recorder<'_>) {
    let n = recorder.rng().u32(1_000..9_999);
    let page = format!("/products/{n}");
    recorder.visit(
        Endpoint::new("GET", "/products/:id", &page),
        |r, gateway, at| {
            let at = session(r, gateway, at);
            let endpoint = Endpoint::new("GET", "/products/{id}", &page);
            let served = r.call(gateway, Service::Catalog, endpoint, at, |r, catalog, at| {
                let at = at + r.about(2.5);
                let at = r.redis(catalog, "GET", &format!("product:{n}"), at);
                let took = r.about(7.0);
                let at = r.query(catalog, statements::SELECT_PRODUCT, at + MS / 2, took);
                Served {
                    at: at + r.about(3.0),
                    status: 200,
                }
            });
            // Stock and price are asked for at the same time.
            let both = served.at + r.about(0.8);
            let stock = stock(r, gateway, both);
            let price = quote(r, gateway, both + MS / 5);
            Served {
                at: stock.max(price) + r.about(5.0),
                status: 200,
            }
        },
    );
}

fn add_to_cart(recorder: &mut Recorder<'_>) {
    let path = format!("/carts/{:08x}/items", recorder.rng().u32(..));
    recorder.visit(Endpoint::plain("POST", "/cart/items"), |r, gateway, at| {
        let at = session(r, gateway, at);
        let endpoint = Endpoint::new("POST", "/carts/{id}/items", &path);
        let served = r.call(
            gateway,
            Service::Checkout,
            endpoint,
            at,
            |r, checkout, at| {
                let at = at + r.about(1.5);
                let at = stock(r, checkout, at);
                let took = r.about(6.0);
                let at = r.query(checkout, statements::INSERT_CART_ITEM, at + MS / 2, took);
                Served {
                    at: at + r.about(1.0),
                    status: 201,
                }
            },
        );
        Served {
            at: served.at + r.about(3.0),
            status: 201,
        }
    });
}

fn checkout(recorder: &mut Recorder<'_>) {
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

/// Asks inventory for stock; a dozen milliseconds.
pub(super) fn stock(recorder: &mut Recorder<'_>, from: SpanRef, at: u64) -> u64 {
    let endpoint = Endpoint::plain("GET", "/stock");
    let served = recorder.call(
        from,
        Service::Inventory,
        endpoint,
        at,
        |r, inventory, at| {
            let at = at + r.about(2.0);
            let took = r.about(7.0);
            let at = r.query(inventory, statements::SELECT_STOCK, at, took);
            Served {
                at: at + r.about(1.5),
                status: 200,
            }
        },
    );
    served.at
}

/// Asks pricing for a quote; a dozen milliseconds.
pub(super) fn quote(recorder: &mut Recorder<'_>, from: SpanRef, at: u64) -> u64 {
    let endpoint = Endpoint::plain("POST", "/quote");
    let served = recorder.call(from, Service::Pricing, endpoint, at, |r, pricing, at| {
        let at = at + r.about(1.0);
        let at = r.redis(pricing, "MGET", "price:* rate:EUR", at);
        let took = r.about(6.0);
        r.work(pricing, "PromotionEngine.Apply", at, took);
        Served {
            at: at + took + r.about(0.8),
            status: 200,
        }
    });
    served.at
}

/// Has payments charge the customer, which goes well at once.
pub(super) fn charge(recorder: &mut Recorder<'_>, from: SpanRef, at: u64) -> u64 {
    let endpoint = Endpoint::plain("POST", "/charge");
    let served = recorder.call(from, Service::Payments, endpoint, at, |r, payments, at| {
        let at = at + r.about(2.0);
        let took = r.about(42.0);
        r.call_external(payments, ACME_PAY, Outcome::Status(200), at, took);
        let at = at + took + r.about(1.0);
        let took = r.about(5.0);
        let at = r.query(payments, statements::INSERT_CHARGE, at, took);
        Served {
            at: at + r.about(1.0),
            status: 200,
        }
    });
    served.at
}

/// Stores and announces an order; the mailer hears of it later.
pub(super) fn place_order(recorder: &mut Recorder<'_>, from: SpanRef, at: u64) -> u64 {
    let took = recorder.about(6.0);
    let at = recorder.query(from, statements::INSERT_ORDER, at + MS / 2, took);
    let took = recorder.about(3.0);
    let message = recorder.publish(from, ORDERS, at, took);
    let heard = at + took + recorder.about(25.0);
    let mailer = recorder.consume(message, Service::Mailer, ORDERS, heard);
    let rendering = heard + MS;
    let took = recorder.about(8.0);
    recorder.work(mailer, "render order_confirmation.html", rendering, took);
    let sending = rendering + took + MS;
    let smtp = External {
        method: "POST",
        host: "api.letterbox.test",
        path: "/v1/messages",
    };
    let took_sending = recorder.about(90.0);
    recorder.call_external(mailer, smtp, Outcome::Status(202), sending, took_sending);
    recorder.end(mailer, sending + took_sending + MS);
    at + took
}
