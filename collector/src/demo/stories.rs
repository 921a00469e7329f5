//! Requests that are slow or fail, each for a reason of its own.

mod after_answer;
mod exception;
mod legacy_call;
mod lock_wait;
mod n_plus_one;
mod pool_wait;
mod retry_storm;

use super::recorder::Recorder;

/// A request worth looking at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Story {
    /// 390 ms, of which inventory takes 200 ms, most of it waiting for a lock.
    LockWait,
    /// Thirty queries one after another.
    NPlusOne,
    /// A payment provider that fails, and a client that tries again.
    RetryStorm,
    /// Three seconds in a SOAP service, and everybody waits.
    LegacyCall,
    /// A query that is fast once it gets a connection.
    PoolWait,
    /// An exception that fails the request.
    Exception,
    /// A fast answer, and work that goes on behind it.
    AfterAnswer,
}

impl Story {
    pub(super) const ALL: [Self; 7] = [
        Self::LockWait,
        Self::NPlusOne,
        Self::RetryStorm,
        Self::LegacyCall,
        Self::PoolWait,
        Self::Exception,
        Self::AfterAnswer,
    ];

    pub(super) fn record(self, recorder: &mut Recorder<'_>) {
        match self {
            Self::LockWait => lock_wait::record(recorder),
            Self::NPlusOne => n_plus_one::record(recorder),
            Self::RetryStorm => retry_storm::record(recorder),
            Self::LegacyCall => legacy_call::record(recorder),
            Self::PoolWait => pool_wait::record(recorder),
            Self::Exception => exception::record(recorder),
            Self::AfterAnswer => after_answer::record(recorder),
        }
    }
}

#[cfg(test)]
mod tests;
