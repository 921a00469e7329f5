//! The cases that CRISP and Jaeger publish, told anew (both Apache-2.0; times are microseconds), and
//! requests at random.

use longpole_proto::testing::{START, SpanBuilder, trace_of};
use proptest::prelude::*;

use super::*;

/// A span: its letter, its parent's, from and to.
type Drawn = (char, char, u64, u64);

const NONE: char = ' ';

fn id(letter: char) -> u64 {
    u64::from(u32::from(letter))
}

fn letter(trace: &Trace, at: usize) -> char {
    let [.., last] = *trace.span(at).span_id.as_bytes();
    char::from(last)
}

fn built(spans: &[Drawn], service: impl Fn(char) -> String) -> Vec<SpanBuilder> {
    let build = |&(letter, parent, from, to): &Drawn| {
        let span = SpanBuilder::new(id(letter), "work")
            .service(&service(letter))
            .at_nanos(from * 1_000, to * 1_000);
        if parent == NONE {
            span
        } else {
            span.parent(id(parent))
        }
    };
    spans.iter().map(build).collect()
}

struct CrispCase {
    /// Which of `test_cases` in uber-research/CRISP.
    names: &'static str,
    spans: &'static [Drawn],
    /// Each span's time on our critical path, and its self time.
    ours: &'static [(char, u64, u64)],
    /// What CRISP does not have on its path.
    missing: &'static str,
}

const CRISP: [CrispCase; 12] = [
    CrispCase {
        names: "1",
        spans: &[('A', NONE, 0, 100)],
        ours: &[('A', 100, 100)],
        missing: "",
    },
    CrispCase {
        names: "2",
        spans: &[('A', NONE, 0, 100), ('B', 'A', 10, 60)],
        ours: &[('A', 50, 50), ('B', 50, 50)],
        missing: "",
    },
    CrispCase {
        names: "3",
        spans: &[('A', NONE, 0, 100), ('B', 'A', 0, 100)],
        ours: &[('A', 0, 0), ('B', 100, 100)],
        missing: "",
    },
    CrispCase {
        names: "4",
        spans: &[('A', NONE, 0, 100), ('B', 'A', 10, 60), ('C', 'B', 20, 30)],
        ours: &[('A', 50, 50), ('B', 40, 40), ('C', 10, 10)],
        missing: "",
    },
    CrispCase {
        names: "5, 6",
        spans: &[
            ('A', NONE, 0, 100),
            ('B', 'A', 10, 30),
            ('C', 'A', 40, 50),
            ('D', 'A', 60, 90),
        ],
        ours: &[('A', 40, 40), ('B', 20, 20), ('C', 10, 10), ('D', 30, 30)],
        missing: "",
    },
    // B ends after A: both cut it where A ends. Its self time stays its own.
    CrispCase {
        names: "7",
        spans: &[('A', NONE, 0, 100), ('B', 'A', 10, 110), ('C', 'B', 40, 50)],
        ours: &[('A', 10, 10), ('B', 80, 90), ('C', 10, 10)],
        missing: "",
    },
    // Overlaps of 0.1 %: CRISP takes them for clocks. We count the microsecond once, for the later.
    CrispCase {
        names: "10",
        spans: &[
            ('A', NONE, 0, 1000),
            ('B', 'A', 10, 210),
            ('C', 'A', 209, 309),
            ('D', 'A', 308, 608),
        ],
        ours: &[
            ('A', 402, 402),
            ('B', 199, 200),
            ('C', 99, 100),
            ('D', 300, 300),
        ],
        missing: "",
    },
    // From 25 to 30 B waits for C alone: it is on our path and not on CRISP's, where D runs beside it.
    CrispCase {
        names: "12",
        spans: &[
            ('A', NONE, 0, 100),
            ('B', 'A', 10, 70),
            ('C', 'B', 25, 45),
            ('D', 'B', 30, 50),
        ],
        ours: &[('A', 40, 40), ('B', 35, 35), ('C', 5, 20), ('D', 20, 20)],
        missing: "C",
    },
    // C runs beside both: CRISP goes from D to B and gives A the time from 30 to 40, when C runs.
    CrispCase {
        names: "14",
        spans: &[
            ('A', NONE, 0, 80),
            ('B', 'A', 10, 30),
            ('C', 'A', 20, 45),
            ('D', 'A', 40, 65),
        ],
        ours: &[('A', 25, 25), ('B', 10, 20), ('C', 20, 25), ('D', 25, 25)],
        missing: "C",
    },
    // Overlaps of 0.8 %.
    CrispCase {
        names: "19, 21",
        spans: &[
            ('A', NONE, 0, 600),
            ('B', 'A', 10, 210),
            ('C', 'A', 205, 305),
            ('D', 'A', 300, 600),
        ],
        ours: &[
            ('A', 10, 10),
            ('B', 195, 200),
            ('C', 95, 100),
            ('D', 300, 300),
        ],
        missing: "",
    },
    CrispCase {
        names: "24, 25",
        spans: &[
            ('A', NONE, 0, 700),
            ('B', 'A', 50, 350),
            ('C', 'B', 100, 150),
            ('D', 'B', 200, 250),
            ('E', 'B', 300, 350),
            ('F', 'A', 400, 700),
            ('G', 'F', 450, 500),
            ('H', 'F', 550, 600),
            ('I', 'F', 650, 700),
        ],
        ours: &[
            ('A', 100, 100),
            ('B', 150, 150),
            ('C', 50, 50),
            ('D', 50, 50),
            ('E', 50, 50),
            ('F', 150, 150),
            ('G', 50, 50),
            ('H', 50, 50),
            ('I', 50, 50),
        ],
        missing: "",
    },
    CrispCase {
        names: "err_pattern4/err1 (and, without A, err_pattern2)",
        spans: &[('A', NONE, 0, 100), ('B', 'A', 0, 100), ('C', 'B', 70, 100)],
        ours: &[('A', 0, 0), ('B', 70, 70), ('C', 30, 30)],
        missing: "",
    },
];

