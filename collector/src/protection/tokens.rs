//! The token file: a token a line, each for sending, for looking, or for both.
//!
//! ```text
//! # Exporters.
//! ingest:4f1c0f1e0e5f4b7a9c2d
//! # People, dashboards, scripts.
//! ui:9b74c9897bac770ffc02
//! # Both.
//! 0cc175b9c0f1b6a831c3
//! ```
//!
//! Only digests are kept, so that nothing can print a token, and comparing takes as long for every guess.

use std::fmt;
use std::path::Path;

use http::HeaderValue;
use ring::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq};

use super::{ProtectionError, files};

/// How large the file may be.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// How many tokens it may have.
const TOKENS_MAX: usize = 256;

/// How short a token may be: at random letters, 16 are more than anybody can try.
const TOKEN_CHARS_MIN: usize = 16;

/// Why a file has no tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no text.
    #[error("it is not UTF-8")]
    NotText,
    /// A line is no token. What it is stays secret.
    #[error(
        "line {line}: expected a token of letters, digits and - . _ ~ + / =, alone or after ingest: or ui:"
    )]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// A token is easily guessed.
    #[error(
        "line {line}: the token has {n_chars} characters, less than {TOKEN_CHARS_MIN}; openssl rand -hex 20 makes a good one"
    )]
    Short {
        /// Which, from 1.
        line: usize,
        /// How long it is.
        n_chars: usize,
    },
    /// There are too many.
    #[error("it has more than {TOKENS_MAX} tokens")]
    TooMany,
    /// There are none.
    #[error("it has no token; it should have one a line")]
    None,
    /// There is none to send spans with.
    #[error("it has no token to send spans with: none without ui: before it")]
    NoneToSend,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Sending spans.
    Ingest,
    /// Everything on the pages' port: reading, and deleting.
    Ui,
}

/// What stands for a secret that is not to be kept.
pub(super) fn sha256(secret: &[u8]) -> [u8; 32] {
    let digest = digest(&SHA256, secret);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Stands for a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(super) fn of(token: &[u8]) -> Self {
        Self(sha256(token))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenDigest(..)")
    }
}

/// The tokens that are let in.
#[derive(Debug)]
pub(crate) struct Tokens(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    digest: TokenDigest,
    /// `None` for all.
    scope: Option<Scope>,
}

impl Entry {
    fn is_for(&self, scope: Scope) -> bool {
        self.scope.is_none_or(|only| only == scope)
    }
}

impl Tokens {
    fn parse(bytes: &[u8]) -> Result<Self, TokenError> {
        let mut entries = Vec::new();
        for line in lines(bytes)? {
            let (scope, token) = line?;
            if entries.len() == TOKENS_MAX {
                return Err(TokenError::TooMany);
            }
            let digest = TokenDigest::of(token.as_bytes());
            entries.push(Entry { digest, scope });
        }
        if entries.is_empty() {
            return Err(TokenError::None);
        }
        Ok(Self(entries))
    }

    /// Whether any token is for this.
    pub(super) fn has(&self, scope: Scope) -> bool {
        self.0.iter().any(|entry| entry.is_for(scope))
    }

    /// Whether a token is one of these and for this. Takes as long whichever it is, and if it is none.
    pub(super) fn allow(&self, token: TokenDigest, scope: Scope) -> bool {
        let found = self.0.iter().fold(Choice::from(0), |found, entry| {
            let is_for = Choice::from(u8::from(entry.is_for(scope)));
            found | (entry.digest.0.ct_eq(&token.0) & is_for)
        });
        found.into()
    }
}

/// The tokens of a file, each with what it is for.
fn lines(
    bytes: &[u8],
) -> Result<impl Iterator<Item = Result<(Option<Scope>, &str), TokenError>>, TokenError> {
    let text = std::str::from_utf8(bytes).map_err(|_| TokenError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|(text, line)| {
        let (scope, token) = match text.split_once(':') {
            None => (None, text),
            Some(("ingest", token)) => (Some(Scope::Ingest), token),
            Some(("ui", token)) => (Some(Scope::Ui), token),
            Some(_) => return Err(TokenError::Line { line }),
        };
        let token = token.trim_start();
        // What RFC 6750 lets a header carry.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.is_empty() || !token.bytes().all(is_plain) {
            return Err(TokenError::Line { line });
        }
        let n_chars = token.len();
        if n_chars < TOKEN_CHARS_MIN {
            return Err(TokenError::Short { line, n_chars });
        }
        Ok((scope, token))
    }))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, ProtectionError> {
    files::read("token-file", path, FILE_BYTES_MAX)
}

