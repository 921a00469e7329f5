//! What the form offers to choose from, and what each choice means.

use std::time::Duration;

use longpole_analysis::query::Op;
use longpole_storage::Order;

/// The limits the form offers.
pub(crate) const LIMITS: [&str; 3] = ["20", "50", "200"];

/// What of errors the form asks for, with what it is called.
pub(crate) const STATUSES: [(&str, &str); 3] = [
    ("", "with or without"),
    ("error", "with errors"),
    ("ok", "without errors"),
];

/// The spans of time the form offers, with what they are called.
pub(crate) const LASTS: [(&str, &str); 5] = [
    ("", "any time"),
    ("15m", "last 15 min"),
    ("1h", "last hour"),
    ("24h", "last 24 h"),
    ("7d", "last 7 days"),
];

/// The orders the form offers, with what they are called.
pub(crate) const SORTS: [(&str, &str); 4] = [
    ("slowest", "slowest first"),
    ("newest", "newest first"),
    ("spans", "most spans"),
    ("errors", "most errors"),
];

/// `None` inside is all of time.
#[expect(
    clippy::option_option,
    reason = "outside: whether the text means something"
)]
pub(super) fn last(text: &str) -> Option<Option<Duration>> {
    const MINUTE: u64 = 60;
    let seconds = match text {
        "all" => return Some(None),
        "15m" => 15 * MINUTE,
        "1h" => 60 * MINUTE,
        "24h" => 24 * 60 * MINUTE,
        "7d" => 7 * 24 * 60 * MINUTE,
        _ => return None,
    };
    Some(Some(Duration::from_secs(seconds)))
}

/// How a request's errors compare with none; `None` inside is however they do.
#[expect(
    clippy::option_option,
    reason = "outside: whether the text means something"
)]
pub(super) fn status(text: &str) -> Option<Option<Op>> {
    match text {
        "any" => Some(None),
        "error" => Some(Some(Op::Gt)),
        "ok" => Some(Some(Op::Eq)),
        _ => None,
    }
}

pub(super) fn order(text: &str) -> Option<Order> {
    Some(match text {
        "slowest" => Order::Slowest,
        "newest" => Order::Newest,
        "spans" => Order::Spans,
        "errors" => Order::Errors,
        _ => return None,
    })
}
