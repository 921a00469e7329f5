//! The stretch of time that is drawn, and where in it things lie.

use std::fmt;

use longpole_proto::{Trace, UnixNanos};

/// How many ticks the axis has at the most, and often half as many.
const TICKS: u64 = 8;
/// Beyond this a tick's label would run into the one at the right end.
const LAST_TICK_MAX: f64 = 88.0;

/// A share of the timeline's width, as CSS and SVG have it; two digits after the point.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Percent(pub(crate) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_short(f, self.0, 2)
    }
}

/// A number without zeros at its end.
pub(crate) struct Short(pub(crate) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_short(f, self.0, 1)
    }
}

fn write_short(f: &mut fmt::Formatter<'_>, number: f64, digits: usize) -> fmt::Result {
    let text = format!("{number:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    f.write_str(if text == "-0" { "0" } else { text })
}

/// A mark on the axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tick {
    /// Where.
    pub(crate) left: Percent,
    /// What it says: nanoseconds after the window's start.
    pub(crate) nanos: u64,
}

/// The stretch of time that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: UnixNanos,
    pub(crate) end: UnixNanos,
}

/// Where a stretch of time lies in the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place {
    /// From so far, so wide; parts outside the window are cut off.
    Inside(Percent, Percent),
    /// It ends this many nanoseconds before the window.
    Before(u64),
    /// It begins this many nanoseconds after the window.
    After(u64),
}

impl Window {
    /// The window for a trace: the request, and what else lies up to half its duration before and
    /// one after it. Spans far away (wrong clocks, messages handled tomorrow) do not shrink it.
    pub(crate) fn of(trace: &Trace) -> Self {
        let root = trace.span(trace.request_root());
        let nanos = root.duration_nanos();
        let (start, end) = (trace.start(), trace.end());
        if nanos == 0 {
            return Self {
                start,
                end: end.max(start.plus_nanos(1)),
            };
        }
        Self {
            start: start.max(UnixNanos(root.start.0.saturating_sub(nanos / 2))),
            end: end.min(root.end.plus_nanos(nanos)),
        }
    }

    /// A part of it, from so many microseconds after its start to so many: at least the last one.
    pub(crate) fn part(&self, from_micros: u64, to_micros: u64) -> Self {
        let after = |micros: u64| self.start.plus_nanos(micros.saturating_mul(1_000));
        let end = after(to_micros).min(self.end);
        let last = UnixNanos(end.0.saturating_sub(1_000).max(self.start.0));
        Self {
            start: after(from_micros).min(last),
            end,
        }
    }

    pub(crate) fn nanos(&self) -> u64 {
        self.end.nanos_since(self.start)
    }

    /// Where a point in time lies; outside the window, its nearer edge.
    #[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
    pub(crate) fn percent(&self, time: UnixNanos) -> f64 {
        let time = time.clamp(self.start, self.end);
        time.nanos_since(self.start) as f64 * 100.0 / self.nanos() as f64
    }

    /// Whether some of a stretch of time lies in it.
    pub(crate) fn has(&self, start: UnixNanos, end: UnixNanos) -> bool {
        start < self.end && end > self.start
    }

    /// Where a stretch of time lies.
    pub(crate) fn place(&self, start: UnixNanos, end: UnixNanos) -> Place {
        let end = end.max(start);
        if end < self.start {
            Place::Before(self.start.nanos_since(end))
        } else if start > self.end {
            Place::After(start.nanos_since(self.end))
        } else {
            let left = self.percent(start);
            Place::Inside(Percent(left), Percent(self.percent(end) - left))
        }
    }