#[test]
fn crisps_cases_have_its_path_and_what_else_was_waited_for() {
    for CrispCase {
        names,
        spans,
        ours,
        missing,
    } in CRISP
    {
        // Each operation is of its own service, so that each span is a hop.
        let trace = trace_of(built(spans, |letter| letter.to_string()));
        let analysis = Analysis::of(&trace);
        let mut told: Vec<(char, u64, u64)> = (0..trace.len())
            .map(|at| {
                let (critical, own) = (analysis.critical_nanos[at], analysis.self_nanos[at]);
                (letter(&trace, at), critical / 1_000, own / 1_000)
            })
            .collect();
        told.sort_unstable();
        assert_eq!(told, ours, "{names}");
        for hop in &analysis.hops {
            let critical = analysis.critical_nanos[hop.entry_idx];
            assert_eq!((hop.n_spans, hop.nanos), (1, critical), "{names}");
        }
        let letters = |path: BTreeSet<usize>| -> BTreeSet<char> {
            path.into_iter().map(|at| letter(&trace, at)).collect()
        };
        let theirs = letters(by_crisp(&trace));
        let more: String = letters(by_us(&trace, &analysis))
            .difference(&theirs)
            .collect();
        assert_eq!(more, missing, "{names}");
        assert!(
            letters(by_us(&trace, &analysis)).is_superset(&theirs),
            "{names}"
        );
    }
}

struct JaegerCase {
    /// Which of the UI's `CriticalPath/testCases`.
    name: &'static str,
    spans: &'static [Drawn],
    theirs: &'static [(char, u64, u64)],
    /// Ours, where it is another.
    ours: Option<&'static [(char, u64, u64)]>,
}

const JAEGER: [JaegerCase; 8] = [
    JaegerCase {
        name: "1: one child after the other",
        spans: &[('C', NONE, 1, 101), ('D', 'C', 20, 40), ('E', 'C', 50, 60)],
        theirs: &[
            ('C', 1, 20),
            ('D', 20, 40),
            ('C', 40, 50),
            ('E', 50, 60),
            ('C', 60, 101),
        ],
        ours: None,
    },
    // From 10 to 20 X waits for A: its time is A's, not X's own.
    JaegerCase {
        name: "2: children at once",
        spans: &[('X', NONE, 1, 101), ('A', 'X', 10, 50), ('C', 'X', 20, 60)],
        theirs: &[('X', 1, 20), ('C', 20, 60), ('X', 60, 101)],
        ours: Some(&[('X', 1, 10), ('A', 10, 20), ('C', 20, 60), ('X', 60, 101)]),
    },
    JaegerCase {
        name: "3: a child after its parent",
        spans: &[('A', NONE, 1, 41), ('B', 'A', 50, 120)],
        theirs: &[('A', 1, 41)],
        ours: None,
    },
    JaegerCase {
        name: "4: and a child of that",
        spans: &[('A', NONE, 1, 31), ('B', 'A', 40, 80), ('C', 'B', 50, 60)],
        theirs: &[('A', 1, 31)],
        ours: None,
    },
    JaegerCase {
        name: "6: a child before its parent, under one that ends late",
        spans: &[('A', NONE, 1, 30), ('B', 'A', 15, 35), ('C', 'B', 10, 25)],
        theirs: &[('A', 1, 15), ('C', 15, 25), ('B', 25, 30)],
        ours: None,
    },
    JaegerCase {
        name: "7: each ends later than its parent",
        spans: &[('A', NONE, 1, 30), ('B', 'A', 15, 35), ('C', 'B', 20, 40)],
        theirs: &[('A', 1, 15), ('B', 15, 20), ('C', 20, 30)],
        ours: None,
    },
    JaegerCase {
        name: "8: a child around its parent",
        spans: &[('A', NONE, 10, 30), ('B', 'A', 5, 35)],
        theirs: &[('B', 10, 30)],
        ours: None,
    },
    JaegerCase {
        name: "9: a child before its parent",
        spans: &[('A', NONE, 10, 30), ('B', 'A', 1, 5)],
        theirs: &[('A', 10, 30)],
        ours: None,
    },
];

