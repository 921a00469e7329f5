//! The search form: the parameters of `/` and `/api/v1/search`, as text and as a search.

mod choices;
mod duration;
pub(crate) mod hop;
#[cfg(test)]
mod tests;
mod time;

use std::time::Duration;

use longpole_analysis::query::{Field, Op, Query, RequestField, SpanField};
use longpole_proto::UnixNanos;
use longpole_storage::SearchRequest;

use crate::error::{BadParameter, UiError};
pub(crate) use choices::{LASTS, LIMITS, SORTS, STATUSES};

/// The form's names.
const NAMES: [&str; 15] = [
    "q",
    "service",
    "op",
    "status",
    "hopService",
    "hopName",
    "min",
    "max",
    "last",
    "from",
    "to",
    "sort",
    "limit",
    "after",
    "count",
];

/// What the form's list of slowest hops is called, which has service and name in one (see [`hop`]).
pub(crate) const HOP: &str = "hop";

/// How many requests a page has unless asked otherwise.
const LIMIT: usize = 20;

/// How many it has at most.
const LIMIT_MAX: usize = 200;

/// What was filled in, as text; empty is not set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SearchForm {
    /// A query.
    pub(crate) q: String,
    /// Some span's service.
    pub(crate) service: String,
    /// Some span's name.
    pub(crate) op: String,
    /// `error` or `ok`: whether any span failed.
    pub(crate) status: String,
    /// The slowest hop's service.
    pub(crate) hop_service: String,
    /// The slowest hop's name.
    pub(crate) hop_name: String,
    /// The shortest duration.
    pub(crate) min: String,
    /// The longest duration.
    pub(crate) max: String,
    /// How far back from now.
    pub(crate) last: String,
    /// The earliest start.
    pub(crate) from: String,
    /// The end of the starts.
    pub(crate) to: String,
    /// What comes first.
    pub(crate) sort: String,
    /// How many.
    pub(crate) limit: String,
    /// The last page's `next`.
    pub(crate) after: String,
    /// `exact` to count all matches.
    pub(crate) count: String,
}

impl SearchForm {
    /// Sorts parameters into a form; those that have no place in it are told.
    pub(crate) fn read(pairs: Vec<(String, String)>) -> (Self, Vec<BadParameter>) {
        let mut form = Self::default();
        let mut bad = Vec::new();
        for (name, value) in pairs {
            let read = match name.as_str() {
                HOP if value.is_empty() => Ok(()),
                HOP => match hop::parse(&value) {
                    None => Err(hop::EXPECTED),
                    Some((service, name)) => form
                        .fill("hopService", service)
                        .and_then(|()| form.fill("hopName", name)),
                },
                name if NAMES.contains(&name) => form.fill(name, value.clone()),
                name => {
                    bad.push(BadParameter::unknown(name, &NAMES));
                    continue;
                }
            };
            if let Err(expected) = read {
                bad.push(BadParameter::new(&name, &value, expected));
            }
        }
        (form, bad)
    }

