//! Who may use the pages' port: a token in a header, or the session of one.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use longpole_ui::{Access, Credential, Denied, LoginError};

use super::attempts::Attempts;
use super::bearer::{self, NotAdmitted};
use super::reloaded::Reloaded;
use super::sessions::{LIFETIME, Sessions};
use super::tokens::{Scope, TokenDigest, Tokens};
use crate::clock::Clock;
use crate::http_server::Peer;

/// The name of the session's cookie.
const COOKIE_NAME: &str = "longpole_session";

/// Of cookies with that name, how many are looked at: another path or host may have set some.
const COOKIES_MAX: usize = 4;

/// Lets in who has a token for the pages, or logged in with one that is still good.
pub(crate) struct PageAccess {
    tokens: Arc<Reloaded<Tokens>>,
    sessions: Sessions,
    attempts: Attempts,
    /// What follows the cookie's value.
    attributes: String,
    clock: Clock,
}

impl PageAccess {
    /// Access below `base_path`, with cookies that only TLS carries when `is_tls`.
    pub(super) fn new(
        tokens: Arc<Reloaded<Tokens>>,
        base_path: &str,
        is_tls: bool,
        clock: Clock,
    ) -> Self {
        let path = match base_path.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        let secure = if is_tls { "; Secure" } else { "" };
        Self {
            tokens,
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            attributes: format!("; Path={path}; HttpOnly; SameSite=Strict{secure}"),
            clock,
        }
    }

    /// Whether headers have a token for the pages' port.
    ///
    /// # Errors
    /// When they have none, or another one.
    pub(crate) fn check_bearer(&self, headers: &HeaderMap) -> Result<(), NotAdmitted> {
        bearer::check(&self.tokens.get(), headers, Scope::Ui)
    }

    fn has_session(&self, headers: &HeaderMap) -> bool {
        let now = (self.clock)();
        let tokens = self.tokens.get();
        // It ends with its token.
        cookies(headers).any(|id| {
            let token = self.sessions.token(id, now);
            token.is_some_and(|token| tokens.allow(token, Scope::Ui))
        })
    }

    fn cookie(&self, id: &str, seconds: u64) -> HeaderValue {
        let text = format!("{COOKIE_NAME}={id}; Max-Age={seconds}{}", self.attributes);
        let mut cookie =
            HeaderValue::from_str(&text).expect("a base path has the characters of a header");
        cookie.set_sensitive(true);
        cookie
    }
}

impl Access for PageAccess {
    fn admit(&self, request: &Parts) -> Result<Credential, Denied> {
        match self.check_bearer(&request.headers) {
            Ok(()) => Ok(Credential::Bearer),
            Err(NotAdmitted::WrongToken) => Err(Denied::Wrong),
            Err(NotAdmitted::NoToken) if self.has_session(&request.headers) => {
                Ok(Credential::Session)
            }
            Err(NotAdmitted::NoToken) => Err(Denied::Missing),
        }
    }

    fn log_in(&self, request: &Parts, token: &str) -> Result<HeaderValue, LoginError> {
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let peer = request.extensions.get::<Peer>();
        let address = peer.map_or(unknown, |Peer(address)| *address);
        let now = (self.clock)();
        // Taken before it is known whether it is right: guesses at once are counted too.
        let attempt = self.attempts.take(address, now);
        attempt.map_err(|wait| LoginError::TooOften { wait })?;
        let token = TokenDigest::of(token.as_bytes());
        if !self.tokens.get().allow(token, Scope::Ui) {
            return Err(LoginError::Wrong);
        }
        self.attempts.forgive(address);
        let id = self.sessions.begin(token, now);
        let id = id.ok_or(LoginError::NoRandomness)?;
        Ok(self.cookie(&id, LIFETIME.as_secs()))
    }

    fn log_out(&self, request: &Parts) -> HeaderValue {
        for id in cookies(&request.headers) {
            self.sessions.end(id);
        }
        self.cookie("", 0)
    }
}

/// The session IDs that a browser sends.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let all = headers.get_all(COOKIE).iter();
    let pairs = all.flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
    pairs
        .filter_map(|pair| {
            let value = pair.trim_ascii().strip_prefix(COOKIE_NAME.as_bytes())?;
            value.strip_prefix(b"=")
        })
        .take(COOKIES_MAX)
}

#[cfg(test)]
mod tests;
