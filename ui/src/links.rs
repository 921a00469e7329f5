//! Links out of longpole: from a span, or a whole request, to what others keep of it: logs, profiles.
//!
//! They are made from templates that whoever runs longpole wrote. What spans say is only ever filled in
//! behind the host, percent-encoded: no span decides where a link leads.

#[cfg(test)]
mod tests;

use std::str::FromStr;
use std::sync::Arc;

use http::uri::Authority;
use longpole_proto::{SpanId, Trace, TraceId, UnixNanos};
use percent_encoding::utf8_percent_encode;

use crate::format::iso;
use crate::urls::QUERY_VALUE;

/// How many templates there may be.
const LINKS_MAX: usize = 8;
/// How long a link's name may be.
const NAME_CHARS_MAX: usize = 40;
/// How long a template's URL may be.
const URL_BYTES_MAX: usize = 2 * 1024;
/// How long a link may be; services have names of any length.
const HREF_BYTES_MAX: usize = 8 * 1024;
/// A millisecond.
const MS: u64 = 1_000_000;

/// Why a text is no link template, or some are too much together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkTemplateError {
    /// There is no name, or no URL.
    #[error("expected NAME=URL, such as Logs=https://logs.example/?q={{traceId}}")]
    Form,
    /// The name is too long.
    #[error("name {name:?} has {n_chars} characters, the limit is {NAME_CHARS_MAX}")]
    Name {
        /// Its beginning.
        name: String,
        /// How long it is.
        n_chars: usize,
    },
    /// The URL is too long.
    #[error("the URL of {name} has {n_bytes} bytes, the limit is {URL_BYTES_MAX}")]
    Url {
        /// The link's name.
        name: String,
        /// How long it is.
        n_bytes: usize,
    },
    /// The URL has a scheme that leads out of the web, or none.
    #[error("the URL of {name} does not begin with http:// or https://")]
    Scheme {
        /// The link's name.
        name: String,
    },
    /// The URL names no host, or a span would choose it.
    #[error("the URL of {name} names no host, or has a placeholder there")]
    Host {
        /// The link's name.
        name: String,
    },
    /// White space or a control character.
    #[error("the URL of {name} holds white space or a control character: write %20 for a blank")]
    Blank {
        /// The link's name.
        name: String,
    },
    /// What stands in braces is nothing known.
    #[error(
        "{placeholder:?} in the URL of {name} is no placeholder; there are {}. A brace that is meant is written \
         %7B or %7D",
        Field::all()
    )]
    Placeholder {
        /// The link's name.
        name: String,
        /// What stands there.
        placeholder: String,
    },
    /// Two links have one name.
    #[error("two links are called {name}")]
    Twice {
        /// The name.
        name: String,
    },
    /// There are too many.
    #[error("there are {n} links, the limit is {LINKS_MAX}")]
    Many {
        /// How many.
        n: usize,
    },
}

/// What is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    TraceId,
    SpanId,
    Service,
    StartUnixMilli,
    EndUnixMilli,
    StartIso,
    EndIso,
}

impl Field {
    const NAMES: [(&str, Self); 7] = [
        ("traceId", Self::TraceId),
        ("spanId", Self::SpanId),
        ("service", Self::Service),
        ("startUnixMilli", Self::StartUnixMilli),
        ("endUnixMilli", Self::EndUnixMilli),
        ("startIso", Self::StartIso),
        ("endIso", Self::EndIso),
    ];

    fn all() -> String {
        Self::NAMES
            .map(|(name, _)| format!("{{{name}}}"))
            .join(", ")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// A link that is filled in for each span or request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTemplate {
    name: String,
    parts: Vec<Part>,
}

/// The links there are; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkTemplates(Arc<[LinkTemplate]>);

/// What links are made for.
#[derive(Debug, Clone, Copy)]
struct Target<'a> {
    trace_id: TraceId,
    /// `None` for a whole request.
    span_id: Option<SpanId>,
    service: &'a str,
    start: UnixNanos,
    end: UnixNanos,
}

impl<'a> Target<'a> {
    fn span(trace: &'a Trace, span_idx: usize) -> Self {
        let span = trace.span(span_idx);
        Self {
            trace_id: trace.id(),
            span_id: Some(span.span_id),
            service: trace.service(span_idx),
            start: span.start,
            end: span.end,
        }
    }
}

/// A link, filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutLink {
    pub(crate) name: String,
    pub(crate) href: String,
}

impl LinkTemplates {
    /// Some templates together, in this order.
    ///
    /// # Errors
    /// When there are too many, or two have one name.
    pub fn new(templates: Vec<LinkTemplate>) -> Result<Self, LinkTemplateError> {
        if templates.len() > LINKS_MAX {
            let n = templates.len();
            return Err(LinkTemplateError::Many { n });
        }
        for (at, template) in templates.iter().enumerate() {
            if templates[..at].iter().any(|of| of.name == template.name) {
                let name = template.name.clone();
                return Err(LinkTemplateError::Twice { name });
            }
        }
        Ok(Self(templates.into()))
    }

