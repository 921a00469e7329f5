//! A value made from files, and made again when they change.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tracing::{info, warn};

use super::ProtectionError;
use super::files::{self, Stamp};

type Load<T> = Box<dyn Fn() -> Result<T, ProtectionError> + Send + Sync>;

/// What files say; what they said before, while they say nothing of use.
pub(crate) struct Reloaded<T> {
    what: &'static str,
    files: Vec<PathBuf>,
    load: Load<T>,
    current: RwLock<Arc<T>>,
    seen: Mutex<Vec<Stamp>>,
}

impl<T> Reloaded<T> {
    /// Loads what `files` say.
    ///
    /// # Errors
    /// When that is of no use.
    pub(super) fn load(
        what: &'static str,
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<T, ProtectionError> + Send + Sync + 'static,
    ) -> Result<Self, ProtectionError> {
        // Before reading: what is written meanwhile is read again.
        let seen = stamps(&files);
        let current = load()?;
        Ok(Self {
            what,
            files,
            load: Box::new(load),
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(seen),
        })
    }

    /// What holds now.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.current.read())
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Loads again when a file changed. When that fails, once for each change, the log says why and what
    /// held before holds on. Blocks.
    pub(super) fn check(&self) {
        let mut seen = self.seen.lock();
        let stamps = stamps(&self.files);
        if *seen == stamps {
            return;
        }
        *seen = stamps;
        match (self.load)() {
            Ok(value) => {
                *self.current.write() = Arc::new(value);
                info!("{} was read again", self.what);
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                warn!("{error:#}; what it said before holds on");
            }
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|path| files::stamp(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_change_is_read_once_and_a_broken_one_changes_nothing() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("number");
        std::fs::write(&path, "1").expect("written");
        let n_loads = Arc::new(AtomicUsize::new(0));
        let load = {
            let (path, n_loads) = (path.clone(), Arc::clone(&n_loads));
            move || {
                n_loads.fetch_add(1, Ordering::Relaxed);
                let read = |source| ProtectionError::Read {
                    flag: "number",
                    path: path.clone(),
                    source,
                };
                let text = std::fs::read_to_string(&path).map_err(read)?;
                let number: Result<u32, _> = text.parse();
                number.map_err(|error| read(std::io::Error::other(error)))
            }
        };
        let number = Reloaded::load("number", vec![path.clone()], load).expect("a number");
        let next = |content: Option<&str>| {
            match content {
                // Another size each time: tests are faster than some clocks.
                Some(content) => std::fs::write(&path, content).expect("written"),
                None => std::fs::remove_file(&path).expect("removed"),
            }
            number.check();
            number.check();
            (*number.get(), n_loads.load(Ordering::Relaxed))
        };
        assert_eq!(next(Some("22")), (22, 2));
        assert_eq!(next(Some("broken")), (22, 3));
        assert_eq!(next(None), (22, 4));
        assert_eq!(next(Some("333")), (333, 5));
    }
}
