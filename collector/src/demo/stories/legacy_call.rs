//! See [`super::Story::LegacyCall`].

use crate::demo::calls::{Endpoint, Served};
use crate::demo::everyday::session;
use crate::demo::fleet::Service;
use crate::demo::recorder::{MS, Recorder, SpanRef};
use crate::demo::statements;
use crate::otlp::attributes::text;

pub(super) fn record(recorder: &mut Recorder<'_>) {
    let n = recorder.rng().u32(100_000..999_999);
    let page = format!("/account/orders/{n}/invoice");
    let path = format!("/orders/{n}/invoice");
    let endpoint = Endpoint::new("GET", "/account/orders/:id/invoice", &page);
    recorder.visit(endpoint, |r, gateway, at| {
        let at = session(r, gateway, at);
        let invoice = Endpoint::new("GET", "/orders/{id}/invoice", &path);
        let served = r.call(
            gateway,
            Service::Checkout,
            invoice,
            at,
            |r, checkout, at| {
                let at = at + r.about(3.0);
                let soap = Endpoint::plain("POST", "/erp/services/InvoiceService");
                let served = r.call(checkout, Service::LegacyErp, soap, at, invoice_service);
                Served {
                    at: served.at + r.about(2.0),
                    status: 200,
                }
            },
        );
        Served {
            at: served.at + r.about(4.0),
            status: 200,
        }
    });
}

fn invoice_service(r: &mut Recorder<'_>, erp: SpanRef, at: u64) -> Served {
    r.set(
        erp,
        [text("soap.action", "urn:erp:InvoiceService#createInvoice")],
    );
    let work = at + r.about(20.0);
    let operation = r.work(erp, "InvoiceService/createInvoice", work, 2_950 * MS);
    r.set(
        operation,
        [
            text("rpc.system.name", "jax-ws"),
            text("rpc.method", "InvoiceService/createInvoice"),
            text(
                "code.function.name",
                "com.example.erp.InvoiceServiceImpl.createInvoice",
            ),
        ],
    );
    let reading = work + r.about(60.0);
    let took = r.about(420.0);
    r.query(operation, statements::SELECT_LEDGER, reading, took);
    Served {
        at: work + 2_950 * MS + r.about(15.0),
        status: 200,
    }
}
