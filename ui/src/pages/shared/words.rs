//! A comparison in words. What was not looked at is not said to have been, and nothing is called a cause.

use longpole_analysis::format::{count, label, percent};
use longpole_analysis::query::Query;
use longpole_analysis::traits::{AttributeOf, EFFECT_MIN, Fact, LEVEL, Trait, What};
use longpole_storage::Matched;

use super::{CommonHop, Comparison, Sentence, SharedView, TraitView, Which, narrowed};
use crate::Urls;
use crate::format::Count;
use crate::search_form::SearchForm;
use crate::timeline::Percent;

/// How many of what was found stand there at once; the rest opens.
const FIRST_MAX: usize = 4;

/// How much is reckoned with where a share is said: millionths.
const WHOLE: u64 = 1_000_000;

/// A whole comparison.
pub(super) fn view(urls: &Urls, form: &SearchForm, comparison: &Comparison) -> SharedView {
    if comparison.n_these + comparison.n_left_out < 2 {
        let found = match comparison.n_these {
            0 => "No request was found",
            _ => "Only one request was found",
        };
        return SharedView {
            basis: format!("{found}: there is nothing to share."),
            ..SharedView::default()
        };
    }
    let shared = &comparison.shared;
    let mut found: Vec<TraitView> = shared
        .traits
        .iter()
        .map(|found| of_trait(urls, form, found, shared.n_these))
        .collect();
    let rest = found.split_off(found.len().min(FIRST_MAX));
    SharedView {
        sentence: comparison
            .hop
            .as_ref()
            .map(|hop| of_hop(urls, form, comparison, hop)),
        place_href: None,
        basis: basis(comparison),
        tested: tested(comparison),
        first: found,
        rest,
        n_more: Count(shared.n_more),
    }
}

/// What the requests that a search lists tell by themselves.
pub(super) fn of_listed(
    urls: &Urls,
    form: &SearchForm,
    n_listed: usize,
    hop: &CommonHop,
) -> Option<Sentence> {
    is_common(hop, n_listed).then(|| Sentence {
        before: format!("{}: ", have_in_common(hop, n_listed, Which::Listed)),
        hop: name(hop),
        hop_href: hop_href(urls, form, hop),
        after: ".".to_owned(),
        is_striking: true,
    })
}

/// About the slowest hop of these, and of the others.
fn of_hop(urls: &Urls, form: &SearchForm, comparison: &Comparison, hop: &CommonHop) -> Sentence {
    let n_these = comparison.n_these;
    let elsewhere = elsewhere(form, comparison, hop);
    if !is_common(hop, n_these) {
        return Sentence {
            before: format!(
                "{} have no slowest hop in common. The most frequent is ",
                these(n_these, comparison.which)
            ),
            hop: name(hop),
            hop_href: hop_href(urls, form, hop),
            after: format!(", in {}. {elsewhere}", Count::from(hop.n_these)),
            is_striking: false,
        };
    }
    let as_asked = if comparison.is_hop_asked {
        ", as asked for"
    } else {
        ""
    };
    Sentence {
        before: format!(
            "{}{as_asked}: ",
            have_in_common(hop, n_these, comparison.which)
        ),
        hop: name(hop),
        hop_href: hop_href(urls, form, hop).filter(|_| !comparison.is_hop_asked),
        after: format!(". {elsewhere}"),
        is_striking: is_rarer_elsewhere(comparison, hop),
    }
}

/// Whether it is the slowest hop of more than half.
fn is_common(hop: &CommonHop, of: usize) -> bool {
    hop.n_these * 2 > of
}

/// Whether it is, as far as is known, the slowest hop of a smaller share of the others.
fn is_rarer_elsewhere(comparison: &Comparison, hop: &CommonHop) -> bool {
    match (comparison.others, hop.n_others) {
        (Matched::Exactly(n), Some(n_hop)) => {
            let product = |one: u64, other: u64| u128::from(one) * u128::from(other);
            product(n_hop, comparison.n_these as u64) < product(hop.n_these as u64, n)
        }
        _ => true,
    }
}

fn have_in_common(hop: &CommonHop, of: usize, which: Which) -> String {
    let n = Count::from(hop.n_these);
    let of_all = Count::from(of);
    match (which, hop.n_these == of) {
        (Which::Matches, true) => format!("All {n} requests have the same slowest hop"),
        (Which::Matches, false) => {
            format!("{n} of these {of_all} requests have the same slowest hop")
        }
        (Which::Listed, true) => format!("All {n} requests listed have the same slowest hop"),
        (Which::Listed, false) => {
            format!("{n} of the {of_all} requests listed have the same slowest hop")
        }
    }
}

fn these(n: usize, which: Which) -> String {
    let n = Count::from(n);
    match which {
        Which::Matches => format!("These {n} requests"),
        Which::Listed => format!("The {n} requests listed"),
    }
}

fn name(hop: &CommonHop) -> String {
    let operation = &hop.operation;
    format!("{} {}", label(&operation.service), label(&operation.name))
}

/// The search for those of which it is the slowest; `None` when that is asked for already, or cannot be.
fn hop_href(urls: &Urls, form: &SearchForm, hop: &CommonHop) -> Option<String> {
    let is_free = form.hop_service.is_empty() && form.hop_name.is_empty();
    let form = SearchForm {
        hop_service: hop.operation.service.clone(),
        hop_name: hop.operation.name.clone(),
        after: String::new(),
        count: String::new(),
        ..form.clone()
    };
    (is_free && hop.can_be_asked_for()).then(|| urls.search_for(&form))
}