    /// The links of a span; not those that would be too long.
    pub(crate) fn of_span(&self, trace: &Trace, span_idx: usize) -> Vec<OutLink> {
        self.fill(&Target::span(trace, span_idx))
    }

    /// The links of a request: its root's, without those that need a span.
    pub(crate) fn of_request(&self, trace: &Trace) -> Vec<OutLink> {
        self.fill(&Target {
            span_id: None,
            ..Target::span(trace, trace.request_root())
        })
    }

    fn fill(&self, target: &Target<'_>) -> Vec<OutLink> {
        let filled = |template: &LinkTemplate| {
            let href = template.fill(target)?;
            let name = template.name.clone();
            Some(OutLink { name, href })
        };
        self.0.iter().filter_map(filled).collect()
    }
}

impl FromStr for LinkTemplate {
    type Err = LinkTemplateError;

    /// Reads `NAME=URL`.
    fn from_str(text: &str) -> Result<Self, LinkTemplateError> {
        let (name, url) = text.split_once('=').ok_or(LinkTemplateError::Form)?;
        let (name, url) = (name.trim(), url.trim());
        if name.is_empty() || url.is_empty() || name.contains(char::is_control) {
            return Err(LinkTemplateError::Form);
        }
        let n_chars = name.chars().count();
        if n_chars > NAME_CHARS_MAX {
            let name = name.chars().take(NAME_CHARS_MAX).collect();
            return Err(LinkTemplateError::Name { name, n_chars });
        }
        let name = name.to_owned();
        if url.len() > URL_BYTES_MAX {
            let n_bytes = url.len();
            return Err(LinkTemplateError::Url { name, n_bytes });
        }
        let Some(rest) = after_scheme(url) else {
            return Err(LinkTemplateError::Scheme { name });
        };
        if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(LinkTemplateError::Blank { name });
        }
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let has_host = |authority: Authority| !authority.host().is_empty();
        if authority.contains(['{', '}']) || !authority.parse().is_ok_and(has_host) {
            return Err(LinkTemplateError::Host { name });
        }
        match parts(url) {
            Ok(parts) => Ok(Self { name, parts }),
            Err(placeholder) => Err(LinkTemplateError::Placeholder {
                name,
                placeholder: placeholder.chars().take(NAME_CHARS_MAX).collect(),
            }),
        }
    }
}

impl LinkTemplate {
    fn fill(&self, target: &Target<'_>) -> Option<String> {
        let mut href = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => href.push_str(text),
                Part::Field(field) => {
                    let value = field.of(target)?;
                    href.extend(utf8_percent_encode(&value, QUERY_VALUE));
                }
            }
        }
        (href.len() <= HREF_BYTES_MAX).then_some(href)
    }
}

impl Field {
    /// What stands for it; the time from start to end lies within whole milliseconds.
    fn of(self, target: &Target<'_>) -> Option<String> {
        let end_ms = target.end.max(target.start).0.div_ceil(MS);
        Some(match self {
            Self::TraceId => target.trace_id.to_string(),
            Self::SpanId => target.span_id?.to_string(),
            Self::Service => target.service.to_owned(),
            Self::StartUnixMilli => (target.start.0 / MS).to_string(),
            Self::EndUnixMilli => end_ms.to_string(),
            Self::StartIso => iso(target.start),
            Self::EndIso => iso(UnixNanos(end_ms.saturating_mul(MS))),
        })
    }
}

fn after_scheme(url: &str) -> Option<&str> {
    let schemes = ["http://", "https://"].into_iter();
    let mut rests = schemes.filter_map(|scheme| {
        let start = url.get(..scheme.len())?;
        let is_it = start.eq_ignore_ascii_case(scheme);
        is_it.then(|| &url[scheme.len()..])
    });
    rests.next()
}

/// The parts of a URL, or the first thing in braces that is no placeholder.
fn parts(url: &str) -> Result<Vec<Part>, &str> {
    let mut parts = Vec::new();
    let mut rest = url;
    while let Some(at) = rest.find(['{', '}']) {
        let (text, from) = rest.split_at(at);
        let to = from.find('}').map_or(from.len(), |to| to + 1);
        let (placeholder, behind) = from.split_at(to);
        let named = Field::NAMES
            .iter()
            .find(|(name, _)| placeholder.strip_prefix('{') == Some(&format!("{name}}}")));
        let (_, field) = named.ok_or(placeholder)?;
        parts.extend([Part::Text(text.to_owned()), Part::Field(*field)]);
        rest = behind;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}
