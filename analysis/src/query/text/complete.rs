//! What may stand at a place in a query's text, for who types it.
//!
//! Goes through the tokens before the place as the parser does, but keeps only what is expected next:
//! what stands behind may be missing or wrong. What it gives is put in as it is, and then read as meant.

mod fields;

use std::ops::Range;

use self::fields::{OPERATIONS, SERVICES, intrinsics, operators};
use super::super::alias::names_of;
use super::super::field::Sort;
use super::super::{Field, Scope, TEXT_BYTES_MAX};
use super::lexer::{Kind, Token, ends_word, tokens};
use super::literal;
use super::names::{self, KEYWORDS};
use super::parser::{OPERATORS, RELATIONS};

/// A place in a query's text, and what may stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The stretch of the text that it replaces, in bytes; empty where it is put in.
    pub at: Range<usize>,
    /// What of that is written already, up to the place and without its quotes.
    pub typed: String,
    /// What the language itself has there, whatever is typed.
    pub words: Vec<Word>,
    /// Which names and values of what is stored.
    pub names: Names,
}

/// A word or mark of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// How it is written.
    pub text: &'static str,
    /// What it is.
    pub kind: WordKind,
}

/// What a word of the language is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordKind {
    /// What every span or request has.
    Field,
    /// What stands between a field and a value, or between spans in braces.
    Operator,
    /// What joins and begins conditions.
    Keyword,
    /// One of the few values that a field has.
    Value,
}

/// Names and values that a store can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// None.
    None,
    /// Names of attributes.
    Attributes {
        /// Whose.
        scope: Scope,
        /// How they begin.
        prefix: String,
    },
    /// Values of an attribute, as their canonical texts.
    Values {
        /// Its names: as given, then the others that it had or has.
        keys: Vec<String>,
    },
    /// Services.
    Services,
    /// Names of operations.
    Operations {
        /// Only this service's.
        service: Option<String>,
    },
}

impl Names {
    /// How one of them is written at the place.
    pub fn text(&self, name: &str) -> String {
        let mut text = String::new();
        match self {
            Self::Attributes { scope, .. } => {
                names::write(&mut text, &Field::attribute(*scope, name));
            }
            Self::Values { .. } => {
                let plain = literal::value(name);
                let is_same = plain.canonical_text().as_deref() == Some(name);
                literal::write(&mut text, &if is_same { plain } else { name.into() });
            }
            Self::None | Self::Services | Self::Operations { .. } => {
                literal::write(&mut text, &name.into());
            }
        }
        text
    }
}

impl Place {
    /// What may stand at `caret`, in bytes of the text: at the end of what is typed there, or where nothing
    /// is yet. `None` where nothing is known to go on, or the text is longer than queries may be.
    pub fn at(text: &str, caret: usize) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let caret = text.floor_char_boundary(caret);
        let (mut before, open) = beginning(&text[..caret])?;
        let is_typing = |last: &mut Token| match last.kind {
            Kind::Bare(_) => last.at.end >= caret,
            Kind::Quoted(_) => open.is_some(),
            Kind::Mark(_) => false,
        };
        let typing = before.pop_if(is_typing);
        let mut reading = Reading::default();
        for (at, token) in before.iter().enumerate() {
            let next = before.get(at + 1).map(|token| &token.kind);
            reading.step(&token.kind, next);
        }
        let (start, typed, is_quoted) = match typing {
            None => (caret, String::new(), false),
            Some(token) => match token.kind {
                Kind::Quoted(typed) => (token.at.start, typed, true),
                Kind::Bare(typed) => (token.at.start, typed, false),
                Kind::Mark(_) => return None,
            },
        };
        let is_empty = start == caret;
        let (words, names) = reading.expected(&typed, is_empty, is_quoted)?;
        Some(Self {
            at: start..end(text, start, caret, open.is_some()),
            typed,
            words,
            names,
        })
    }
}

