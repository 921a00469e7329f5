//! `Authorization: Bearer`, as exporters and scripts send it ([RFC 6750]).
//!
//! [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::ingest::Refusal;

use super::reloaded::Reloaded;
use super::tokens::{Scope, TokenDigest, Tokens};

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// There is no token.
    NoToken,
    /// It is another one.
    WrongToken,
}

impl From<NotAdmitted> for Refusal {
    fn from(denied: NotAdmitted) -> Self {
        match denied {
            NotAdmitted::NoToken => Self::NoToken,
            NotAdmitted::WrongToken => Self::WrongToken,
        }
    }
}

/// Lets in who may send spans; everybody where there are no tokens.
#[derive(Clone, Default)]
pub(crate) struct Guard(Option<Arc<Reloaded<Tokens>>>);

impl Guard {
    pub(super) fn new(tokens: Option<Arc<Reloaded<Tokens>>>) -> Self {
        Self(tokens)
    }

    /// Whether a request may send spans.
    ///
    /// # Errors
    /// When its headers have no token, or another one.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<(), NotAdmitted> {
        match &self.0 {
            None => Ok(()),
            Some(tokens) => check(&tokens.get(), headers, Scope::Ingest),
        }
    }
}

/// Whether headers have a token that is for this.
pub(super) fn check(tokens: &Tokens, headers: &HeaderMap, scope: Scope) -> Result<(), NotAdmitted> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(NotAdmitted::NoToken)?;
    // Of several it would not be clear which one a proxy had looked at.
    if values.next().is_some() {
        return Err(NotAdmitted::WrongToken);
    }
    let token = token(value.as_bytes()).ok_or(NotAdmitted::WrongToken)?;
    if tokens.allow(TokenDigest::of(token), scope) {
        Ok(())
    } else {
        Err(NotAdmitted::WrongToken)
    }
}

fn token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}
