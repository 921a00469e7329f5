//! A slowest hop as one value of a form's list: `inventory/GET%20%2Fstock`.
//!
//! A list gives one value, and a hop has two names, which may hold anything: each is percent-encoded.

use percent_encoding::{percent_decode_str, utf8_percent_encode};

use crate::urls::QUERY_VALUE;

/// What [`parse`] takes, in words.
pub(super) const EXPECTED: &str = "a service and a name, each percent-encoded, with / between";

/// The value of a hop.
pub(crate) fn text(service: &str, name: &str) -> String {
    let encoded = |text| utf8_percent_encode(text, QUERY_VALUE);
    format!("{}/{}", encoded(service), encoded(name))
}

/// The service and name of a hop.
pub(super) fn parse(text: &str) -> Option<(String, String)> {
    let (service, name) = text.split_once('/')?;
    let decoded = |text| percent_decode_str(text).decode_utf8().ok();
    Some((decoded(service)?.into_owned(), decoded(name)?.into_owned()))
}