/// The tokens of a text that may end within quotes, and which those are; `None` when it can be no beginning.
fn beginning(text: &str) -> Option<(Vec<Token>, Option<char>)> {
    let error = match tokens(text) {
        Ok(tokens) => return Some((tokens, None)),
        Err(error) => error,
    };
    let open = text[error.at.start..].chars().next();
    let open = open.filter(|ch| matches!(ch, '"' | '\'' | '`'))?;
    let mut closed = text.to_owned();
    closed.push(open);
    Some((tokens(&closed).ok()?, Some(open)))
}

/// Where what begins at `start` ends: behind the caret, when the caret stands in it.
fn end(text: &str, start: usize, caret: usize, is_open: bool) -> usize {
    match tokens(text) {
        Ok(tokens) => {
            let is_it =
                |token: &&Token| token.at.start == start && !matches!(token.kind, Kind::Mark(_));
            let token = tokens.iter().find(is_it);
            token.map_or(caret, |token| token.at.end.max(caret))
        }
        // Behind a quote that is not closed nobody knows what was meant.
        Err(_) if is_open => caret,
        Err(_) => text[caret..]
            .find(ends_word)
            .map_or(text.len(), |len| caret + len),
    }
}

/// What is expected behind the tokens that were read.
#[derive(Debug, Default)]
enum State {
    /// A condition.
    #[default]
    Condition,
    /// A field, behind `exists`.
    Exists,
    /// An operator, if this word is a field; else what follows a condition.
    Word(String),
    /// What follows a condition.
    Done,
    /// That, or a relation.
    Group,
    /// A value to compare with.
    Value(Field, &'static str),
    /// What a relation relates to.
    Related,
    /// Nothing: it is wrong already, or too odd to help with.
    Lost,
}

#[derive(Debug, Default)]
struct Reading {
    state: State,
    /// A service that must be the one whose name is asked for, too.
    service: Option<(Field, String)>,
    is_negated: bool,
}

impl Reading {
    fn step(&mut self, token: &Kind, next: Option<&Kind>) {
        let is_field = matches!(next, Some(Kind::Mark(mark)) if OPERATORS.contains(mark));
        self.state = match (std::mem::take(&mut self.state), token) {
            (State::Value(field, op), Kind::Bare(value) | Kind::Quoted(value)) => {
                if op == "=" && !self.is_negated {
                    self.service = Some((field, value.clone()));
                }
                self.is_negated = false;
                State::Done
            }
            (State::Exists, Kind::Mark("(")) => State::Exists,
            (State::Exists, Kind::Bare(_)) => State::Done,
            (State::Value(..) | State::Exists | State::Lost, _) => State::Lost,
            (State::Word(word), Kind::Mark(mark)) if OPERATORS.contains(mark) => {
                match names::field(&word) {
                    Ok(field) => State::Value(field, mark),
                    Err(_) => State::Lost,
                }
            }
            (State::Group, Kind::Mark(mark)) if RELATIONS.iter().any(|(of, ..)| of == mark) => {
                State::Related
            }
            (_, Kind::Mark(mark @ ("(" | ")" | "{" | "}" | "||"))) => {
                self.service = None;
                if matches!(*mark, ")" | "}") {
                    State::Group
                } else {
                    State::Condition
                }
            }
            (_, Kind::Mark("!")) => self.negated(),
            (_, Kind::Mark("&&")) => State::Condition,
            (_, Kind::Mark(_)) => State::Lost,
            (_, Kind::Quoted(_)) => self.done(is_field),
            (_, Kind::Bare(word)) if is_field => State::Word(word.clone()),
            (state, Kind::Bare(word)) => self.word(&state, word, next),
        };
    }