/// Reads a token file.
///
/// # Errors
/// When it cannot be read, is too large, or is none.
pub(super) fn read(path: &Path) -> Result<Tokens, ProtectionError> {
    Tokens::parse(&bytes_of(path)?).map_err(|source| ProtectionError::Tokens {
        path: path.to_owned(),
        source,
    })
}

/// What to send as `authorization`: the first token of a file that is for sending spans.
///
/// # Errors
/// When there is none, or the file cannot be used.
pub(crate) fn authorization(path: &Path) -> Result<HeaderValue, ProtectionError> {
    let bytes = bytes_of(path)?;
    let tokens = |source| ProtectionError::Tokens {
        path: path.to_owned(),
        source,
    };
    for line in lines(&bytes).map_err(tokens)? {
        let (scope, token) = line.map_err(tokens)?;
        if scope != Some(Scope::Ui) {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .expect("the characters of a token are those of a header");
            // Kept out of debug output and of HTTP/2's tables.
            value.set_sensitive(true);
            return Ok(value);
        }
    }
    Err(tokens(TokenError::NoneToSend))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: &str = "send-send-send-send";
    const LOOK: &str = "look-look-look-look";
    const BOTH: &str = "both/both+both~both.=";

    fn digest(token: &str) -> TokenDigest {
        TokenDigest::of(token.as_bytes())
    }

    #[test]
    fn each_token_is_for_what_its_line_says() {
        let file =
            format!("\u{feff}# ours\r\n\r\n  ingest:{SEND}\r\n\tui: {LOOK} \n{BOTH}\n#{SEND}x");
        let tokens = Tokens::parse(file.as_bytes()).expect("tokens");
        for (token, sends, looks) in [
            (SEND, true, false),
            (LOOK, false, true),
            (BOTH, true, true),
            ("send-send-send-senx", false, false),
            ("send-send-send-sendx", false, false),
            ("ingest:send-send-send-send", false, false),
            ("", false, false),
        ] {
            assert_eq!(tokens.allow(digest(token), Scope::Ingest), sends, "{token}");
            assert_eq!(tokens.allow(digest(token), Scope::Ui), looks, "{token}");
        }
        let only = Tokens::parse(format!("ui:{LOOK}").as_bytes()).expect("a token");
        assert!(only.has(Scope::Ui) && !only.has(Scope::Ingest));
    }

    #[test]
    fn what_is_no_token_file_is_refused_without_saying_what_it_holds() {
        let many = |n: usize| format!("{SEND}\n").repeat(n);
        let secret = "hunter2hunter2hunter2";
        let short = |line| TokenError::Short { line, n_chars: 7 };
        let line = |line| TokenError::Line { line };
        let many_too_many = many(257);
        let cases: [(&[u8], TokenError); 10] = [
            (b"" as &[u8], TokenError::None),
            (b"\n # nothing\n", TokenError::None),
            (b"\xff\xfe", TokenError::NotText),
            (b"hunter2", short(1)),
            (b"\nui:hunter2", short(2)),
            (b"ui:", line(1)),
            (b"admin:hunter2hunter2hunter2", line(1)),
            (b"hunter2hunter2hunter2 # me", line(1)),
            ("hunter2hunter2h\u{fc}nter2".as_bytes(), line(1)),
            (many_too_many.as_bytes(), TokenError::TooMany),
        ];
        for (file, expected) in cases {
            let error = Tokens::parse(file).expect_err("refused");
            assert_eq!(error, expected);
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter") && !text.contains(secret), "{text}");
        }
        Tokens::parse(many(256).as_bytes()).expect("that many may be");
        let tokens = Tokens::parse(secret.as_bytes()).expect("a token");
        let text = format!("{tokens:?}");
        assert!(text.contains("TokenDigest(..)"), "{text}");
    }

    #[test]
    fn the_first_token_that_may_send_is_sent() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("tokens");
        std::fs::write(&path, format!("ui:{LOOK}\n{BOTH}\ningest:{SEND}")).expect("written");
        let value = authorization(&path).expect("a token");
        assert_eq!(value, format!("Bearer {BOTH}"));
        assert!(!format!("{value:?}").contains(BOTH));
        std::fs::write(&path, format!("ui:{LOOK}")).expect("written");
        let error = authorization(&path).expect_err("none may send");
        assert!(matches!(
            error,
            ProtectionError::Tokens {
                source: TokenError::NoneToSend,
                ..
            }
        ));
        std::fs::write(&path, vec![b'#'; 70 << 10]).expect("written");
        let error = read(&path).expect_err("too large");
        assert!(matches!(error, ProtectionError::Read { .. }), "{error}");
    }
}