fn told(trace: &Trace, sections: &[Section]) -> Vec<(char, u64, u64)> {
    let micros = |at: UnixNanos| at.nanos_since(START) / 1_000;
    let tell = |section: &Section| {
        let letter = letter(trace, section.span_idx);
        (letter, micros(section.start), micros(section.end))
    };
    sections.iter().map(tell).collect()
}

#[test]
fn jaegers_cases_have_its_path_but_where_children_run_at_once() {
    for JaegerCase {
        name,
        spans,
        theirs,
        ours,
    } in JAEGER
    {
        let trace = trace_of(built(spans, |_| "app".to_owned()));
        assert_eq!(told(&trace, &by_jaeger(&trace)), theirs, "{name}");
        let sections = Analysis::of(&trace).critical_path;
        assert_eq!(told(&trace, &sections), ours.unwrap_or(theirs), "{name}");
        let differences = differences(&trace);
        assert_eq!(
            ours.is_some(),
            differences.contains(&Difference::Overlap),
            "{name}"
        );
    }
}

#[test]
fn work_that_follows_is_not_waited_for_as_in_jaegers_fifth_case() {
    let mut spans = built(&[('A', NONE, 1, 31), ('B', 'A', 10, 20)], |_| {
        "app".to_owned()
    });
    spans[1] = spans[1].clone().link(id('A'));
    let trace = trace_of(spans);
    let sections = Analysis::of(&trace).critical_path;
    assert_eq!(told(&trace, &sections), [('A', 1, 31)]);
}

#[test]
fn a_child_that_begins_as_the_one_before_it_ends_follows_it() {
    let spans = [('A', NONE, 0, 50), ('B', 'A', 10, 20), ('C', 'A', 20, 30)];
    let trace = trace_of(built(&spans, |_| "app".to_owned()));
    assert_eq!(
        told(&trace, &by_jaeger(&trace)),
        [('A', 0, 20), ('C', 20, 30), ('A', 30, 50)],
        "Jaeger wants time between them"
    );
    let sections = Analysis::of(&trace).critical_path;
    let all = [('A', 0, 10), ('B', 10, 20), ('C', 20, 30), ('A', 30, 50)];
    assert_eq!(told(&trace, &sections), all);
    assert_eq!(differences(&trace), BTreeSet::from([Difference::Touch]));
}

/// A request whose spans call one after the other, with time between the calls.
fn one_after_the_other() -> impl Strategy<Value = Trace> {
    prop::collection::vec(0..1_000_u64, 1..120).prop_map(|numbers| {
        let mut spans = vec![SpanBuilder::new(1, "root").at_nanos(0, 1_000_000)];
        // Whose time is still free, and from where on.
        let mut free: Vec<(u64, u64, u64)> = vec![(1, 0, 1_000_000)];
        let mut numbers = numbers.into_iter();
        while let (Some(gap), Some(share)) = (numbers.next(), numbers.next())
            && let Some((parent, from, to)) = free.pop()
        {
            let start = from + 1 + (to - from) * gap / 4_000;
            let end = start + 1 + to.saturating_sub(start) * share / 1_100;
            if end + 1 >= to {
                continue;
            }
            let n = spans.len() as u64 + 1;
            let service = ["web", "shop", "bank"][usize::try_from(n % 3).expect("below 3")];
            let span = SpanBuilder::new(n, "work").parent(parent).service(service);
            spans.push(span.at_nanos(start, end));
            free.push((parent, end, to));
            free.push((n, start, end));
        }
        trace_of(spans)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn where_nothing_runs_at_once_all_three_agree(trace in one_after_the_other()) {
        prop_assert_eq!(differences(&trace), BTreeSet::new());
        let analysis = Analysis::of(&trace);
        prop_assert_eq!(&analysis.critical_path, &by_jaeger(&trace));
        prop_assert_eq!(by_us(&trace, &analysis), by_crisp(&trace));
        // Then nothing but the own time is left to wait for.
        prop_assert_eq!(&analysis.critical_nanos, &analysis.self_nanos);
    }
}
