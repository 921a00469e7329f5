//! `/api/v1/suggest`: what one may type next, in the query's box and in the form's fields.

use axum::extract::State;
use axum::response::Response;
use longpole_analysis::query::{Names, Place, WordKind};
use longpole_storage::{MostFrequent, Store};
use serde::Serialize;

use super::answer;
use crate::error::{BadParameter, UiError};
use crate::extract::Pairs;
use crate::site::Site;

/// How many suggestions there are at most.
const SUGGESTIONS_MAX: usize = 20;

/// How many services, and how many operations, are looked through for them.
const NAMES_MAX: usize = 10_000;

/// Where everything begins, how many words of the language there are at most: attributes want room, too.
const WORDS_MAX: usize = 10;

/// A stretch of a text, and what may stand there instead. Places are counted as browsers count them
/// (`selectionStart`): in UTF-16 units.
#[derive(Debug, Serialize)]
struct Answer {
    from: usize,
    to: usize,
    /// The best first.
    suggestions: Vec<Suggestion>,
    /// Whether that is all there is.
    exact: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Suggestion {
    /// What to put there.
    text: String,
    /// What to show, where that reads better.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    kind: Kind,
    /// How often it is there, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Attribute,
    Value,
    Service,
    Operation,
    Field,
    Keyword,
    Operator,
}

impl From<WordKind> for Kind {
    fn from(kind: WordKind) -> Self {
        match kind {
            WordKind::Field => Self::Field,
            WordKind::Operator => Self::Operator,
            WordKind::Keyword => Self::Keyword,
            WordKind::Value => Self::Value,
        }
    }
}

impl Kind {
    /// Whether a part of it may be typed: of a few short words, one types the beginning.
    fn is_found_inside(self) -> bool {
        matches!(self, Self::Service | Self::Operation | Self::Field)
    }
}

/// Answer for a query (`q`, with the caret `at`), or for the form's fields: services for `service`;
/// operations for `op`, those of `service` when one is named.
pub(crate) async fn suggest(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    let (mut q, mut at, mut service, mut op) = (None, None, None, None);
    for (name, value) in pairs.only(&["q", "at", "service", "op"])? {
        *match name.as_str() {
            "q" => &mut q,
            "at" => &mut at,
            "service" => &mut service,
            _ => &mut op,
        } = Some(value);
    }
    let caret = match at {
        None => usize::MAX,
        Some(text) => text.parse().map_err(|_| {
            let expected = "how many UTF-16 units stand before the caret";
            UiError::Parameters(vec![BadParameter::new("at", &text, expected)])
        })?,
    };
    let read = site.read(move |site| {
        let store = &*site.state.store;
        match (q, op, service) {
            (None, Some(op), service) => {
                let service = service.filter(|service| !service.is_empty());
                in_form(store, &Names::Operations { service }, &op)
            }
            (None, None, Some(service)) => in_form(store, &Names::Services, &service),
            (q, None, None) => in_query(store, &q.unwrap_or_default(), caret),
            (Some(q), ..) => {
                let expected = "no other field beside it";
                Err(UiError::Parameters(vec![BadParameter::new(
                    "q", &q, expected,
                )]))
            }
        }
    });
    answer(&read.await?)
}

fn in_query(store: &dyn Store, text: &str, caret: usize) -> Result<Answer, UiError> {
    let caret = byte_at(text, caret);
    let Some(place) = Place::at(text, caret) else {
        let at = n_units(&text[..caret]);
        return Ok(Answer {
            from: at,
            to: at,
            suggestions: Vec::new(),
            exact: true,
        });
    };
    let mut found = Found::new(&place.typed);
    for word in &place.words {
        found.add(word.text, word.kind.into());
    }
    if place.typed.is_empty() && matches!(place.names, Names::Attributes { .. }) {
        found.cut(WORDS_MAX);
    }
    found.add_names(store, &place.names, |name| place.names.text(name))?;
    let stretch = &text[place.at.clone()];
    // It is there already.
    found.ranked.retain(|(_, of)| of.text != stretch);
    Ok(found.answer(n_units(&text[..place.at.start]), n_units(stretch)))
}

/// For a field that takes a name and nothing else.
fn in_form(store: &dyn Store, names: &Names, typed: &str) -> Result<Answer, UiError> {
    let mut found = Found::new(typed);
    found.add_names(store, names, str::to_owned)?;
    found.ranked.retain(|(_, of)| of.text != typed);
    Ok(found.answer(0, n_units(typed)))
}

/// What fits what is typed, and how well.
struct Found<'a> {
    typed: &'a str,
    lower: String,
    ranked: Vec<(u8, Suggestion)>,
    is_all: bool,
}

