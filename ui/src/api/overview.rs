//! `/api/v1/overview`: the search page's heat map as JSON.

use axum::extract::State;
use axum::response::Response;
use longpole_storage::{Overview, heat_row_bounds};
use serde::Serialize;

use super::answer;
use crate::error::UiError;
use crate::extract::Pairs;
use crate::heat_map::Asked;
use crate::search_form::SearchForm;
use crate::site::Site;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Map {
    matched: Option<u64>,
    matched_at_least: u64,
    with_errors: u64,
    complete: bool,
    /// Between which starts; `null` for no bound.
    from_unix_nano: Option<String>,
    to_unix_nano: Option<String>,
    percentiles: Option<Percentiles>,
    columns: Option<Columns>,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Percentiles {
    p50_nanos: u64,
    p95_nanos: u64,
    p99_nanos: u64,
    exact: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Columns {
    start_unix_nano: String,
    step_seconds: u64,
    number: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cell {
    column: u32,
    /// The shortest and the longest duration that falls into it.
    least_nanos: u64,
    most_nanos: u64,
    requests: u64,
    with_errors: u64,
}

impl Map {
    fn of(asked: &Asked, overview: &Overview) -> Self {
        Self {
            matched: overview.matched.exactly(),
            matched_at_least: overview.matched.at_least(),
            with_errors: overview.n_with_errors,
            complete: overview.complete,
            from_unix_nano: asked.request.from.map(|time| time.0.to_string()),
            to_unix_nano: asked.request.to.map(|time| time.0.to_string()),
            percentiles: overview.percentiles.map(|all| Percentiles {
                p50_nanos: all.p50_nanos,
                p95_nanos: all.p95_nanos,
                p99_nanos: all.p99_nanos,
                exact: all.are_exact,
            }),
            columns: overview.columns.map(|columns| Columns {
                start_unix_nano: columns.start.0.to_string(),
                step_seconds: columns.step.as_secs(),
                number: columns.n,
            }),
            cells: overview
                .cells
                .iter()
                .map(|cell| {
                    let (least_nanos, most_nanos) = heat_row_bounds(cell.row);
                    Cell {
                        column: cell.column,
                        least_nanos,
                        most_nanos,
                        requests: cell.n_requests,
                        with_errors: cell.n_with_errors,
                    }
                })
                .collect(),
        }
    }
}

/// The heat map, with the search page's parameters: of the same as there, to the end.
pub(crate) async fn overview(
    State(site): State<Site>,
    Pairs(pairs): Pairs,
) -> Result<Response, UiError> {
    let map = site
        .read_while_wanted(move |site, cancel| {
            let (form, bad) = SearchForm::read(pairs);
            let request = form.request_unless(bad, site.now())?;
            let mut asked = Asked::new(&form, &request, site.now()).map_err(UiError::Parameters)?;
            asked.request.within = None;
            asked.request.cancel = cancel;
            let overview = site.state.store.overview(&asked.request)?;
            Ok(Map::of(&asked, &overview))
        })
        .await?;
    answer(&map)
}
