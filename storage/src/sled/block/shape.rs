//! Shapes: the order of a span's fields, with its values taken out.
//!
//! Spans of one operation nearly always have one shape, so a block has few. A shape is a list of
//! operations; writing them again with the span's values gives back its message byte for byte. What
//! an encoder may write in more than one way (a length in too many bytes, a key twice) is not taken
//! apart but kept whole, down to the whole message.

use super::Damage;
use super::bytes::{Cursor, put_varint};

/// One step of writing a span's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Field 1: the trace's ID.
    TraceId,
    /// Field 2: the span's ID.
    SpanId,
    /// Field 4: the parent's ID.
    ParentId,
    /// Field 7, 8 bytes: the start.
    Start,
    /// Field 8, 8 bytes: the end.
    End,
    /// Field 9 (in an event: 3) with a key and a value: the column has the value.
    Attribute(u32),
    /// Any other field, whole: the column has it with tag and length.
    Field(u32),
    /// An event begins (field 11).
    Event,
    /// Field 1 of an event, 8 bytes: its time.
    EventTime,
    /// The event ends.
    EventEnd,
    /// The whole message as it is: the column has it.
    Message(u32),
}

impl Step {
    pub(super) fn put(self, to: &mut Vec<u8>) {
        let (code, column) = match self {
            Self::TraceId => (0, None),
            Self::SpanId => (1, None),
            Self::ParentId => (2, None),
            Self::Start => (3, None),
            Self::End => (4, None),
            Self::Attribute(column) => (5, Some(column)),
            Self::Field(column) => (6, Some(column)),
            Self::Event => (7, None),
            Self::EventTime => (8, None),
            Self::EventEnd => (9, None),
            Self::Message(column) => (10, Some(column)),
        };
        to.push(code);
        if let Some(column) = column {
            put_varint(to, u64::from(column));
        }
    }

    fn read(from: &mut Cursor<'_>, n_columns: usize) -> Result<Self, Damage> {
        let [code] = from.array()?;
        let mut column = || {
            let column = from.varint()?;
            u32::try_from(column)
                .ok()
                .filter(|&column| (column as usize) < n_columns)
                .ok_or(Damage("a shape names no column"))
        };
        Ok(match code {
            0 => Self::TraceId,
            1 => Self::SpanId,
            2 => Self::ParentId,
            3 => Self::Start,
            4 => Self::End,
            5 => Self::Attribute(column()?),
            6 => Self::Field(column()?),
            7 => Self::Event,
            8 => Self::EventTime,
            9 => Self::EventEnd,
            10 => Self::Message(column()?),
            _ => return Err(Damage("a shape has an unknown step")),
        })
    }

    /// The column a step takes a value from.
    pub(super) fn column(self) -> Option<usize> {
        match self {
            Self::Attribute(column) | Self::Field(column) | Self::Message(column) => {
                Some(column as usize)
            }
            _ => None,
        }
    }
}

/// Reads a shape's steps.
pub(super) fn steps(shape: &[u8], n_columns: usize) -> Result<Vec<Step>, Damage> {
    let mut cursor = Cursor::new(shape);
    let mut steps = Vec::new();
    while !cursor.is_empty() {
        steps.push(Step::read(&mut cursor, n_columns)?);
    }
    Ok(steps)
}

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// A span's attributes of one key.
    SpanAttribute,
    /// An event's attributes of one key.
    EventAttribute,
    /// A span's fields of one number, whole; the key is empty.
    SpanField(u32),
    /// An event's fields of one number, whole; the key is empty.
    EventField(u32),
    /// Whole messages.
    Message,
}

impl Part {
    pub(super) fn put(self, to: &mut Vec<u8>) {
        let (code, number) = match self {
            Self::SpanAttribute => (0, 0),
            Self::EventAttribute => (1, 0),
            Self::SpanField(number) => (2, number),
            Self::EventField(number) => (3, number),
            Self::Message => (4, 0),
        };
        to.push(code);
        put_varint(to, u64::from(number));
    }

    pub(super) fn read(from: &mut Cursor<'_>) -> Result<Self, Damage> {
        let [code] = from.array()?;
        let number = u32::try_from(from.varint()?).map_err(|_| Damage("a column's field"))?;
        Ok(match code {
            0 => Self::SpanAttribute,
            1 => Self::EventAttribute,
            2 => Self::SpanField(number),
            3 => Self::EventField(number),
            4 => Self::Message,
            _ => return Err(Damage("a column of an unknown kind")),
        })
    }
}
