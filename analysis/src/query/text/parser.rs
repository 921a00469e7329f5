//! Reads a query's tokens: recursive descent, no deeper than queries may be.

mod condition;

use std::ops::Range;

use self::condition::with_cause;
use super::error::ParseError;
use super::lexer::{Kind, MARKS, Token, tokens};
use super::render;
use crate::query::{DEPTH_MAX, Matcher, NODES_MAX, Query, QueryError, Relation, TEXT_BYTES_MAX};

/// What stands between sets of spans.
pub(super) const RELATIONS: [(&str, Relation, bool); 10] = [
    (">", Relation::Child, false),
    ("<", Relation::Parent, false),
    (">>", Relation::Descendant, false),
    ("<<", Relation::Ancestor, false),
    ("~", Relation::Sibling, false),
    ("!>", Relation::Child, true),
    ("!<", Relation::Parent, true),
    ("!>>", Relation::Descendant, true),
    ("!<<", Relation::Ancestor, true),
    ("!~", Relation::Sibling, true),
];

/// What makes a field of the word before it; `==` to be refused there.
pub(super) const OPERATORS: [&str; 9] = ["=", "!=", "<", "<=", ">", ">=", "=~", "!~", "=="];

/// How a relation is written.
pub(super) fn relation_mark(relation: Relation, negated: bool) -> &'static str {
    let mut relations = RELATIONS.iter();
    let of = relations.find(|of| (of.1, of.2) == (relation, negated));
    of.expect("every relation is written").0
}

/// What was read: a condition, or spans in braces whose relation to others may follow.
enum Read {
    Condition(Query),
    Spans(Query),
}

