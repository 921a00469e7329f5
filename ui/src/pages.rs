//! The pages: each a handler and what its template shows.

pub(crate) mod keep;
pub(crate) mod login;
pub(crate) mod message;
pub(crate) mod open;
pub(crate) mod search;
pub(crate) mod shared;
pub(crate) mod span;
pub(crate) mod status;
pub(crate) mod trace;
