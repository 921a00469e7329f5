//! `/api/v1/shared`: what the requests of a search share, as JSON.

use axum::extract::State;
use axum::response::Response;
use longpole_analysis::traits::{EFFECT_MIN, Fact, LEVEL, Trait};
use serde::Serialize;

use super::answer;
use crate::error::UiError;
use crate::extract::Pairs;
use crate::pages::shared::{Comparison, Which, compared, fact_text};
use crate::search_form::SearchForm;
use crate::site::Site;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    these: These,
    others: Others,
    /// Their most frequent slowest hop.
    slowest_hop: Option<Hop<'a>>,
    compared: Compared,
    traits: Vec<Found>,
    /// How many more there are.
    more: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct These {
    /// `matches` or `listed`.
    which: &'static str,
    requests: usize,
    left_out: usize,
    operations: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Others {
    /// `null` when not all were counted.
    requests: Option<u64>,
    requests_at_least: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hop<'a> {
    service: &'a str,
    name: &'a str,
    these: usize,
    others: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared {
    these: u64,
    others: u64,
    /// Of these, without another of their operation.
    alone: u64,
    complete: bool,
    /// Whether all facts were counted.
    whole: bool,
    tried: u64,
    test: &'static str,
    level: f64,
    difference_min: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(flatten)]
    fact: Said,
    also: Vec<Said>,
    also_more: u64,
    these: u64,
    others: u64,
    these_share: f64,
    /// Each operation weighing as among these.
    others_share: f64,
    /// Corrected.
    p: f64,
}

/// A fact in words and as the query that finds the requests on which it holds.
#[derive(Serialize)]
struct Said {
    text: String,
    query: String,
}

impl From<&Fact> for Said {
    fn from(fact: &Fact) -> Self {
        let (what, of) = fact_text(fact);
        Self {
            text: [what, of].join(" ").trim_end().to_owned(),
            query: fact.query().to_string(),
        }
    }
}

impl From<&Trait> for Found {
    fn from(found: &Trait) -> Self {
        Self {
            fact: Said::from(&found.fact),
            also: found.also.iter().map(Said::from).collect(),
            also_more: found.n_more_also,
            these: found.n_these,
            others: found.n_others,
            these_share: found.these_share,
            others_share: found.others_share,
            p: found.p,
        }
    }
}

impl<'a> From<&'a Comparison> for Document<'a> {
    fn from(comparison: &'a Comparison) -> Self {
        let shared = &comparison.shared;
        Self {
            these: These {
                which: match comparison.which {
                    Which::Matches => "matches",
                    Which::Listed => "listed",
                },
                requests: comparison.n_these,
                left_out: comparison.n_left_out,
                operations: comparison.n_operations,
            },
            others: Others {
                requests: comparison.others.exactly(),
                requests_at_least: comparison.others.at_least(),
            },
            slowest_hop: comparison.hop.as_ref().map(|hop| Hop {
                service: &hop.operation.service,
                name: &hop.operation.name,
                these: hop.n_these,
                others: hop.n_others,
            }),
            compared: Compared {
                these: shared.n_these,
                others: shared.n_others,
                alone: shared.n_alone,
                complete: comparison.is_read,
                whole: shared.is_whole,
                tried: shared.n_tried,
                test: "fisher exact by operation, holm",
                level: LEVEL,
                difference_min: EFFECT_MIN,
            },
            traits: shared.traits.iter().map(Found::from).collect(),
            more: shared.n_more,
        }
    }
}

/// What a search's requests share, with the search page's parameters.
pub(crate) async fn shared(
    State(site): State<Site>,
    Pairs(pairs): Pairs,
) -> Result<Response, UiError> {
    let comparison = site
        .read_while_wanted(move |site, cancel| {
            let (form, bad) = SearchForm::read(pairs);
            compared(site, &form, bad, &cancel)
        })
        .await?;
    answer(&Document::from(&comparison))
}
