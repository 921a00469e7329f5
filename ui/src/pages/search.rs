//! The search page: the slowest requests first, and what made each of them slow.

mod row;
#[cfg(test)]
mod tests;

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use longpole_analysis::TraceSummary;
use longpole_analysis::query::Query;
use longpole_storage::{Overview, SearchRequest, SearchResult};

use crate::error::{BadParameter, UiError};
use crate::extract::Pairs;
use crate::format::{Count, utc};
use crate::heat_map::{Asked, HeatMap};
use crate::pages::open;
use crate::pages::shared::{SharedView, slowest_hops};
use crate::search_form::{HOP, LASTS, LIMITS, SORTS, STATUSES, SearchForm, hop};
use crate::site::{Frame, Site, html};
use crate::{ReceiverStatus, search_report};
use row::RequestView;

/// How long a page's matches are counted that nobody asked to be counted to the end: few are counted
/// at once, many are not waited for.
const COUNT_WITHIN: Duration = Duration::from_millis(20);

/// How many services and operations the form offers; beyond that one types.
const NAMES_MAX: usize = 300;

/// How many of the slowest hops on the page it offers.
const HOPS_MAX: usize = 20;

#[derive(Template)]
#[template(path = "pages/search.html")]
struct SearchPage<'a> {
    frame: Frame<'a>,
    form: &'a SearchForm,
    services: Choices,
    operations: Choices,
    statuses: Vec<Choice>,
    hops: Vec<Choice>,
    lasts: Vec<Choice>,
    sorts: Vec<Choice>,
    limits: Vec<Choice>,
    bad: &'a [BadParameter],
    /// Where the query is wrong.
    mistake: Option<Mistake>,
    heading: String,
    /// What narrows the search, in words, and that all of it was seen.
    facts: Vec<String>,
    clear_href: Option<String>,
    /// Where all are counted, when they are not.
    count_href: Option<String>,
    heat_map: Option<HeatMap>,
    /// What the requests share.
    shared: Option<SharedView>,
    rows: Vec<RequestView>,
    next: Option<String>,
    first: Option<String>,
    is_complete: bool,
    /// What was not seen, and what was.
    unseen: Vec<String>,
    json_href: String,
}

#[derive(Template)]
#[template(path = "pages/empty.html")]
struct EmptyPage<'a> {
    frame: Frame<'a>,
    receivers: ReceiverStatus,
    n_accepted: Count,
    n_refused: Count,
    last_refusal: Option<String>,
}

/// Where a query is wrong: before, there, and behind.
struct Mistake {
    before: String,
    at: String,
    behind: String,
}

/// Something to choose in the form.
struct Choice {
    value: String,
    text: String,
    is_chosen: bool,
}

/// The names there are to choose from.
struct Choices {
    names: Vec<Choice>,
    /// Whether one may type what is not listed.
    is_open: bool,
}

/// The search page, or what a new user needs while nothing is stored.
pub(crate) async fn page(
    State(site): State<Site>,
    Pairs(pairs): Pairs,
) -> Result<Response, UiError> {
    site.read_while_wanted(move |site, cancel| {
        let is_of_list = |(name, value): &(String, String)| name == HOP && !value.is_empty();
        let has_hop_of_list = pairs.iter().any(is_of_list);
        let (form, bad) = SearchForm::read(pairs);
        // To the URL that says it plainly, as every link does.
        if has_hop_of_list && bad.is_empty() {
            return Ok(Redirect::to(&site.urls().search_for(&form)).into_response());
        }
        let text = form.q.trim();
        let named = if form.is_of_query() && bad.is_empty() {
            open::named(site, text, cancel.clone())?
        } else {
            open::trace_id(text)
        };
        if let Some(trace_id) = named {
            return Ok(Redirect::to(&site.urls().trace(trace_id)).into_response());
        }
        let asked = form
            .request_unless(bad, site.now())
            .and_then(|mut request| {
                request.cancel = cancel;
                let answers = ask(site, &form, &mut request)?;
                Ok((request, answers))
            });
        let (request, (overview, result)) = match asked {
            Ok(asked) => asked,
            Err(UiError::Parameters(bad)) => {
                let page = found(site, &form, &bad, None)?;
                return Ok((StatusCode::BAD_REQUEST, html(page)).into_response());
            }
            Err(error) => return Err(error),
        };
        if result.requests.is_empty() && site.state.store.stats()?.n_spans == 0 {
            return empty(site).map(html);
        }
        let heat_map = HeatMap::new(site.urls(), &form, &overview.0, &overview.1);
        let answers = Answers {
            request: &request,
            result: &result,
            heat_map,
        };
        found(site, &form, &[], Some(answers)).map(html)
    })
    .await
}

