//! The embedded engine.

pub(crate) mod files;
pub(crate) mod log;
