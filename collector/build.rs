//! Tells the binary which commit it is built from, where git knows; a packager sets `LONGPOLE_COMMIT`.

use std::process::Command;

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn main() {
    println!("cargo::rerun-if-env-changed=LONGPOLE_COMMIT");
    // The file a commit writes to, in this worktree or the repository around it.
    let head = git(&["rev-parse", "--git-path", "logs/HEAD"])
        .filter(|path| std::fs::exists(path).unwrap_or(false));
    match head {
        Some(head) => println!("cargo::rerun-if-changed={head}"),
        None => println!("cargo::rerun-if-changed=build.rs"),
    }
    let commit = std::env::var("LONGPOLE_COMMIT")
        .ok()
        .or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!(
        "cargo::rustc-env=LONGPOLE_COMMIT={}",
        commit.unwrap_or_default()
    );
}
