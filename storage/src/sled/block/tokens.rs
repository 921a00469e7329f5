//! Tokens: a span's message taken apart.

use std::ops::Range;

use longpole_proto::TraceId;
use longpole_proto::wire::reader::{Field, Reader};

use super::shape::Part;

/// A piece of a span's message, its values where they lie.
pub(super) enum Token {
    TraceId,
    SpanId(u64),
    ParentId(u64),
    Start(u64),
    End(u64),
    Attribute {
        part: Part,
        key: Range<usize>,
        value: Range<usize>,
    },
    Field {
        part: Part,
        whole: Range<usize>,
    },
    Event,
    EventTime(u64),
    EventEnd,
}

/// Takes a span's message apart; `None` when its pieces written again would not be the same bytes.
pub(super) fn take_apart(trace_id: TraceId, message: &[u8], tokens: &mut Vec<Token>) -> Option<()> {
    for field in Reader::new(message) {
        let field = field.ok()?;
        if !field.is_minimal() {
            return None;
        }
        let token = match field.number {
            1 if field.bytes().ok()? == trace_id.as_bytes() => Token::TraceId,
            2 | 4 if field.bytes().ok()?.len() == 8 => {
                let id = u64::from_be_bytes(field.bytes().ok()?.try_into().ok()?);
                if field.number == 2 {
                    Token::SpanId(id)
                } else {
                    Token::ParentId(id)
                }
            }
            7 => Token::Start(field.fixed64().ok()?),
            8 => Token::End(field.fixed64().ok()?),
            9 => attribute(message, &field, Part::SpanAttribute)
                .unwrap_or(whole(&field, Part::SpanField)),
            11 => {
                let mark = tokens.len();
                tokens.push(Token::Event);
                if event(message, &field, tokens).is_some() {
                    Token::EventEnd
                } else {
                    tokens.truncate(mark);
                    whole(&field, Part::SpanField)
                }
            }
            _ => whole(&field, Part::SpanField),
        };
        tokens.push(token);
    }
    Some(())
}

fn whole(field: &Field<'_>, part: fn(u32) -> Part) -> Token {
    Token::Field {
        part: part(field.number),
        whole: field.whole.clone(),
    }
}

/// A `KeyValue` that is just a key, then a value.
fn attribute(message: &[u8], field: &Field<'_>, part: Part) -> Option<Token> {
    let mut fields = Reader::within(message, field.range().ok()?);
    let key = fields
        .next()?
        .ok()
        .filter(|field| field.number == 1 && field.is_minimal())?;
    let value = fields
        .next()?
        .ok()
        .filter(|field| field.number == 2 && field.is_minimal())?;
    if fields.next().is_some() {
        return None;
    }
    Some(Token::Attribute {
        part,
        key: key.range().ok()?,
        value: value.range().ok()?,
    })
}

/// An event's fields.
fn event(message: &[u8], field: &Field<'_>, tokens: &mut Vec<Token>) -> Option<()> {
    for field in Reader::within(message, field.range().ok()?) {
        let field = field.ok().filter(Field::is_minimal)?;
        let token = match field.number {
            1 => Token::EventTime(field.fixed64().ok()?),
            3 => attribute(message, &field, Part::EventAttribute)
                .unwrap_or(whole(&field, Part::EventField)),
            _ => whole(&field, Part::EventField),
        };
        tokens.push(token);
    }
    Some(())
}