    /// Behind a word that is no field.
    fn word(&mut self, state: &State, word: &str, next: Option<&Kind>) -> State {
        let is_behind = matches!(state, State::Word(_) | State::Done | State::Group);
        match word {
            "and" if is_behind => State::Condition,
            "or" if is_behind => {
                self.service = None;
                State::Condition
            }
            "not" => self.negated(),
            "exists" => State::Exists,
            "some" if next == Some(&Kind::Mark("{")) => State::Condition,
            "true" | "false" => self.done(false),
            _ if KEYWORDS.contains(&word) => State::Lost,
            _ => {
                self.is_negated = false;
                State::Word(word.to_owned())
            }
        }
    }

    fn negated(&mut self) -> State {
        self.is_negated = true;
        State::Condition
    }

    /// Behind a whole condition, which no operator may follow.
    fn done(&mut self, is_followed: bool) -> State {
        self.is_negated = false;
        if is_followed {
            State::Lost
        } else {
            State::Done
        }
    }

    fn expected(self, typed: &str, is_empty: bool, is_quoted: bool) -> Option<(Vec<Word>, Names)> {
        let keywords = |of: &[&'static str]| words(of, WordKind::Keyword);
        if let State::Value(field, op) = &self.state {
            return self.values(field, op);
        }
        // What stands between quotes is a text to look for.
        if is_quoted {
            return None;
        }
        let fields = || words(&intrinsics(), WordKind::Field);
        let and_or = || keywords(&["and", "or"]);
        let (words, asks) = match self.state {
            State::Condition => ([fields(), keywords(&["not", "exists"])].concat(), true),
            State::Exists => (fields(), true),
            State::Word(word) if is_empty => {
                let field = names::field(&word).ok();
                let operators = field.map_or(&[][..], |field| operators(&field));
                (
                    [words(operators, WordKind::Operator), and_or()].concat(),
                    false,
                )
            }
            State::Done if is_empty => (and_or(), false),
            State::Group if is_empty => {
                let relations = words(&[">", ">>", "<", "<<", "~"], WordKind::Operator);
                ([and_or(), relations].concat(), false)
            }
            // What stands side by side must hold together.
            State::Word(_) | State::Done | State::Group => ([and_or(), fields()].concat(), true),
            State::Related if is_empty => (keywords(&["{"]), false),
            State::Related | State::Value(..) | State::Lost => return None,
        };
        Some((words, if asks { attributes(typed) } else { Names::None }))
    }

    fn values(&self, field: &Field, op: &str) -> Option<(Vec<Word>, Names)> {
        if !matches!(op, "=" | "!=") {
            return None;
        }
        if let Sort::Choice { of, .. } = field.sort() {
            return Some((words(of, WordKind::Value), Names::None));
        }
        let service_of = |of: &Field| {
            let (field, service) = self.service.as_ref()?;
            (field == of).then(|| service.clone())
        };
        let names = match field {
            Field::Attribute { key, .. } => Names::Values {
                keys: all_names(key),
            },
            _ if SERVICES.contains(field) => Names::Services,
            _ => {
                let (_, service) = OPERATIONS.iter().find(|(name, _)| name == field)?;
                Names::Operations {
                    service: service_of(service),
                }
            }
        };
        Some((Vec::new(), names))
    }
}

/// An attribute's name as given, then its others.
fn all_names(key: &str) -> Vec<String> {
    let others = names_of(key).into_iter().filter(|name| name != key);
    [key.to_owned()].into_iter().chain(others).collect()
}

fn words(texts: &[&'static str], kind: WordKind) -> Vec<Word> {
    let word = |&text| Word { text, kind };
    texts.iter().map(word).collect()
}

/// The attributes that a word which is not whole may name.
fn attributes(typed: &str) -> Names {
    let scoped = typed.split_once('.').and_then(|(scope, prefix)| {
        let scope = Scope::ALL.into_iter().find(|of| of.name() == scope)?;
        Some((scope, prefix))
    });
    let (scope, prefix) = scoped.unwrap_or((Scope::Any, typed));
    Names::Attributes {
        scope,
        prefix: prefix.to_owned(),
    }
}

#[cfg(test)]
mod tests;
