//! What is running: for `--version`, the banner and metrics.

/// The version of the package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from; empty when that was not known.
pub(crate) const COMMIT: &str = env!("LONGPOLE_COMMIT");

/// The version, the commit and what was built in, a line each.
pub(crate) fn long() -> String {
    let commit = if COMMIT.is_empty() { "unknown" } else { COMMIT };
    format!(
        "{VERSION}\ncommit: {commit}\nstore format: {}",
        longpole_storage::FORMAT
    )
}
