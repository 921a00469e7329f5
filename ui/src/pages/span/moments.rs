//! What happened while a span ran: its events, the exceptions among them, and where they lie in its time.
//!
//! Exceptions come as events of that name, as `OpenTracing`'s logs of errors, or only as attributes of
//! the span.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use longpole_analysis::Analysis;
use longpole_analysis::format::{duration, label};
use longpole_proto::{Attributes, Event, Span, Trace, UnixNanos};

use super::value::ValueView;
use super::{AttributesView, INNER_ATTRIBUTES_MAX};
use crate::format::Count;
use crate::timeline::{Percent, Window, own_time};

/// How many events are shown.
const EVENTS_MAX: usize = 100;
/// How many exceptions are: each may have 64 KiB of stack.
const EXCEPTIONS_MAX: usize = 20;
/// How many stretches of self time, and of the critical path, are drawn.
const STRETCHES_MAX: usize = 200;
/// How many places there are for marks: about one a pixel, and crosses do not cover each other.
const MARKS: f64 = 350.0;
const CROSSES: f64 = 32.0;

/// Where an exception's type, message and stack are, by the conventions there are and were.
const TYPE: [&str; 4] = ["exception.type", "error.kind", "error.class", "error.type"];
const MESSAGE: [&str; 3] = ["exception.message", "error.message", "error.msg"];
const STACK: [&str; 3] = ["exception.stacktrace", "error.stack_trace", "error.stack"];
/// What an exception without a type is called.
const UNNAMED: &str = "exception";
/// Where `OpenTracing`'s logs have the last two.
const LOG_MESSAGE: &str = "message";
const LOG_STACK: &str = "stack";

pub(super) struct ExceptionView {
    /// Empty when no time is known.
    pub(super) when: String,
    pub(super) kind: String,
    pub(super) message: ValueView,
    pub(super) stack: Option<ValueView>,
    /// What else was said of it.
    pub(super) attributes: AttributesView,
}

pub(super) struct EventView {
    pub(super) when: String,
    pub(super) name: String,
    pub(super) attributes: AttributesView,
}

/// What happened, in order of time.
pub(super) struct Moments {
    pub(super) exceptions: Vec<ExceptionView>,
    pub(super) n_more_exceptions: Count,
    pub(super) events: Vec<EventView>,
    pub(super) n_more_events: Count,
}

/// A span's time as SVG paths in a box of 1000 by 1; those with nothing to draw are empty.
pub(super) struct AxisView {
    /// Its self time.
    pub(super) own: String,
    /// Which of that is on the critical path.
    pub(super) critical: String,
    pub(super) events: String,
    pub(super) exceptions: Vec<Percent>,
    /// How many events lie outside and are not drawn.
    pub(super) n_outside: Count,
    pub(super) end: String,
}

/// What happened while a span ran.
pub(super) fn of(span: &Span) -> Moments {
    let mut sorted: Vec<&Event> = span.events.iter().collect();
    sorted.sort_by_key(|event| event.time);
    let (exceptions, events): (Vec<&Event>, Vec<&Event>) =
        sorted.into_iter().partition(|event| is_exception(event));
    let shown = exceptions.iter().take(EXCEPTIONS_MAX);
    let mut views: Vec<ExceptionView> = shown.map(|event| of_event(span, event)).collect();
    if let Some(said) = of_attributes(&span.attributes)
        && !views.iter().any(|view| view.message == said.message)
    {
        views.push(said);
    }
    Moments {
        n_more_exceptions: exceptions.len().saturating_sub(EXCEPTIONS_MAX).into(),
        exceptions: views,
        n_more_events: events.len().saturating_sub(EVENTS_MAX).into(),
        events: events
            .into_iter()
            .take(EVENTS_MAX)
            .map(|event| EventView {
                when: when(span, event.time),
                name: label(&event.name).into_owned(),
                attributes: AttributesView::of(
                    &event.attributes,
                    event.dropped_attributes_count,
                    INNER_ATTRIBUTES_MAX,
                ),
            })
            .collect(),
    }
}

/// What the span says of its status, else the kind of error it names.
pub(super) fn status_message(span: &Span) -> ValueView {
    let kind = || span.attributes.text("error.type").unwrap_or_default();
    ValueView::text(match span.status.message.as_str() {
        "" => kind(),
        message => message,
    })
}

