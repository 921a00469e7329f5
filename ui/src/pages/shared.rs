//! What the requests of a search share: their slowest hop, and what is on them more often than on others of
//! the same operations. A page of its own, which the search page's script shows in its place there.

mod comparison;
#[cfg(test)]
mod tests;
mod words;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use longpole_analysis::TraceSummary;
use longpole_analysis::query::Query;
use longpole_storage::Cancel;

use crate::Urls;
use crate::error::{BadParameter, UiError};
use crate::extract::Pairs;
use crate::format::Count;
use crate::search_form::SearchForm;
use crate::site::{Frame, Site, html};
use crate::timeline::Percent;

pub(crate) use comparison::{CommonHop, Comparison, Which, slowest_hops};
pub(crate) use words::fact_text;

#[derive(Template)]
#[template(path = "pages/shared.html")]
struct SharedPage<'a> {
    frame: Frame<'a>,
    shared: SharedView,
    bad: &'a [BadParameter],
    search_href: String,
    json_href: String,
}

/// What is shared, or the place for it.
#[derive(Template, Default)]
#[template(path = "partials/shared.html")]
pub(crate) struct SharedView {
    /// About the slowest hop.
    sentence: Option<Sentence>,
    /// Where the comparison is, when this is only the place for it.
    place_href: Option<String>,
    /// What was compared, in words.
    basis: String,
    /// What was found, if anything: how it was tested.
    tested: String,
    /// The first, and the rest.
    first: Vec<TraitView>,
    rest: Vec<TraitView>,
    /// How many more were found that are not here.
    n_more: Count,
}

/// A sentence with the name of a hop in it, which leads to the requests of which it is the slowest.
struct Sentence {
    before: String,
    hop: String,
    hop_href: Option<String>,
    after: String,
    /// Whether it is the hop of more than half, and of fewer elsewhere.
    is_striking: bool,
}

/// Something these have more often.
struct TraitView {
    href: String,
    what: String,
    /// On what, in words.
    of: String,
    these: String,
    these_width: Percent,
    others: String,
    others_width: Percent,
    /// What holds on the very same requests.
    also: String,
}

impl SharedView {
    /// The place of the comparison on the search page, with what the requests listed there tell
    /// by themselves; `None` when they are too few to share anything.
    pub(crate) fn place(urls: &Urls, form: &SearchForm, listed: &[TraceSummary]) -> Option<Self> {
        if listed.len() < 2 {
            return None;
        }
        let hop = CommonHop::of(listed)?;
        Some(Self {
            sentence: words::of_listed(urls, form, listed.len(), &hop),
            place_href: Some(urls.shared_for(form)),
            ..Self::default()
        })
    }
}

/// What a search's requests share, as a page.
pub(crate) async fn page(
    State(site): State<Site>,
    Pairs(pairs): Pairs,
) -> Result<Response, UiError> {
    site.read_while_wanted(move |site, cancel| {
        let (form, bad) = SearchForm::read(pairs);
        match compared(site, &form, bad, &cancel) {
            Ok(comparison) => {
                let shared = words::view(site.urls(), &form, &comparison);
                Ok(html(rendered(site, &form, shared, &[])?))
            }
            Err(UiError::Parameters(bad)) => {
                let page = rendered(site, &form, SharedView::default(), &bad)?;
                Ok((StatusCode::BAD_REQUEST, html(page)).into_response())
            }
            Err(error) => Err(error),
        }
    })
    .await
}

/// Compares what a form's search finds. Blocks.
///
/// # Errors
/// With what of the form means nothing, and as the store.
pub(crate) fn compared(
    site: &Site,
    form: &SearchForm,
    bad: Vec<BadParameter>,
    cancel: &Cancel,
) -> Result<Comparison, UiError> {
    let mut request = form.request_unless(bad, site.now())?;
    request.cancel = cancel.clone();
    Comparison::of(&*site.state.store, &*site.state.clock, &request, cancel)
}

fn rendered(
    site: &Site,
    form: &SearchForm,
    shared: SharedView,
    bad: &[BadParameter],
) -> Result<String, UiError> {
    let urls = site.urls();
    let page = SharedPage {
        frame: site.frame("What they share"),
        shared,
        bad,
        search_href: urls.search_for(form),
        json_href: urls.api_shared(form),
    };
    Ok(page.render()?)
}

/// A form's search narrowed further: to those of its requests on which a query holds, too.
fn narrowed(form: &SearchForm, query: Query) -> SearchForm {
    // A form with a query that cannot be read has found nothing to narrow.
    let asked = Query::parse(&form.q).unwrap_or_default();
    let query = match asked {
        Query::And(mut all) => {
            all.push(query);
            Query::all_of(all)
        }
        asked => Query::all_of([asked, query]),
    };
    SearchForm {
        q: query.to_string(),
        after: String::new(),
        count: String::new(),
        ..form.clone()
    }
}