    /// Marks at round times, the first at 0.
    pub(crate) fn ticks(&self) -> Vec<Tick> {
        let nanos = self.nanos();
        let step = round_step(nanos / TICKS);
        (0..=TICKS)
            .map_while(|n| n.checked_mul(step))
            .map(|at| Tick {
                left: Percent(self.percent(self.start.plus_nanos(at))),
                nanos: at,
            })
            .take_while(|tick| {
                tick.nanos == 0 || (tick.nanos < nanos && tick.left.0 <= LAST_TICK_MAX)
            })
            .collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten (seconds: of 1, 2, 5, 10, 15, 20, 30 and 60 times
/// those that people count in) that is at least `nanos`.
fn round_step(nanos: u64) -> u64 {
    const S: u64 = 1_000_000_000;
    const LONG: [u64; 14] = [
        10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 18_000,
    ];
    let mut power = 1_u64;
    while power < 10 * S {
        for factor in [1, 2, 5] {
            if power * factor >= nanos {
                return power * factor;
            }
        }
        power *= 10;
    }
    let mut unit = S;
    loop {
        if let Some(seconds) = LONG
            .into_iter()
            .find(|&seconds| unit.saturating_mul(seconds) >= nanos)
        {
            return unit.saturating_mul(seconds);
        }
        unit = unit.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use longpole_proto::testing::{self, MS, START, SpanBuilder};

    use super::*;

    fn window(nanos: u64) -> Window {
        Window {
            start: START,
            end: START.plus_nanos(nanos),
        }
    }

    #[test]
    fn ticks_stand_at_round_times_and_leave_room_for_the_end() {
        let ticks = |nanos| -> Vec<u64> {
            window(nanos)
                .ticks()
                .into_iter()
                .map(|tick| tick.nanos)
                .collect()
        };
        assert_eq!(
            ticks(390 * MS),
            [0, 50, 100, 150, 200, 250, 300].map(|at| at * MS)
        );
        assert_eq!(ticks(420 * MS), [0, 100 * MS, 200 * MS, 300 * MS]);
        assert_eq!(
            ticks(1_000 * MS),
            [0, 200 * MS, 400 * MS, 600 * MS, 800 * MS]
        );
        assert_eq!(
            ticks(2_350 * MS),
            [0, 500 * MS, 1_000 * MS, 1_500 * MS, 2_000 * MS]
        );
        assert_eq!(ticks(1), [0]);
        assert_eq!(
            ticks(90_000 * MS),
            [0, 15_000, 30_000, 45_000, 60_000, 75_000].map(|at| at * MS)
        );
        for nanos in [3, 1_000, 7_777_777, u64::MAX / 3, u64::MAX - START.0] {
            assert!(
                (1..=9).contains(&ticks(nanos).len()),
                "{nanos}: {:?}",
                ticks(nanos)
            );
        }
    }

    #[test]
    fn spans_far_from_the_request_do_not_shrink_it() {
        let trace = testing::trace_of([
            SpanBuilder::new(1, "root").at(100_000, 100_400),
            SpanBuilder::new(2, "a day before").parent(1).at(0, 10),
            SpanBuilder::new(3, "after the answer")
                .parent(1)
                .at(100_390, 100_500),
            SpanBuilder::new(4, "much later")
                .parent(1)
                .at(900_000, 900_010),
        ]);
        let window = Window::of(&trace);
        assert_eq!(window.start, START.plus_nanos(99_800 * MS));
        assert_eq!(window.end, START.plus_nanos(100_800 * MS));
        let place = |span_idx: usize| {
            let span = trace.span(span_idx);
            window.place(span.start, span.end)
        };
        assert_eq!(place(1), Place::Before(99_790 * MS));
        assert_eq!(place(3), Place::After(799_200 * MS));
        assert_eq!(place(0), Place::Inside(Percent(20.0), Percent(40.0)));
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, -0.001, 1.54, 51.282_05, 100.0].map(|number| Percent(number).to_string());
        assert_eq!(texts, ["0", "0", "1.54", "51.28", "100"]);
    }

    #[test]
    fn a_trace_that_takes_no_time_has_a_window() {
        let trace = testing::trace_of([SpanBuilder::new(1, "tick").at(5, 5)]);
        let window = Window::of(&trace);
        assert_eq!(
            window.place(trace.span(0).start, trace.span(0).end),
            Place::Inside(Percent(0.0), Percent(0.0))
        );
        assert_eq!(window.ticks().len(), 1);
    }
}
