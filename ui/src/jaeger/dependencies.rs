//! Which service calls which: from the numbers kept of the calls between services, so up to two minutes
//! behind. Peers without spans of their own are no services, and left out as in Jaeger.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use longpole_proto::UnixNanos;
use longpole_storage::{AggregatesRequest, Edge};
use serde::Serialize;

use super::params::{Params, TimeUnit};
use super::v3::{END, START, range};
use super::{Envelope, answer, pretty, to_json};
use crate::error::UiError;
use crate::extract::Pairs;
use crate::site::Site;

/// How far back is looked when it is not said.
const LOOKBACK: Duration = Duration::from_hours(24);

/// Calls between two services.
struct Calls {
    edge: Edge,
    n_calls: u64,
}

/// `{"data":[{"parent":"web","child":"shop","callCount":3}],…}`.
pub(super) async fn classic(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Dependency<'a> {
        parent: &'a str,
        child: &'a str,
        call_count: u64,
    }
    let params = Params::read(pairs, &["endTs", "lookback", "service", "prettyPrint"])?;
    let end = params
        .time("endTs", TimeUnit::Millis)?
        .unwrap_or(site.now());
    let lookback = params.millis("lookback")?.unwrap_or(LOOKBACK);
    let service = params.text(&["service"])?;
    let (calls, missing) = calls(&site, end.minus(lookback), end, service).await?;
    let data: Vec<_> = calls
        .iter()
        .map(|of| Dependency {
            parent: &of.edge.caller,
            child: &of.edge.callee,
            call_count: of.n_calls,
        })
        .collect();
    // Grafana takes any of `errors` for a failure: what is missing is said in the header alone.
    let document = to_json(&Envelope {
        total: data.len(),
        data,
        limit: 0,
        offset: 0,
        errors: None,
    })?;
    Ok(answer(pretty(&params, document), missing))
}

/// `{"dependencies":[{"parent":"web","child":"shop","callCount":"3"}]}`.
pub(super) async fn v3(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    #[derive(Serialize)]
    struct Dependencies<'a> {
        dependencies: Vec<Dependency<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Dependency<'a> {
        parent: &'a str,
        child: &'a str,
        call_count: String,
    }
    let params = Params::read(pairs, &[START, END].concat())?;
    let (from, to) = range(&params, &START, &END)?;
    let (calls, missing) = calls(&site, from, to, String::new()).await?;
    let dependencies = calls
        .iter()
        .map(|of| Dependency {
            parent: &of.edge.caller,
            child: &of.edge.callee,
            call_count: of.n_calls.to_string(),
        })
        .collect();
    let document = to_json(&Dependencies { dependencies })?;
    Ok(answer(document, missing))
}

/// The calls in a range, by caller and callee, with what is missing.
async fn calls(
    site: &Site,
    from: UnixNanos,
    to: UnixNanos,
    service: String,
) -> Result<(Vec<Calls>, Vec<&'static str>), UiError> {
    site.read_while_wanted(move |site, cancel| {
        let request = AggregatesRequest {
            from: Some(from),
            to: Some(to),
            step_minutes: 0,
            service: (!service.is_empty()).then_some(service),
            cancel,
        };
        let aggregates = site.state.store.aggregates(&request)?;
        let is_unnamed = aggregates.edges.iter().any(|of| of.edge.is_none());
        let said = [
            (!aggregates.complete).then_some("not all of the range could be looked at"),
            is_unnamed.then_some("some services were too many to be kept apart"),
        ];
        let calls = aggregates.edges.into_iter().filter_map(|of| {
            let edge = of.edge.filter(|edge| !edge.is_peer)?;
            let n_calls = of.durations.len();
            Some(Calls { edge, n_calls })
        });
        Ok((calls.collect(), said.into_iter().flatten().collect()))
    })
    .await
}
