//! What searches over many spans take, cold and warm: the rows of the performance targets.
//!
//! ```sh
//! cargo bench -p longpole-storage --bench search -- --spans 10M --dir /var/tmp/spans
//! ```
//!
//! Fills a store with what `longpole load` sends, spread over hours, unless there is one in the
//! directory; closes it; then asks each query in processes of its own. *Cold* is a process's first
//! search, with nothing of the store in the page cache (dropped file by file, so that others keep
//! theirs); *warm* are those behind it. A benchmark, no test: nothing here fails on a clock.

#[path = "search/fill.rs"]
mod fill;
#[path = "search/measure.rs"]
mod measure;
#[path = "search/queries.rs"]
mod queries;

// What the load tool sends.
#[path = "../../collector/src/otlp"]
mod otlp {
    pub(crate) mod attributes;
}
#[path = "../../collector/src/load/shop.rs"]
mod shop;
#[path = "../../collector/src/load/workload.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the load tool asks it more, and its tests are not run here"
)]
mod workload;

use std::path::PathBuf;

use clap::Parser;
use longpole_storage::StoreConfig;

use self::fill::Filled;
use self::queries::all;

/// Measures searches over many spans
#[derive(Debug, Parser)]
struct Args {
    /// How many spans, about; k and M are thousands and millions
    #[arg(long, default_value = "1M", value_parser = number)]
    spans: u64,
    /// Over how many hours the requests begin
    #[arg(long, default_value_t = 24)]
    hours: u64,
    /// Where the store is or will be; below the system's directory for such things when not said
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How many processes ask each query cold
    #[arg(long, default_value_t = 3)]
    cold: usize,
    /// How often each of them asks it warm
    #[arg(long, default_value_t = 9)]
    warm: usize,
    /// Asks the query of this number once and says what it took
    #[arg(long, hide = true)]
    ask: Option<usize>,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn number(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'M']) {
        Some(digits) if text.ends_with('k') => (digits, 1_000),
        Some(digits) => (digits, 1_000_000),
        None => (text, 1),
    };
    let number = digits.parse::<u64>().map_err(|error| error.to_string())?;
    number
        .checked_mul(unit)
        .ok_or_else(|| "too many".to_owned())
}

/// A store of the load's spans, from which nothing is ever removed.
fn config(args: &Args) -> StoreConfig {
    let name = format!("longpole-search-{}-{}h", args.spans, args.hours);
    let dir = args.dir.clone();
    StoreConfig {
        retention: std::time::Duration::from_hours(24 * 365 * 100),
        max_disk_bytes: u64::MAX,
        ..StoreConfig::new(dir.unwrap_or_else(|| std::env::temp_dir().join(name)))
    }
}

fn main() {
    let args = Args::parse();
    let config = config(&args);
    if let Some(number) = args.ask {
        let filled = Filled::read(&config.data_dir);
        return measure::ask(&config, &all(&filled)[number], args.warm);
    }
    let filled = fill::fill(&config, args.spans, args.hours);
    measure::measure(&args, &config, &filled);
}