fn is_exception(event: &Event) -> bool {
    let has = |key| event.attributes.text(key).is_some();
    let is_log = || event.attributes.text("event").unwrap_or(&event.name) == "error";
    event.name == "exception"
        || has(TYPE[0])
        || has(MESSAGE[0])
        || (is_log() && [LOG_MESSAGE, LOG_STACK, TYPE[1]].into_iter().any(has))
}

fn of_event(span: &Span, event: &Event) -> ExceptionView {
    let of = &event.attributes;
    let message = of.text_of_any(&MESSAGE).or_else(|| of.text(LOG_MESSAGE));
    let stack = of.text_of_any(&STACK).or_else(|| of.text(LOG_STACK));
    let kind = of.text_of_any(&TYPE).unwrap_or(UNNAMED);
    // What is shown by itself is not shown again.
    let told = [Some(kind), message, stack];
    let others = of.iter().filter(|attribute| {
        let text = attribute.value.as_str();
        text.is_none() || !told.contains(&text)
    });
    let when = match when(span, event.time) {
        inside if inside.starts_with('+') => format!("at {inside}"),
        outside => outside,
    };
    ExceptionView {
        when,
        attributes: AttributesView::of_some(
            others,
            event.dropped_attributes_count,
            INNER_ATTRIBUTES_MAX,
        ),
        ..exception(kind, message, stack)
    }
}

/// The exception that a span's attributes tell of; its kind alone is none.
fn of_attributes(attributes: &Attributes) -> Option<ExceptionView> {
    let (message, stack) = (
        attributes.text_of_any(&MESSAGE),
        attributes.text_of_any(&STACK),
    );
    attributes.text(TYPE[0]).or(message).or(stack)?;
    let kind = attributes.text_of_any(&TYPE).unwrap_or(UNNAMED);
    Some(exception(kind, message, stack))
}

fn exception(kind: &str, message: Option<&str>, stack: Option<&str>) -> ExceptionView {
    ExceptionView {
        when: String::new(),
        kind: label(kind).into_owned(),
        message: ValueView::text(message.unwrap_or_default()),
        stack: stack.map(ValueView::text),
        attributes: AttributesView::default(),
    }
}

fn is_inside(span: &Span, time: UnixNanos) -> bool {
    (span.start..=span.end).contains(&time)
}

/// When something was, as seen from a span.
fn when(span: &Span, time: UnixNanos) -> String {
    if time == UnixNanos(0) {
        "without a time".to_owned()
    } else if time < span.start {
        let nanos = span.start.nanos_since(time);
        format!("{} before the span began", duration(nanos))
    } else if time > span.end {
        let nanos = time.nanos_since(span.end.max(span.start));
        format!("{} after the span ended", duration(nanos))
    } else {
        format!("+{}", duration(time.nanos_since(span.start)))
    }
}

impl AxisView {
    /// The time of a span; `None` when it took none.
    pub(super) fn of(trace: &Trace, analysis: &Analysis, span_idx: usize) -> Option<Self> {
        let span = trace.span(span_idx);
        let nanos = span.duration_nanos();
        if nanos == 0 {
            return None;
        }
        let window = Window {
            start: span.start,
            end: span.end,
        };
        let own = own_time::stretches(trace, analysis, span_idx);
        let sections = analysis.critical_path.iter();
        let critical = sections
            .filter(|section| section.span_idx == span_idx)
            .map(|section| (section.start, section.end));
        let (inside, outside): (Vec<&Event>, Vec<&Event>) = span
            .events
            .iter()
            .partition(|event| is_inside(span, event.time));
        let (exceptions, events): (Vec<&Event>, Vec<&Event>) =
            inside.into_iter().partition(|event| is_exception(event));
        let mut marks = String::new();
        for Percent(at) in places(&window, &events, MARKS) {
            write!(marks, "M{} 0v1", Percent(at * 10.0)).expect("writing to a string cannot fail");
        }
        Some(Self {
            own: own_time::path(&window, own, STRETCHES_MAX),
            critical: own_time::path(&window, critical.collect(), STRETCHES_MAX),
            events: marks,
            exceptions: places(&window, &exceptions, CROSSES),
            n_outside: outside.len().into(),
            end: duration(nanos),
        })
    }
}

/// Where events lie; those that would be on top of each other are one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to 350, rounded"
)]
fn places(window: &Window, events: &[&Event], n_places: f64) -> Vec<Percent> {
    let nth = |event: &&Event| (window.percent(event.time) / 100.0 * n_places).round() as u16;
    let nths: BTreeSet<u16> = events.iter().map(nth).collect();
    let percent = |nth| Percent(f64::from(nth) * 100.0 / n_places);
    nths.into_iter().map(percent).collect()
}
