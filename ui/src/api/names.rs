//! `/api/v1/services` and `/api/v1/operations`: the names there are, in order.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::answer;
use crate::error::UiError;
use crate::extract::Pairs;
use crate::site::Site;

/// How many names one answer has at most.
const NAMES_MAX: usize = 10_000;

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
