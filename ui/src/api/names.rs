//! `/api/v1/services` and `/api/v1/operations`: the names there are, in order; `/api/v1/attributes`: those
//! that are most frequent.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::answer;
use crate::error::UiError;
use crate::extract::{AttributePath, Pairs};
use crate::site::Site;

/// How many names one answer has at most.
const NAMES_MAX: usize = 10_000;

/// How many attributes, and how many values of one.
const FREQUENT_MAX: usize = 1_000;

/// `{"services":["checkout"],"complete":true}`.
pub(crate) async fn services(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    pairs.only(&[])?;
    let mut services = site
        .read(|site| Ok(site.state.store.services(NAMES_MAX + 1)?))
        .await?;
    let complete = services.len() <= NAMES_MAX;
    services.truncate(NAMES_MAX);
    answer(&json!({ "services": services, "complete": complete }))
}

/// `{"operations":[{"service":"checkout","name":"POST /orders"}],"complete":true}`, of one service
/// when one is named.
pub(crate) async fn operations(
    State(site): State<Site>,
    pairs: Pairs,
) -> Result<Response, UiError> {
    let mut service = None;
    for (_, value) in pairs.only(&["service"])? {
        service = (!value.is_empty()).then_some(value);
    }
    let mut operations = site
        .read(move |site| {
            Ok(site
                .state
                .store
                .operations(service.as_deref(), NAMES_MAX + 1)?)
        })
        .await?;
    let complete = operations.len() <= NAMES_MAX;
    operations.truncate(NAMES_MAX);
    let operations: Vec<_> = operations
        .into_iter()
        .map(|operation| json!({ "service": operation.service, "name": operation.name }))
        .collect();
    answer(&json!({ "operations": operations, "complete": complete }))
}

/// `{"attributes":[{"name":"http.route","count":12}],"complete":true}`, most frequent first; those that
/// begin with `prefix` when one is given. A count that may be too low is one of an answer that is not
/// complete.
pub(crate) async fn attributes(
    State(site): State<Site>,
    pairs: Pairs,
) -> Result<Response, UiError> {
    let prefix = prefix(pairs)?;
    let names = site
        .read(move |site| Ok(site.state.store.attribute_names(&prefix, FREQUENT_MAX)?))
        .await?;
    let attributes: Vec<_> = names
        .texts
        .iter()
        .map(|(name, count)| json!({ "name": name, "count": count }))
        .collect();
    answer(&json!({ "attributes": attributes, "complete": names.is_exact }))
}

/// `{"values":[{"value":"/orders","count":12}],"complete":true}`, likewise.
pub(crate) async fn values(
    State(site): State<Site>,
    AttributePath(name): AttributePath,
    pairs: Pairs,
) -> Result<Response, UiError> {
    let prefix = prefix(pairs)?;
    let values = site
        .read(move |site| {
            let store = &site.state.store;
            Ok(store.attribute_values(&name, &prefix, FREQUENT_MAX)?)
        })
        .await?;
    let of_name: Vec<_> = values
        .texts
        .iter()
        .map(|(value, count)| json!({ "value": value, "count": count }))
        .collect();
    answer(&json!({ "values": of_name, "complete": values.is_exact }))
}

fn prefix(pairs: Pairs) -> Result<String, UiError> {
    let last = pairs.only(&["prefix"])?.pop();
    Ok(last.map_or_else(String::new, |(_, prefix)| prefix))
}
