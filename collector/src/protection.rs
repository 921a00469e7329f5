//! What keeps others out: tokens and TLS, read from files and again whenever these change.

mod access;
mod attempts;
mod bearer;
mod files;
mod reloaded;
mod sessions;
pub(crate) mod tls;
pub(crate) mod tokens;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Config;
use crate::clock::Clock;
use rustls::ServerConfig;
use tls::ServerFiles;
use tokens::{TokenError, Tokens};

pub(crate) use access::PageAccess;
pub(crate) use bearer::Guard;
pub(crate) use reloaded::Reloaded;

/// How often files are looked at for a change.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Why a file that protects is of no use. No text has anything of what the file holds.
#[derive(Debug, thiserror::Error)]
pub enum ProtectionError {
    /// It cannot be read.
    #[error("cannot read --{flag} {}", path.display())]
    Read {
        /// Which it is.
        flag: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One is named without the other.
    #[error("--{0} needs --{1}")]
    Alone(&'static str, &'static str),
    /// There is nobody to trust.
    #[error("this system has no certificates of authorities; name them with --tls-ca")]
    NoAuthorities(#[source] io::Error),
    /// It is not what TLS needs.
    #[error("--{flag} {} is of no use: {why}", path.display())]
    Tls {
        /// Which it is.
        flag: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It is not what it should be.
    #[error("--token-file {} is of no use", path.display())]
    Tokens {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: TokenError,
    },
}

/// What guards the ports.
pub(crate) struct Protection {
    tokens: Option<Arc<Reloaded<Tokens>>>,
    tls: Option<Arc<Reloaded<ServerConfig>>>,
    key: Option<PathBuf>,
}

impl Protection {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub(crate) fn load(config: &Config) -> Result<Self, ProtectionError> {
        let tokens = config.token_file.clone().map(|path| {
            let read = {
                let path = path.clone();
                move || tokens::read(&path)
            };
            Reloaded::load("--token-file", vec![path], read)
        });
        let files = ServerFiles::of(config)?;
        let key = files.as_ref().map(|files| files.key().to_owned());
        let tls =
            files.map(|files| Reloaded::load("--tls-cert", files.all(), move || files.load()));
        Ok(Self {
            tls: tls.transpose()?.map(Arc::new),
            key,
            tokens: tokens.transpose()?.map(Arc::new),
        })
    }

    /// What the listeners speak, when it is TLS.
    pub(crate) fn tls(&self) -> Option<Arc<Reloaded<ServerConfig>>> {
        self.tls.clone()
    }

    /// Whether a token is asked for.
    pub(crate) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Lets in who sends spans.
    pub(crate) fn ingest_guard(&self) -> Guard {
        Guard::new(self.tokens.clone())
    }

    /// Lets in who looks at pages; `None` when everybody may.
    pub(crate) fn page_access(&self, config: &Config, clock: &Clock) -> Option<Arc<PageAccess>> {
        let tokens = Arc::clone(self.tokens.as_ref()?);
        let access = PageAccess::new(
            tokens,
            &config.base_path,
            self.tls.is_some(),
            Arc::clone(clock),
        );
        Some(Arc::new(access))
    }

    /// Says what is odd about the files, once.
    pub(crate) fn warn_of_oddities(&self) {
        if let Some(key) = &self.key {
            files::warn_when_others_may_read("tls-key", key);
        }
        let Some(tokens) = &self.tokens else {
            return;
        };
        for path in tokens.files() {
            files::warn_when_others_may_read("token-file", path);
        }
        let tokens = tokens.get();
        for (scope, what) in [
            (tokens::Scope::Ingest, "send spans"),
            (tokens::Scope::Ui, "open the pages and query APIs"),
        ] {
            if !tokens.has(scope) {
                warn!("--token-file has no token to {what} with: nobody can");
            }
        }
    }

    /// Reads files again that have changed, until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let this = Arc::clone(&self);
            let checked = tokio::task::spawn_blocking(move || this.check());
            if let Err(error) = checked.await {
                warn!(%error, "the files that protect could not be looked at");
            }
        }
    }

    fn check(&self) {
        if let Some(tokens) = &self.tokens {
            tokens.check();
        }
        if let Some(tls) = &self.tls {
            tls.check();
        }
    }
}

/// Whether the files that `config` names can be used.
///
/// # Errors
/// When one of them cannot.
pub fn check(config: &Config) -> Result<(), ProtectionError> {
    Protection::load(config).map(drop)
}
