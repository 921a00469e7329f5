//! Proofs on the real binary that take longer than a test may. `tests/run proof` builds both and runs
//! one; `tests/README.md` says what each of them shows.

mod check;
mod exporter;
mod full_disk;
mod kill;
mod ledger;
mod pause;
mod power_cut;
mod reads;
mod scratch;
mod server;
mod soak;
mod workload;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Proves on a longpole binary what its documentation promises.
#[derive(Debug, Parser)]
#[command(name = "proof", max_term_width = 100)]
struct Cli {
    /// The longpole binary
    #[arg(long, value_name = "FILE")]
    binary: PathBuf,
    /// Where to put data directories; those of a failed proof stay there
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    #[command(subcommand)]
    proof: Proof,
}

#[derive(Debug, Subcommand)]
enum Proof {
    /// kill -9 under load loses no acknowledged span
    Kill(kill::Args),
    /// A full disk loses no acknowledged span, and is left behind once there is room
    FullDisk(full_disk::Args),
    /// A power cut loses no acknowledged span
    PowerCut(power_cut::Args),
    /// Disk, memory and cost stay within bounds under full load
    Soak(soak::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proof: FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: &Cli) -> anyhow::Result<()> {
    let binary = cli.binary.canonicalize()?;
    let scratch = cli.scratch.canonicalize()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let shown = runtime.block_on(async {
        match &cli.proof {
            Proof::Kill(args) => kill::prove(&binary, &scratch, args).await,
            Proof::FullDisk(args) => full_disk::prove(&binary, &scratch, args).await,
            Proof::PowerCut(args) => power_cut::prove(&binary, &scratch, args).await,
            Proof::Soak(args) => soak::prove(&binary, &scratch, args).await,
        }
    })?;
    writeln!(std::io::stdout(), "{shown}\nproof: passed")?;
    Ok(())
}