impl<'a> Found<'a> {
    fn new(typed: &'a str) -> Self {
        Self {
            typed,
            lower: typed.to_lowercase(),
            ranked: Vec::new(),
            is_all: true,
        }
    }

    /// How well a name fits, best first: it begins so, in other case, it has that inside.
    fn rank(&self, name: &str, kind: Kind) -> Option<u8> {
        if name.starts_with(self.typed) {
            return Some(0);
        }
        let name = name.to_lowercase();
        if name.starts_with(&self.lower) {
            return Some(1);
        }
        // One letter is inside of nearly all.
        let is_inside =
            kind.is_found_inside() && self.lower.len() > 1 && name.contains(&self.lower);
        is_inside.then_some(2)
    }

    /// Adds what is written as it is called, if it fits.
    fn add(&mut self, text: &str, kind: Kind) {
        if let Some(rank) = self.rank(text, kind) {
            let suggestion = Suggestion {
                text: text.to_owned(),
                label: None,
                kind,
                count: None,
            };
            self.ranked.push((rank, suggestion));
        }
    }

    fn cut(&mut self, most: usize) {
        self.is_all &= self.ranked.len() <= most;
        self.ranked.truncate(most);
    }

    fn add_names(
        &mut self,
        store: &dyn Store,
        names: &Names,
        write: impl Fn(&str) -> String,
    ) -> Result<(), UiError> {
        match names {
            Names::None => {}
            Names::Services => {
                let services = store.services(NAMES_MAX + 1)?;
                self.add_some(services, Kind::Service, write);
            }
            Names::Operations { service } => {
                let operations = store.operations(service.as_deref(), NAMES_MAX + 1)?;
                let names = operations.into_iter().map(|of| of.name);
                self.add_some(names, Kind::Operation, write);
            }
            // One that is there already may be among them.
            Names::Attributes { prefix, .. } => {
                let names = store.attribute_names(prefix, SUGGESTIONS_MAX + 1)?;
                self.add_counted(names, Kind::Attribute, write);
            }
            Names::Values { keys } => {
                // Each takes some milliseconds, and few have a thing under its old and its new name.
                for key in keys {
                    let values = store.attribute_values(key, self.typed, SUGGESTIONS_MAX + 1)?;
                    if !values.texts.is_empty() {
                        self.add_counted(values, Kind::Value, write);
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds those of many names that fit, in order.
    fn add_some(
        &mut self,
        names: impl IntoIterator<Item = String>,
        kind: Kind,
        write: impl Fn(&str) -> String,
    ) {
        let mut n_names = 0;
        let mut fitting: Vec<(u8, String)> = names
            .into_iter()
            .inspect(|_| n_names += 1)
            .filter_map(|name| Some((self.rank(&name, kind)?, name)))
            .collect();
        self.is_all &= n_names <= NAMES_MAX;
        // Several services may have an operation of one name.
        fitting.sort_unstable();
        fitting.dedup();
        self.is_all &= fitting.len() <= SUGGESTIONS_MAX;
        // One that is there already may be among them.
        for (rank, name) in fitting.into_iter().take(SUGGESTIONS_MAX + 1) {
            self.push(rank, &name, kind, None, &write);
        }
    }

    /// Adds names that begin as typed, the most frequent first.
    fn add_counted(&mut self, names: MostFrequent, kind: Kind, write: impl Fn(&str) -> String) {
        self.is_all &= names.is_exact;
        for (name, count) in names.texts {
            // No attribute is asked for that has no name.
            if kind != Kind::Attribute || !name.is_empty() {
                self.push(0, &name, kind, Some(count), &write);
            }
        }
    }

    fn push(
        &mut self,
        rank: u8,
        name: &str,
        kind: Kind,
        count: Option<u64>,
        write: impl Fn(&str) -> String,
    ) {
        let text = write(name);
        let label = (text != name).then(|| name.to_owned());
        let suggestion = Suggestion {
            text,
            label,
            kind,
            count,
        };
        self.ranked.push((rank, suggestion));
    }

    fn answer(mut self, from: usize, n_units: usize) -> Answer {
        self.ranked.sort_by_key(|(rank, _)| *rank);
        self.cut(SUGGESTIONS_MAX);
        Answer {
            from,
            to: from + n_units,
            suggestions: self.ranked.into_iter().map(|(_, of)| of).collect(),
            exact: self.is_all,
        }
    }
}

/// How long a text is for a browser.
fn n_units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Where in a text so many units stand before, in bytes; at its end when it has no more.
fn byte_at(text: &str, units: usize) -> usize {
    let mut n_before = 0;
    let behind = text.char_indices().find(|(_, ch)| {
        n_before += ch.len_utf16();
        n_before > units
    });
    behind.map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests;