/// What the store answered.
struct Answers<'a> {
    request: &'a SearchRequest,
    result: &'a SearchResult,
    heat_map: Option<HeatMap>,
}

/// Asks for the map, then for the list; what the map counted need not be counted again.
fn ask(
    site: &Site,
    form: &SearchForm,
    request: &mut SearchRequest,
) -> Result<((Asked, Overview), SearchResult), UiError> {
    let asked = Asked::new(form, request, site.now()).map_err(UiError::Parameters)?;
    let overview = site.state.store.overview(&asked.request)?;
    let counted = overview.matched.exactly().filter(|_| asked.is_list);
    request.count_within = (!request.count).then_some(COUNT_WITHIN);
    request.count = counted.is_none();
    let mut result = site.state.store.search(request)?;
    if counted.is_some() && result.complete {
        result.matched = overview.matched;
    }
    Ok(((asked, overview), result))
}

fn found(
    site: &Site,
    form: &SearchForm,
    bad: &[BadParameter],
    asked: Option<Answers<'_>>,
) -> Result<String, UiError> {
    let urls = site.urls();
    let now = site.now();
    let result = asked.as_ref().map(|asked| asked.result);
    let requests = result
        .map(|result| result.requests.as_slice())
        .unwrap_or_default();
    let (heading, unseen) = match &asked {
        None => ("This search is not understood".to_owned(), Vec::new()),
        Some(asked) => (
            search_report::heading(asked.request, asked.result),
            search_report::unseen(asked.request, asked.result),
        ),
    };
    let page = SearchPage {
        frame: site.frame("Requests"),
        services: services(site, &form.service)?,
        operations: operations(site, form)?,
        statuses: choices(
            &STATUSES,
            if form.status == "any" {
                ""
            } else {
                &form.status
            },
        ),
        hops: hops(requests, form),
        lasts: choices(&LASTS, if form.last == "all" { "" } else { &form.last }),
        sorts: choices(
            &SORTS,
            if form.sort.is_empty() {
                "slowest"
            } else {
                &form.sort
            },
        ),
        limits: limits(&form.limit),
        bad,
        // What was searched for has none.
        mistake: result.is_none().then(|| mistake(&form.q)).flatten(),
        heading,
        facts: facts(form, result),
        clear_href: form.is_narrow().then(|| urls.search()),
        count_href: result
            .filter(|result| {
                let is_known = result.matched.exactly().is_some();
                form.count.is_empty() && result.complete && !is_known
            })
            .map(|_| urls.search_for(&form.counted())),
        heat_map: asked.and_then(|asked| asked.heat_map),
        shared: SharedView::place(urls, form, requests),
        rows: row::rows(urls, requests, now),
        next: result
            .and_then(|result| result.next.as_ref())
            .map(|after| urls.search_for(&form.page(after))),
        first: (!form.after.is_empty()).then(|| urls.search_for(&form.first_page())),
        is_complete: result.is_none_or(|result| result.complete),
        unseen,
        json_href: urls.api_search(form),
        form,
    };
    Ok(page.render()?)
}

fn empty(site: &Site) -> Result<String, UiError> {
    let receivers = (site.state.receivers)();
    let page = EmptyPage {
        frame: site.frame("Waiting for spans"),
        last_refusal: receivers
            .last_refusal
            .as_ref()
            .map(|(time, why)| format!("{why} ({} UTC)", utc(*time))),
        n_accepted: Count(receivers.spans_accepted),
        n_refused: Count(receivers.spans_refused),
        receivers,
    };
    Ok(page.render()?)
}

/// Where a query's text is wrong, if it is.
fn mistake(text: &str) -> Option<Mistake> {
    let error = Query::parse(text).err()?;
    Some(Mistake {
        before: text[..error.at.start].to_owned(),
        at: text[error.at.clone()].to_owned(),
        behind: text[error.at.end..].to_owned(),
    })
}

