//! Takes a query's text apart: marks, quoted texts and bare words.

use std::ops::Range;

use super::error::ParseError;

/// A piece of text, and where it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) at: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A mark of [`MARKS`].
    Mark(&'static str),
    /// What stood between quotes, with what was escaped.
    Quoted(String),
    /// Anything else up to white space, a quote or a mark.
    Bare(String),
}

/// The longest first, so that each is taken whole. Those that mean nothing are here to be refused by name.
pub(super) const MARKS: [&str; 31] = [
    "!>>", "!<<", "&>>", "&<<", "!=", "!~", "!>", "!<", "&>", "&<", "&~", ">>", "<<", ">=", "<=",
    "=~", "==", "&&", "||", "=", ">", "<", "~", "!", "(", ")", "{", "}", "|", "&", ",",
];

/// What ends a bare word, besides white space.
pub(super) fn ends_word(ch: char) -> bool {
    ch.is_whitespace() || "=!<>~&|(){}\"'`,".contains(ch)
}

/// Takes a text apart.
///
/// # Errors
/// When a quote is not closed, or a backslash stands before what it cannot escape.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut start = 0;
    while let Some(ch) = text[start..].chars().next() {
        if ch.is_whitespace() {
            start += ch.len_utf8();
            continue;
        }
        let rest = &text[start..];
        let (kind, end) = if matches!(ch, '"' | '\'' | '`') {
            let (inside, end) = quoted(text, start, ch)?;
            (Kind::Quoted(inside), end)
        } else if let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
            (Kind::Mark(mark), start + mark.len())
        } else {
            let (word, end) = bare(text, start)?;
            (Kind::Bare(word), end)
        };
        tokens.push(Token {
            at: start..end,
            kind,
        });
        start = end;
    }
    Ok(tokens)
}

/// A word, and where it ends; a part of it that follows a dot may be quoted: `span."my key"`.
fn bare(text: &str, start: usize) -> Result<(String, usize), ParseError> {
    let mut word = String::new();
    let mut end = start;
    while let Some(ch) = text[end..].chars().next() {
        if ch == '"' && word.ends_with('.') {
            let (part, behind) = quoted(text, end, ch)?;
            word.push_str(&part);
            end = behind;
        } else if ends_word(ch) {
            break;
        } else {
            word.push(ch);
            end += ch.len_utf8();
        }
    }
    Ok((word, end))
}

/// What stands between this quote and the next, and where that ends.
fn quoted(text: &str, start: usize, quote: char) -> Result<(String, usize), ParseError> {
    let mut inside = String::new();
    let mut chars = text[start..].char_indices().skip(1);
    while let Some((at, ch)) = chars.next() {
        match ch {
            _ if ch == quote => return Ok((inside, start + at + 1)),
            // As in Go and TraceQL, nothing is escaped between backticks.
            '\\' if quote != '`' => {
                let (_, escaped) = chars.next().unwrap_or((0, '\0'));
                inside.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '0' => '\0',
                    '\\' | '"' | '\'' | '`' => escaped,
                    _ => {
                        let at = start + at;
                        let message = "expected \\\\, \\\", \\', \\n, \\r, \\t or \\0 after a backslash; \
                                       a pattern is easier to write between backticks";
                        return Err(ParseError::new(text, at..at + 1, message));
                    }
                });
            }
            _ => inside.push(ch),
        }
    }
    let message = format!("expected {quote} at the end of what this one begins");
    Err(ParseError::new(text, start..start + 1, message))
}