impl Read {
    /// What it says of a span: of spans in braces that there are some.
    fn condition(self) -> Query {
        match self {
            Self::Condition(query) => query,
            Self::Spans(query) => Query::some_span(query),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    n_nodes: usize,
}

/// Reads a whole query.
///
/// # Errors
/// With the first thing that is wrong.
pub(super) fn parse(text: &str) -> Result<Query, ParseError> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!(
            "the query has {} bytes, over the limit of {TEXT_BYTES_MAX}",
            text.len()
        );
        return Err(ParseError::new(text, 0..0, message));
    }
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        n_nodes: 0,
    };
    if parser.tokens.is_empty() {
        return Ok(Query::default());
    }
    let query = parser.any()?.condition();
    match parser.peek() {
        None => {}
        Some(Kind::Mark("|")) => {
            return Err(
                parser.error("TraceQL's pipelines are not supported: there is no | behind { }")
            );
        }
        Some(_) => return Err(parser.unexpected("and, or, or the end")),
    }
    // What single conditions cannot tell: how many patterns there are in all.
    Matcher::new(&query)
        .map_err(|error| ParseError::new(text, 0..text.len(), with_cause(&error)))?;
    Ok(query)
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn peek_second(&self) -> Option<&Kind> {
        self.tokens.get(self.next + 1).map(|token| &token.kind)
    }

    /// Where the next token is, or the end.
    fn here(&self) -> Range<usize> {
        let end = self.text.len();
        self.tokens
            .get(self.next)
            .map_or(end..end, |token| token.at.clone())
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, self.here(), message)
    }

    /// The error of having found something else.
    fn unexpected(&self, expected: &str) -> ParseError {
        let found = match self.here() {
            at if at.is_empty() => "the end".to_owned(),
            at => format!("`{}`", short(&self.text[at])),
        };
        self.error(format!("expected {expected}, found {found}"))
    }

    fn is_mark(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Kind::Mark(found)) if *found == mark)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Kind::Bare(found)) if found == word)
    }

    /// Takes the next token if it is this word or mark.
    fn takes(&mut self, text: &str) -> bool {
        let is_next = if MARKS.contains(&text) {
            self.is_mark(text)
        } else {
            self.is_word(text) && !self.is_before_operator()
        };
        self.next += usize::from(is_next);
        is_next
    }

    /// Whether an operator follows the next token, which then is a field whatever it is called.
    fn is_before_operator(&self) -> bool {
        matches!(self.peek_second(), Some(Kind::Mark(mark)) if OPERATORS.contains(mark))
    }

    fn expect(&mut self, mark: &'static str, opened: &Range<usize>) -> Result<(), ParseError> {
        if self.takes(mark) {
            return Ok(());
        }
        let character = ParseError::new(self.text, opened.clone(), "").character();
        Err(self.unexpected(&format!(
            "{mark} for what was opened at character {character}"
        )))
    }

    /// Goes a level deeper.
    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        // The matcher's limit is of the tree; braces and parentheses without one count here.
        if self.depth == DEPTH_MAX {
            return Err(self.error(format!(
                "the query is nested deeper than {DEPTH_MAX} levels"
            )));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn any(&mut self) -> Result<Read, ParseError> {
        self.list(
            Self::all,
            |parser| parser.takes("or") || parser.takes("||"),
            Query::Or,
        )
    }

    fn all(&mut self) -> Result<Read, ParseError> {
        let follows = |parser: &mut Self| {
            parser.takes("and") || parser.takes("&&") || parser.begins_condition()
        };
        self.list(Self::related, follows, Query::And)
    }

    /// Whether what comes next is a condition of its own, beside the one before.
    fn begins_condition(&self) -> bool {
        match self.peek() {
            Some(Kind::Quoted(_) | Kind::Mark("(" | "{" | "!")) => true,
            None | Some(Kind::Mark(_)) => false,
            Some(Kind::Bare(word)) => self.is_before_operator() || word != "or",
        }
    }

    /// One or several, in a list.
    fn list(
        &mut self,
        read: impl Fn(&mut Self) -> Result<Read, ParseError>,
        follows: impl Fn(&mut Self) -> bool,
        make: fn(Vec<Query>) -> Query,
    ) -> Result<Read, ParseError> {
        let first = read(self)?;
        if !follows(self) {
            return Ok(first);
        }
        let mut all = vec![first.condition(), read(self)?.condition()];
        while follows(self) {
            all.push(read(self)?.condition());
        }
        Ok(Read::Condition(make(all)))
    }

    fn related(&mut self) -> Result<Read, ParseError> {
        let mut left = self.one()?;
        loop {
            let Some(Kind::Mark(mark)) = self.peek() else {
                return Ok(left);
            };
            if mark.starts_with('&') && *mark != "&&" && *mark != "&" {
                return Err(self.error(format!("TraceQL's {mark} is not supported")));
            }
            let Some(&(_, relation, negated)) = RELATIONS.iter().find(|(of, ..)| of == mark) else {
                return Ok(left);
            };
            let mark = *mark;
            if !self.is_behind_group() {
                return Err(self.error(format!(
                    "expected and, or, or the end, found `{mark}`: what it relates stands in {{ }}"
                )));
            }
            self.next += 1;
            if !matches!(self.peek(), Some(Kind::Mark("{" | "(") | Kind::Bare(_))) {
                return Err(self.unexpected(&format!("{{ behind {mark}")));
            }
            let right = self.one()?;
            self.count()?;
            let related = |left, right| Query::Related {
                left: Box::new(left),
                relation,
                negated,
                right: Box::new(right),
            };
            left = match (left, right) {
                (Read::Spans(left), Read::Spans(right)) => Read::Spans(related(left, right)),
                (left, right) => Read::Condition(related(left.condition(), right.condition())),
            };
        }
    }

    /// Whether the token before closes a group.
    fn is_behind_group(&self) -> bool {
        let before = self.next.checked_sub(1).map(|at| &self.tokens[at].kind);
        matches!(before, Some(Kind::Mark(")" | "}")))
    }

    fn count(&mut self) -> Result<(), ParseError> {
        self.n_nodes += 1;
        if self.n_nodes > NODES_MAX {
            return Err(self.error(QueryError::TooLarge.to_string()));
        }
        Ok(())
    }

    fn one(&mut self) -> Result<Read, ParseError> {
        self.count()?;
        let at = self.here();
        if self.takes("not") || self.takes("!") {
            let negated = self.deeper(Self::one)?;
            return Ok(Read::Condition(Query::negated(negated.condition())));
        }
        if self.takes("(") {
            let inside = self.deeper(Self::any)?;
            self.expect(")", &at)?;
            return Ok(inside);
        }
        if self.is_mark("{") {
            return self.spans().map(Read::Spans);
        }
        if self.is_word("some") && matches!(self.peek_second(), Some(Kind::Mark("{"))) {
            self.next += 1;
            return self.spans().map(Query::some_span).map(Read::Condition);
        }
        self.condition().map(Read::Condition)
    }

    /// What stands between braces; of nothing, every span.
    fn spans(&mut self) -> Result<Query, ParseError> {
        let at = self.here();
        self.next += 1;
        if self.takes("}") {
            return Ok(Query::default());
        }
        let inside = self.deeper(Self::any)?;
        self.expect("}", &at)?;
        Ok(inside.condition())
    }
}

/// As much of a text as an error shows.
fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

impl Query {
    /// Reads a query as people write it; an empty text is the query that every request matches.
    ///
    /// # Errors
    /// With where it is wrong and what was expected there.
    pub fn parse(text: &str) -> Result<Self, super::ParseError> {
        parse(text)
    }
}

impl std::fmt::Display for Query {
    /// Writes it so that [`Query::parse`] gives the same tree, when that is one that text can make.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&render::text(self))
    }
}