/// What narrows the search, in words, and that all of it was seen.
fn facts(form: &SearchForm, result: Option<&SearchResult>) -> Vec<String> {
    let last = LASTS
        .iter()
        .find(|(value, _)| *value == form.last && !value.is_empty());
    let mut facts: Vec<String> = last
        .map(|(_, text)| (*text).to_owned())
        .into_iter()
        .collect();
    let status = STATUSES
        .iter()
        .find(|(value, _)| *value == form.status && !value.is_empty());
    facts.extend(status.map(|(_, text)| (*text).to_owned()));
    let hop = hop_text(&form.hop_service, &form.hop_name);
    let said = [
        ("service", &form.service),
        ("operation", &form.op),
        ("slowest hop", &hop),
        ("at least", &form.min),
        ("at most", &form.max),
        ("from", &form.from),
        ("to", &form.to),
    ];
    let said = said.into_iter().filter(|(_, value)| !value.is_empty());
    facts.extend(said.map(|(name, value)| format!("{name} {value}")));
    let is_all = result.is_some_and(|of| of.complete && of.matched.exactly().is_some());
    if is_all {
        facts.push("everything scanned".to_owned());
    }
    facts
}

fn services(site: &Site, chosen: &str) -> Result<Choices, UiError> {
    let names = site.state.store.services(NAMES_MAX + 1)?;
    Ok(Choices::of(names, chosen))
}

fn operations(site: &Site, form: &SearchForm) -> Result<Choices, UiError> {
    let service = (!form.service.is_empty()).then_some(form.service.as_str());
    let operations = site.state.store.operations(service, NAMES_MAX + 1)?;
    let mut names: Vec<String> = operations
        .into_iter()
        .map(|operation| operation.name)
        .collect();
    names.sort_unstable();
    names.dedup();
    let choices = Choices::of(names, &form.op);
    // There are too many to read through: one types a part of the name.
    Ok(Choices {
        is_open: true,
        ..choices
    })
}

/// The slowest hops of the requests on the page, the most frequent first; before them the one that was
/// asked for, if there is none of them.
fn hops(requests: &[TraceSummary], form: &SearchForm) -> Vec<Choice> {
    let hops = slowest_hops(requests).into_iter();
    let mut hops: Vec<(&str, &str)> = hops.map(|(hop, _)| hop).collect();
    hops.truncate(HOPS_MAX);
    let asked = (form.hop_service.as_str(), form.hop_name.as_str());
    let is_asked = asked != ("", "");
    if is_asked && !hops.contains(&asked) {
        hops.insert(0, asked);
    }
    let choice = |(service, name)| Choice {
        value: hop::text(service, name),
        text: hop_text(service, name),
        is_chosen: is_asked && (service, name) == asked,
    };
    hops.into_iter().map(choice).collect()
}

fn hop_text(service: &str, name: &str) -> String {
    format!("{service} {name}").trim().to_owned()
}

impl Choices {
    fn of(names: Vec<String>, chosen: &str) -> Self {
        let is_open = names.len() > NAMES_MAX;
        let mut names: Vec<Choice> = names
            .into_iter()
            .take(NAMES_MAX)
            .map(|name| Choice {
                is_chosen: name == chosen,
                text: name.clone(),
                value: name,
            })
            .collect();
        if !chosen.is_empty() && !names.iter().any(|choice| choice.is_chosen) {
            names.insert(
                0,
                Choice {
                    value: chosen.to_owned(),
                    text: chosen.to_owned(),
                    is_chosen: true,
                },
            );
        }
        Self { names, is_open }
    }
}

fn choices(all: &[(&str, &str)], chosen: &str) -> Vec<Choice> {
    let choice = |(value, text): &(&str, &str)| Choice {
        value: (*value).to_owned(),
        text: (*text).to_owned(),
        is_chosen: *value == chosen,
    };
    all.iter().map(choice).collect()
}

fn limits(chosen: &str) -> Vec<Choice> {
    let chosen = if chosen.is_empty() { LIMITS[0] } else { chosen };
    let mut all = LIMITS.to_vec();
    if chosen.parse::<u16>().is_ok() && !all.contains(&chosen) {
        all.push(chosen);
    }
    let pairs: Vec<(&str, &str)> = all.into_iter().map(|limit| (limit, limit)).collect();
    choices(&pairs, chosen)
}
