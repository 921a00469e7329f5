//! A directory for a proof, kept when the proof fails.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

/// A new directory below the one for all proofs.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(below: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("longpole-proof-")
            .tempdir_in(below);
        let dir = dir.with_context(|| format!("cannot make a directory in {}", below.display()))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Gives a proof's result, keeping the directory when it is an error.
    ///
    /// # Errors
    /// The proof's, with where the directory is.
    pub(crate) fn settle<T>(self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        result.map_err(|error| {
            let kept: PathBuf = self.0.keep();
            error.context(format!("see {}", kept.display()))
        })
    }
}