/// Of how many of the others it is the slowest.
fn elsewhere(form: &SearchForm, comparison: &Comparison, hop: &CommonHop) -> String {
    let s = if comparison.n_operations == 1 {
        ""
    } else {
        "s"
    };
    let times = [&form.from, &form.to, &form.last];
    let is_all_time = times.iter().all(|time| matches!(time.as_str(), "" | "all"));
    let in_time = if is_all_time { "" } else { " in this time" };
    let with = match &comparison.frame {
        frame if *frame == Query::default() => String::new(),
        frame => format!(" with {frame}"),
    };
    let alike = format!("of the same operation{s}{with}{in_time}");
    match (comparison.others, hop.n_others) {
        (Matched::Exactly(0), _) => {
            format!("There are no other requests {alike}.")
        }
        (Matched::Exactly(n), Some(n_hop)) => {
            let others = Count(n);
            format!(
                "Of the {others} other request{} {alike}, it is the slowest in {}.",
                others.s(),
                percent(n_hop, n)
            )
        }
        _ => format!(
            "How often it is that in other requests {alike} was not counted: they are too many."
        ),
    }
}

/// What was compared with what.
fn basis(comparison: &Comparison) -> String {
    let shared = &comparison.shared;
    let n_others = match comparison.others {
        Matched::Exactly(0) => return "There is nothing to compare with.".to_owned(),
        Matched::Exactly(n) => some_of(shared.n_others, n, ""),
        Matched::AtLeast(n) => some_of(shared.n_others, n, "at least "),
    };
    let n_compared = shared.n_these + shared.n_alone;
    let mut said = vec![format!(
        "Compared: {} request{} with {n_others} other{}, each with those of its own operation.",
        some_of(n_compared, comparison.n_these as u64, ""),
        Count::from(comparison.n_these).s(),
        Count(shared.n_others).s(),
    )];
    if !comparison.is_read {
        said.push("There was no time for more.".to_owned());
    }
    if shared.n_alone > 0 {
        let n_alone = Count(shared.n_alone);
        said.push(if comparison.has_read_all_others {
            format!("For {n_alone} there is no other of the operation.")
        } else {
            format!("For {n_alone} no other of the operation was among those drawn.")
        });
    }
    if comparison.n_left_out > 0 {
        let n_left_out = Count::from(comparison.n_left_out);
        said.push(format!(
            "{n_left_out} more of other operations were left out."
        ));
    }
    said.join(" ")
}

fn some_of(some: u64, all: u64, at_least: &str) -> String {
    if some == all && at_least.is_empty() {
        return count(all);
    }
    format!("{} of {at_least}{}", count(some), count(all))
}

/// What was tried, and what it means that something or nothing was found.
fn tested(comparison: &Comparison) -> String {
    let shared = &comparison.shared;
    if shared.n_others == 0 {
        return String::new();
    }
    let n_tried = Count(shared.n_tried);
    let level = percent(millionths(LEVEL), WHOLE);
    let many = if shared.is_whole {
        ""
    } else {
        " There are so many different ones that not all were counted."
    };
    let test = format!("Fisher’s exact test by operation, Holm’s correction, {level}");
    if shared.n_tried == 0 {
        return format!(
            "No attribute value, operation or error is on so many of these requests that it could be told \
             from chance ({test}).{many}"
        );
    }
    if shared.traits.is_empty() {
        return format!(
            "None of {n_tried} attribute value{}, operations and errors tried is clearly more frequent here, \
             by {} or more ({test}).{many}",
            n_tried.s(),
            percent(millionths(EFFECT_MIN), WHOLE),
        );
    }
    let n_found = Count(shared.traits.len() as u64 + shared.n_more);
    format!(
        "{n_found} found among {n_tried} attribute value{}, operations and errors tried ({test}). Seen \
         together: that is not yet a cause.{many}",
        n_tried.s()
    )
}

fn of_trait(urls: &Urls, form: &SearchForm, found: &Trait, n_these: u64) -> TraitView {
    let (what, of) = fact_text(&found.fact);
    let also = found.also.iter().map(|fact| {
        let (what, of) = fact_text(fact);
        [what, of].join(" ")
    });
    let more = (found.n_more_also > 0).then(|| format!("{} more", count(found.n_more_also)));
    let also: Vec<String> = also.chain(more).collect();
    TraitView {
        href: urls.search_for(&narrowed(form, found.fact.query())),
        what,
        of,
        these: format!("{} of {}", count(found.n_these), count(n_these)),
        these_width: Percent(found.these_share * 100.0),
        others: percent(millionths(found.others_share), WHOLE),
        others_width: Percent(found.others_share * 100.0),
        also: also.join(", "),
    }
}

/// A fact in words: what, and on what.
pub(crate) fn fact_text(fact: &Fact) -> (String, String) {
    let service = label(&fact.service);
    match &fact.what {
        What::Attribute { scope, key, value } => {
            let what = format!("{} = {}", label(key), label(value));
            let of = match scope {
                AttributeOf::Resource => format!("of {service}"),
                AttributeOf::Span => format!("on a span of {service}"),
                AttributeOf::Event => format!("on an event of {service}"),
            };
            (what, of)
        }
        What::StatusMessage(message) => (
            format!("“{}”", label(message)),
            format!("as status of {service}"),
        ),
        What::Fails(Some(name)) => (format!("error in {service} {}", label(name)), String::new()),
        What::Fails(None) => (format!("error in {service}"), String::new()),
        What::Event(name) => (
            format!("event {}", label(name)),
            format!("on a span of {service}"),
        ),
        What::Operation(name) => (format!("{service} {}", label(name)), "is there".to_owned()),
        What::Service => (service.into_owned(), "takes part".to_owned()),
    }
}

/// A share as so many of a million.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share is from 0 to 1"
)]
fn millionths(share: f64) -> u64 {
    (share * WHOLE as f64).round() as u64
}
