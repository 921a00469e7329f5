//! Templates: the spans of one operation nearly always have the same fields in the same order, so a
//! span is read along its predecessor's shape. Where it differs it is taken apart in full.

use longpole_proto::TraceId;

use super::bytes::put_varint;
use super::shape::{Part, Step};
use super::tokens::Token;

/// The longest list of steps that is worth a template.
const STEPS_MAX: usize = 64;

/// What is not a field.
const NO_TAG: (u32, u8, Option<&[u8]>) = (0, 0, None);

/// What to expect of a span: the shape of an earlier one.
#[derive(Debug)]
pub(super) struct Template {
    /// The shape's number.
    pub(super) shape: u32,
    steps: Vec<Expected>,
    /// The bytes that must stand between lengths and values, step by step.
    fixed: Vec<u8>,
}

#[derive(Debug)]
struct Expected {
    step: Step,
    wire_type: u8,
    /// How many bytes of a field's tag are next in `fixed`.
    tag_len: u8,
    /// How many bytes of an attribute's key are behind them.
    key_len: u8,
    /// The number of the last value in its column, as good a guess as any for the next.
    last: u32,
}

/// Where a step's value lies: from where to where in the message.
pub(super) type Place = (u32, u32);

impl Template {
    /// A template of a span that was taken apart, with the steps its tokens made; `None` when it is
    /// not of the kind that is worth one.
    pub(super) fn new(
        shape: u32,
        tokens: &[Token],
        steps: &[Step],
        message: &[u8],
    ) -> Option<Self> {
        if steps.len() > STEPS_MAX || tokens.len() != steps.len() {
            return None;
        }
        let mut template = Self {
            shape,
            steps: Vec::with_capacity(steps.len()),
            fixed: Vec::new(),
        };
        for (token, &step) in tokens.iter().zip(steps) {
            let (number, wire_type, key) = match token {
                Token::TraceId => (1, 2, None),
                Token::SpanId(_) => (2, 2, None),
                Token::ParentId(_) => (4, 2, None),
                Token::Start(_) => (7, 1, None),
                Token::End(_) => (8, 1, None),
                Token::Attribute { part, key, .. } => {
                    let number = if *part == Part::EventAttribute { 3 } else { 9 };
                    (number, 2, Some(&message[key.clone()]))
                }
                Token::Field { part, whole } => {
                    let (Part::SpanField(number) | Part::EventField(number)) = *part else {
                        return None;
                    };
                    (number, message[whole.start] & 7, None)
                }
                Token::Event => (11, 2, None),
                Token::EventTime(_) => (1, 1, None),
                Token::EventEnd => NO_TAG,
            };
            let start = template.fixed.len();
            if number > 0 {
                put_varint(
                    &mut template.fixed,
                    u64::from(number) << 3 | u64::from(wire_type),
                );
            }
            let tag_len = template.fixed.len() - start;
            let mut key_len = 0;
            if let Some(key) = key {
                let start = template.fixed.len();
                template.fixed.push(1 << 3 | 2);
                put_varint(&mut template.fixed, key.len() as u64);
                template.fixed.extend_from_slice(key);
                template.fixed.push(2 << 3 | 2);
                key_len = template.fixed.len() - start;
            }
            template.steps.push(Expected {
                step,
                wire_type,
                tag_len: u8::try_from(tag_len).ok()?,
                key_len: u8::try_from(key_len).ok()?,
                last: 0,
            });
        }
        Some(template)
    }

    /// The steps in order, each with the number of its last value.
    pub(super) fn steps(&mut self) -> impl Iterator<Item = (Step, &mut u32)> {
        self.steps
            .iter_mut()
            .map(|expected| (expected.step, &mut expected.last))
    }

    /// Reads a message that has this shape, and leaves where each step's value lies; `None` when it
    /// has another.
    pub(super) fn read(
        &self,
        trace_id: TraceId,
        message: &[u8],
        places: &mut Vec<Place>,
    ) -> Option<()> {
        places.clear();
        let mut scan = Scan { message, at: 0 };
        let mut fixed = self.fixed.as_slice();
        let mut event_end = 0;
        for expected in &self.steps {
            let start = scan.at;
            let (tag, rest) = fixed.split_at_checked(usize::from(expected.tag_len))?;
            let (key, rest) = rest.split_at_checked(usize::from(expected.key_len))?;
            fixed = rest;
            scan.expect(tag)?;
            let value = match expected.step {
                Step::TraceId => {
                    scan.expect(&[16])?;
                    scan.expect(trace_id.as_bytes())?;
                    scan.at
                }
                Step::SpanId | Step::ParentId => {
                    scan.expect(&[8])?;
                    scan.skip(8)?
                }
                Step::Start | Step::End | Step::EventTime => scan.skip(8)?,
                Step::Event => {
                    let len = scan.len()?;
                    event_end = scan.at + len;
                    scan.at
                }
                // What reached over it ended elsewhere.
                Step::EventEnd if scan.at == event_end => scan.at,
                Step::Attribute(_) => {
                    let len = scan.len()?;
                    let end = scan.at + len;
                    scan.expect(key)?;
                    let len = scan.len()?;
                    let value = scan.skip(len)?;
                    if scan.at != end {
                        return None;
                    }
                    value
                }
                Step::Field(_) => {
                    match expected.wire_type {
                        0 => drop(scan.varint()?),
                        1 => drop(scan.skip(8)?),
                        2 => {
                            let len = scan.len()?;
                            scan.skip(len)?;
                        }
                        5 => drop(scan.skip(4)?),
                        _ => return None,
                    }
                    start
                }
                Step::EventEnd | Step::Message(_) => return None,
            };
            places.push((u32::try_from(value).ok()?, u32::try_from(scan.at).ok()?));
        }
        (scan.at == message.len()).then_some(())
    }
}

/// Reads front to back what encoders in use write.
struct Scan<'a> {
    message: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    #[inline]
    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        let found = self.message.get(self.at..)?.get(..bytes.len())?;
        // Most are a byte or two: no call for those.
        let is_same = match (found, bytes) {
            ([found], [byte]) => found == byte,
            _ => found == bytes,
        };
        self.at += bytes.len();
        is_same.then_some(())
    }

    /// Steps over so many bytes; says where they begin.
    #[inline]
    fn skip(&mut self, len: usize) -> Option<usize> {
        let start = self.at;
        self.at = start.checked_add(len)?;
        (self.at <= self.message.len()).then_some(start)
    }

    /// A number that takes no more bytes than it must, and no more than 4.
    #[inline]
    fn varint(&mut self) -> Option<u32> {
        let rest = self.message.get(self.at..)?;
        let &[first, ..] = rest else { return None };
        if first < 0x80 {
            self.at += 1;
            return Some(u32::from(first));
        }
        let &[_, second, ..] = rest else { return None };
        if second < 0x80 {
            self.at += 2;
            return (second > 0).then_some(u32::from(first & 0x7f) | u32::from(second) << 7);
        }
        let mut value = 0;
        for (n, &byte) in rest.iter().take(4).enumerate() {
            value |= u32::from(byte & 0x7f) << (7 * n);
            if byte < 0x80 {
                self.at += n + 1;
                return (byte > 0).then_some(value);
            }
        }
        None
    }

    #[inline]
    fn len(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }
}
