//! Asks each query in processes of its own, and prints what they took.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use longpole_storage::{Matched, StoreConfig};
use rustix::fs::{Advice, fadvise};

use crate::Args;
use crate::fill::Filled;
use crate::queries::{Ask, Row, all};

/// What something took, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Took {
    wall: f64,
    /// Of the thread that asked, which does all of a search.
    cpu: f64,
}

/// Opens the store, asks and says what each time took, for [`measure`] to read.
pub(super) fn ask(config: &StoreConfig, row: &Row, n_warm: usize) {
    let begun = Instant::now();
    let store = longpole_storage::open(config).expect("the store opens");
    let opened = begun.elapsed().as_secs_f64() * 1e3;
    let mut said = String::new();
    let mut took = Vec::new();
    match &row.ask {
        Ask::Traces(trace_ids) => {
            for &trace_id in trace_ids.iter().cycle().take(trace_ids.len() * 2) {
                took.push(timed(|| {
                    let trace = store.trace(trace_id).expect("the store reads");
                    assert!(trace.is_some(), "{trace_id} is stored");
                }));
            }
            said = format!("{} traces, each once cold", trace_ids.len());
        }
        Ask::Search(request) => {
            for _ in 0..=n_warm {
                took.push(timed(|| {
                    let result = store.search(request).expect("the store searches");
                    let matched = match result.matched {
                        Matched::Exactly(n) => n.to_string(),
                        Matched::AtLeast(n) => format!("{n}+"),
                    };
                    let of = result.scanned;
                    let missed = if result.complete {
                        String::new()
                    } else {
                        format!("; NOT COMPLETE {:?}", result.unseen)
                    };
                    said = format!(
                        "{} of {matched}; read {} blocks, skipped {}, decoded {} traces{missed}",
                        result.requests.len(),
                        of.blocks_read,
                        of.blocks_skipped,
                        of.traces_verified
                    );
                }));
            }
        }
        Ask::Overview(request) => {
            for _ in 0..=n_warm {
                took.push(timed(|| {
                    let overview = store.overview(request).expect("the store looks");
                    let of = overview.scanned;
                    said = format!(
                        "{:?} in {} cells; read {} blocks, skipped {}; complete: {}",
                        overview.matched,
                        overview.cells.len(),
                        of.blocks_read,
                        of.blocks_skipped,
                        overview.complete
                    );
                }));
            }
        }
    }
    let mut out = std::io::stdout();
    let numbers = took.iter().flat_map(|took| [took.wall, took.cpu]);
    let numbers = std::iter::once(opened).chain(numbers);
    let line: Vec<String> = numbers.map(|number| number.to_string()).collect();
    writeln!(out, "{}\n{said}", line.join(" ")).expect("somebody reads it");
    store.close().expect("the store closes");
}

fn timed(work: impl FnOnce()) -> Took {
    let (begun, before) = (Instant::now(), cpu_nanos());
    work();
    let wall = begun.elapsed().as_secs_f64() * 1e3;
    Took {
        wall,
        cpu: (cpu_nanos() - before) / 1e6,
    }
}

/// How long this thread ran so far (`/proc/PID/schedstat`: its first number), counted when it is
/// interrupted, every few milliseconds: of what takes less it says 0 or too much.
fn cpu_nanos() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let first = text.split_whitespace().next();
    first.expect("three numbers").parse().expect("a number")
}

/// Prints what each row takes.
pub(super) fn measure(args: &Args, config: &StoreConfig, filled: &Filled) {
    let mut out = std::io::stdout();
    let mut print = |line: &str| writeln!(out, "{line}").expect("somebody reads it");
    print(&format!(
        "{} spans over {} h, {} MB on disk; cold: p50 of {} processes, warm: p50 of {} searches each",
        filled.n_spans,
        args.hours,
        files(&config.data_dir).iter().map(|of| of.1).sum::<u64>() >> 20,
        args.cold,
        args.warm,
    ));
    print("| asked | cold ms | cold CPU ms | warm ms | warm CPU ms | warm p99 ms | found |");
    print("|---|---|---|---|---|---|---|");
    let mut opened = Vec::new();
    for (number, row) in all(filled).iter().enumerate() {
        let (mut cold, mut warm, mut found) = (Vec::new(), Vec::new(), String::new());
        for _ in 0..args.cold.max(1) {
            let mut took;
            (took, found) = in_a_process(args, config, number, &mut opened);
            let n_cold = match &row.ask {
                Ask::Traces(trace_ids) => trace_ids.len(),
                Ask::Search(_) | Ask::Overview(_) => 1,
            };
            warm.extend(took.split_off(n_cold));
            cold.extend(took);
        }
        print(&format!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {found} |",
            row.name,
            share(&cold, 0.5, |took| took.wall),
            share(&cold, 0.5, |took| took.cpu),
            share(&warm, 0.5, |took| took.wall),
            share(&warm, 0.5, |took| took.cpu),
            share(&warm, 0.99, |took| took.wall),
        ));
    }
    print(&format!(
        "opened in {:.0} ms (p50, cold)",
        middle(opened, 0.5)
    ));
}

fn in_a_process(
    args: &Args,
    config: &StoreConfig,
    number: usize,
    opened: &mut Vec<f64>,
) -> (Vec<Took>, String) {
    for (path, _) in files(&config.data_dir) {
        let file = fs::File::open(&path).expect("a file of the store");
        // What is not on the disk yet cannot be dropped.
        file.sync_all().expect("the disk is fine");
        fadvise(&file, 0, None, Advice::DontNeed).expect("Linux");
    }
    let program = std::env::current_exe().expect("Linux");
    let output = Command::new(program)
        .arg("--dir")
        .arg(&config.data_dir)
        .args([
            "--ask",
            &number.to_string(),
            "--warm",
            &args.warm.to_string(),
        ])
        .output()
        .expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "query {number}: {errors}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (numbers, found) = text.split_once('\n').expect("two lines");
    let mut numbers = numbers
        .split_whitespace()
        .map(|number| number.parse::<f64>().expect("a number"));
    opened.extend(numbers.next());
    let mut took = Vec::new();
    while let (Some(wall), Some(cpu)) = (numbers.next(), numbers.next()) {
        took.push(Took { wall, cpu });
    }
    (took, found.trim().to_owned())
}

fn share(all: &[Took], share: f64, of: impl Fn(&Took) -> f64) -> f64 {
    middle(all.iter().map(of).collect(), share)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a place in a short list"
)]
fn middle(mut all: Vec<f64>, share: f64) -> f64 {
    all.sort_by(f64::total_cmp);
    let at = (all.len().saturating_sub(1) as f64 * share).round() as usize;
    all.get(at).copied().unwrap_or(0.0)
}

/// The files below a directory and their lengths.
fn files(dir: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("readable") {
            let entry = entry.expect("readable");
            let metadata = entry.metadata().expect("readable");
            if metadata.is_dir() {
                dirs.push(entry.path());
            } else {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    found
}