    /// Fills in one of [`NAMES`] that is not filled in otherwise.
    fn fill(&mut self, name: &str, value: String) -> Result<(), &'static str> {
        match self.field(name) {
            Some(field) if field.is_empty() => *field = value,
            Some(field) if *field != value => return Err("it only once"),
            _ => {}
        }
        Ok(())
    }

    fn field(&mut self, name: &str) -> Option<&mut String> {
        Some(match name {
            "q" => &mut self.q,
            "service" => &mut self.service,
            "op" => &mut self.op,
            "status" => &mut self.status,
            "hopService" => &mut self.hop_service,
            "hopName" => &mut self.hop_name,
            "min" => &mut self.min,
            "max" => &mut self.max,
            "last" => &mut self.last,
            "from" => &mut self.from,
            "to" => &mut self.to,
            "sort" => &mut self.sort,
            "limit" => &mut self.limit,
            "after" => &mut self.after,
            "count" => &mut self.count,
            _ => return None,
        })
    }

    /// What is filled in and says something, for a URL.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let values = [
            &self.q,
            &self.service,
            &self.op,
            &self.status,
            &self.hop_service,
            &self.hop_name,
            &self.min,
            &self.max,
            &self.last,
            &self.from,
            &self.to,
            &self.sort,
            &self.limit,
            &self.after,
            &self.count,
        ];
        let is_said = |&(name, value): &(&'static str, &String)| {
            let usual = match name {
                "status" => "any",
                "last" => "all",
                "sort" => "slowest",
                "limit" => "20",
                _ => "",
            };
            !value.is_empty() && value != usual
        };
        NAMES
            .into_iter()
            .zip(values)
            .filter(is_said)
            .map(|(name, value)| (name, value.clone()))
            .collect()
    }

    /// This form's first page.
    #[must_use]
    pub(crate) fn first_page(&self) -> Self {
        Self {
            after: String::new(),
            ..self.clone()
        }
    }

    /// The page of this form that begins at a cursor.
    #[must_use]
    pub(crate) fn page(&self, after: &str) -> Self {
        Self {
            after: after.to_owned(),
            ..self.clone()
        }
    }

    /// This form with all matches counted.
    #[must_use]
    pub(crate) fn counted(&self) -> Self {
        Self {
            count: "exact".to_owned(),
            ..self.clone()
        }
    }

    /// This form without what the heat map selects.
    #[must_use]
    pub(crate) fn unselected(&self) -> Self {
        Self {
            min: String::new(),
            max: String::new(),
            from: String::new(),
            to: String::new(),
            ..self.first_page()
        }
    }

    /// Whether anything is selected on the heat map.
    pub(crate) fn is_selected(&self) -> bool {
        *self
            != Self {
                after: self.after.clone(),
                ..self.unselected()
            }
    }

    /// Whether it asks for the last hour, or another time up to now.
    pub(crate) fn has_last(&self) -> bool {
        !matches!(self.last.as_str(), "" | "all")
    }

    /// This form for requests that began in a range, its end not included.
    #[must_use]
    pub(crate) fn began(&self, (from, to): (Option<UnixNanos>, Option<UnixNanos>)) -> Self {
        Self {
            from: from.map(time::write).unwrap_or_default(),
            to: to.map(time::write).unwrap_or_default(),
            ..self.first_page()
        }
    }

    /// This form for requests that took so long, in nanoseconds, both ends included.
    #[must_use]
    pub(crate) fn took(&self, (least, most): (Option<u64>, Option<u64>)) -> Self {
        Self {
            min: least.map(duration::write).unwrap_or_default(),
            max: most.map(duration::write).unwrap_or_default(),
            ..self.first_page()
        }
    }

    /// The least and the most that requests took, where that is told.
    pub(crate) fn durations(&self) -> (Option<u64>, Option<u64>) {
        (
            duration::parse(self.min.trim()),
            duration::parse(self.max.trim()),
        )
    }

    /// Whether nothing but a query is filled in.
    pub(crate) fn is_of_query(&self) -> bool {
        self.pairs().iter().all(|(name, _)| *name == "q")
    }

    /// Whether anything narrows the search.
    pub(crate) fn is_narrow(&self) -> bool {
        let narrowing = [
            &self.q,
            &self.service,
            &self.op,
            &self.hop_service,
            &self.hop_name,
            &self.min,
            &self.max,
            &self.from,
            &self.to,
        ];
        narrowing.iter().any(|value| !value.is_empty())
            || !matches!(self.status.as_str(), "" | "any")
            || self.has_last()
    }

    /// What must be called as was said.
    fn named(&self) -> impl Iterator<Item = Query> {
        [
            (SpanField::Service.into(), &self.service),
            (SpanField::Name.into(), &self.op),
            (RequestField::SlowestHopService.into(), &self.hop_service),
            (RequestField::SlowestHopName.into(), &self.hop_name),
        ]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(field, text): (Field, &String)| Query::compare(field, Op::Eq, text.as_str()))
    }

    /// The search that was asked for, by parameters some of which were bad before.
    ///
    /// # Errors
    /// When values mean nothing; all of them are told.
    pub(crate) fn request_unless(
        &self,
        mut bad: Vec<BadParameter>,
        now: UnixNanos,
    ) -> Result<SearchRequest, UiError> {
        match self.request(now) {
            Ok(request) if bad.is_empty() => return Ok(request),
            Ok(_) => {}
            Err(more) => bad.extend(more),
        }
        Err(UiError::Parameters(bad))
    }

    /// The search that was asked for.
    ///
    /// # Errors
    /// When values mean nothing; all of them are told.
    pub(crate) fn request(&self, now: UnixNanos) -> Result<SearchRequest, Vec<BadParameter>> {
        let mut bad = Vec::new();
        let query = Query::parse(&self.q)
            .map_err(|error| bad.push(BadParameter::query("q", &self.q, &error)))
            .unwrap_or_default();
        let errors = read(
            &mut bad,
            "status",
            &self.status,
            "error, ok or any",
            choices::status,
        )
        .flatten();
        let mut nanos =
            |name, text: &str| read(&mut bad, name, text, duration::EXPECTED, duration::parse);
        let (min_nanos, max_nanos) = (nanos("min", &self.min), nanos("max", &self.max));
        let last = read(
            &mut bad,
            "last",
            &self.last,
            "15m, 1h, 24h, 7d or all",
            choices::last,
        )
        .flatten();
        let mut from = read(&mut bad, "from", &self.from, time::EXPECTED, time::parse);
        let to = read(&mut bad, "to", &self.to, time::EXPECTED, time::parse);
        let order = read(
            &mut bad,
            "sort",
            &self.sort,
            "slowest, newest, spans or errors",
            choices::order,
        )
        .unwrap_or_default();
        let limit = read(
            &mut bad,
            "limit",
            &self.limit,
            "a number from 1 to 200",
            |text| {
                text.parse()
                    .ok()
                    .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            },
        );
        if !matches!(self.count.as_str(), "" | "exact") {
            bad.push(BadParameter::new("count", &self.count, "exact"));
        }
        if let (Some(min), Some(max)) = (min_nanos, max_nanos)
            && min > max
        {
            bad.push(BadParameter::new(
                "max",
                &self.max,
                format!("at least {}, which is `min`", self.min),
            ));
        }
        if let Some(last) = last {
            let since = now.minus(last);
            from = Some(from.map_or(since, |from| from.max(since)));
        }
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            bad.push(BadParameter::new(
                "to",
                &self.to,
                "a time behind the beginning",
            ));
        }
        if !bad.is_empty() {
            return Err(bad);
        }
        let text = |value: &String| (!value.is_empty()).then(|| value.clone());
        let failed = errors.map(|op| Query::compare(RequestField::Errors, op, 0));
        let took = [(Op::Ge, min_nanos), (Op::Le, max_nanos)]
            .into_iter()
            .filter_map(|(op, nanos)| {
                let took = Duration::from_nanos(nanos?);
                Some(Query::compare(RequestField::Duration, op, took))
            });
        let asked = (query != Query::default()).then_some(query);
        Ok(SearchRequest {
            query: Query::all_of(self.named().chain(failed).chain(took).chain(asked)),
            from,
            to,
            order,
            limit: limit.unwrap_or(LIMIT),
            after: text(&self.after),
            count: self.count == "exact",
            ..SearchRequest::default()
        })
    }
}

/// Reads a value that may be empty; what means nothing is noted.
fn read<T>(
    bad: &mut Vec<BadParameter>,
    name: &str,
    value: &str,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let text = value.trim();
    if text.is_empty() {
        return None;
    }
    let parsed = parse(text);
    if parsed.is_none() {
        bad.push(BadParameter::new(name, value, expected));
    }
    parsed
}
