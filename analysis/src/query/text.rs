//! Queries as text: one language for pages, APIs and the command line.
//!
//! ```text
//! service = checkout and duration > 300ms and http.response.status_code >= 500
//! {service = web} >> {status = error and not name =~ "^GET "}
//! checkout status=error "connection refused"
//! ```
//!
//! `docs/query.md` has the language for users. In short, with what binds tighter further down:
//!
//! ```text
//! query     = [ any ]                          nothing matches every request
//! any       = all { ("or" | "||") all }
//! all       = related { ["and" | "&&"] related }     side by side is "and"
//! related   = one { (">" | ">>" | "<" | "<<" | "~" | "!>" | …) one }
//! one       = ("not" | "!") one | "(" any ")" | "{" [any] "}" | "some" "{" [any] "}"
//!           | "exists" field | field op value | "true" | "false" | word
//! op        = "=" | "!=" | "<" | "<=" | ">" | ">=" | "=~" | "!~"
//! ```
//!
//! A relation takes its sides as spans in `{ }`, and is then a set of spans itself, as in `TraceQL`; of
//! anything else it takes what holds on the span at hand. So `{a} > {b}` is some span `b` under an `a`,
//! wherever it stands, and `(a) > (b)` this span. What `TraceQL` writes that has the same tree is taken too;
//! what has none is refused by name.

mod complete;
mod error;
mod lexer;
mod literal;
mod names;
mod parser;
mod render;
#[cfg(test)]
mod tests;

pub use self::complete::{Names, Place, Word, WordKind};
pub use self::error::ParseError;
