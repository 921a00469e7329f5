//! Opens a store anew that failed, in the same process: what it acknowledged is in the log.
//!
//! sled goes on failing after its first failed write. A full disk so ends a store long before it is
//! filled for good; here it begins again once there is room, as a restart would.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::engine::{Engine, Plan};
use crate::{Concern, Health, StorageError};

/// How often the wait for the next attempt doubles at most.
const DOUBLINGS_MAX: u32 = 6;

/// How long to wait each time for those who still use a failed store.
const RELEASE_WAIT: Duration = Duration::from_millis(1);

/// A store, whether it is open or not.
pub(super) struct Slot {
    plan: Plan,
    state: Mutex<State>,
}

enum State {
    Open(Arc<Engine>),
    /// It failed, and is not open again yet.
    Failed {
        cause: String,
        /// How it was.
        health: Health,
    },
    Closed,
}

impl Slot {
    /// A store that was opened by this plan.
    pub(super) fn new(plan: Plan, engine: Engine) -> Self {
        Self {
            plan,
            state: Mutex::new(State::Open(Arc::new(engine))),
        }
    }

    /// The open store.
    ///
    /// # Errors
    /// When it failed or is closed.
    pub(super) fn engine(&self) -> Result<Arc<Engine>, StorageError> {
        match &*self.state.lock() {
            State::Open(engine) => Ok(Arc::clone(engine)),
            State::Failed { cause, .. } => Err(failed(cause)),
            State::Closed => Err(StorageError::Closed),
        }
    }

    /// How it is.
    ///
    /// # Errors
    /// When it is closed.
    pub(super) fn health(&self) -> Result<Health, StorageError> {
        if let State::Failed { health, .. } = &*self.state.lock() {
            return Ok(health.clone());
        }
        Ok(self.engine()?.health())
    }

    /// Closes it once nobody uses it; does nothing when it is closed. Nobody may open it anew any more.
    ///
    /// # Errors
    /// When it had failed, or the disk fails.
    pub(super) fn close(&self) -> Result<(), StorageError> {
        let state = std::mem::replace(&mut *self.state.lock(), State::Closed);
        match state {
            State::Open(engine) => alone(engine).shut_down(),
            State::Failed { cause, .. } => Err(failed(&cause)),
            State::Closed => Ok(()),
        }
    }

    /// Opens it anew after each failure, as long as nobody closes it.
    pub(super) fn keep_open(&self) {
        let Plan {
            settings, alarm, ..
        } = &self.plan;
        let pause_max = settings.reopen_pause * 2_u32.pow(DOUBLINGS_MAX);
        let mut n_attempts = 0;
        let mut opened = None;
        while alarm.wait() {
            let held = opened.map(|opened| settings.clock.elapsed().saturating_sub(opened));
            if held.is_none_or(|held| held > pause_max) {
                n_attempts = 0;
            }
            loop {
                let pause = settings.reopen_pause * 2_u32.pow(n_attempts.min(DOUBLINGS_MAX));
                if !alarm.pause(pause) {
                    return;
                }
                if !self.plan.has_room() {
                    continue;
                }
                n_attempts += 1;
                match self.reopen(n_attempts > 1) {
                    Ok(()) => break,
                    Err(error) => tracing::error!(%error, "the store could not be opened anew"),
                }
            }
            opened = Some(settings.clock.elapsed());
        }
    }

    /// Opens it anew. With `distrust`, what is not closed of it is not believed.
    fn reopen(&self, distrust: bool) -> Result<(), StorageError> {
        let failed = {
            let mut state = self.state.lock();
            let State::Open(engine) = &*state else {
                drop(state);
                return self.open(distrust);
            };
            let Err(error) = engine.core.check() else {
                return Ok(());
            };
            let health = engine.health();
            let cause = health.concerns.iter().find_map(cause_of);
            let failed = State::Failed {
                cause: cause.unwrap_or_else(|| error.with_causes()),
                health,
            };
            std::mem::replace(&mut *state, failed)
        };
        if let State::Open(engine) = failed
            && let Err(error) = alone(engine).shut_down()
        {
            tracing::debug!(%error, "the failed store did not close well");
        }
        self.open(distrust)
    }

    fn open(&self, distrust: bool) -> Result<(), StorageError> {
        let reason = match &*self.state.lock() {
            State::Failed { cause, .. } if distrust => Some(cause.clone()),
            _ => None,
        };
        let engine = match &reason {
            None => self.plan.open()?,
            Some(_) => Engine::open(&self.plan, reason.as_deref())?,
        };
        *self.state.lock() = State::Open(Arc::new(engine));
        tracing::info!("the store failed and was opened anew");
        Ok(())
    }
}

fn failed(cause: &str) -> StorageError {
    StorageError::Engine(cause.into())
}

fn cause_of(concern: &Concern) -> Option<String> {
    match concern {
        Concern::Failed { cause } => Some(cause.clone()),
        _ => None,
    }
}

/// Waits until nobody else uses it; who does ends within the limits of a search.
fn alone(mut engine: Arc<Engine>) -> Engine {
    loop {
        match Arc::try_unwrap(engine) {
            Ok(engine) => return engine,
            Err(used) => engine = used,
        }
        std::thread::sleep(RELEASE_WAIT);
    }
}

/// Says that a store failed, or that nobody needs it any more.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    bell: Mutex<Bell>,
    rung: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Bell {
    #[default]
    Quiet,
    Failed,
    Closing,
}

impl Alarm {
    /// A store failed.
    pub(super) fn ring(&self) {
        let mut bell = self.bell.lock();
        if *bell == Bell::Quiet {
            *bell = Bell::Failed;
        }
        self.rung.notify_all();
    }

    /// The store is being closed.
    pub(super) fn close(&self) {
        *self.bell.lock() = Bell::Closing;
        self.rung.notify_all();
    }

    /// Waits for a failure; `false` when the store is being closed.
    fn wait(&self) -> bool {
        let mut bell = self.bell.lock();
        self.rung.wait_while(&mut bell, |bell| *bell == Bell::Quiet);
        let is_failed = *bell == Bell::Failed;
        if is_failed {
            *bell = Bell::Quiet;
        }
        is_failed
    }

    /// Waits so long; `false` when the store is being closed.
    fn pause(&self, pause: Duration) -> bool {
        let mut bell = self.bell.lock();
        let is_open = |bell: &mut Bell| *bell != Bell::Closing;
        self.rung.wait_while_for(&mut bell, is_open, pause);
        *bell != Bell::Closing
    }
}
