//! Protobuf's framing: one field after another, every length checked before it is believed.

use std::ops::Range;

use prost::encoding::encoded_len_varint;

use super::WireError;

/// How deep groups may be nested, as in prost.
const GROUP_DEPTH_MAX: usize = 100;

/// The fields of one message; ends after the first error.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    /// The outermost message, so that positions are the caller's.
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

/// One field of a message.
#[derive(Debug)]
pub struct Field<'a> {
    /// Its number; never 0.
    pub number: u32,
    /// Where it lies, tag and length included.
    pub whole: Range<usize>,
    value: Value,
    bytes: &'a [u8],
}

#[derive(Debug)]
enum Value {
    Varint(u64),
    Fixed64(u64),
    Len(Range<usize>),
    Group,
    Fixed32(u32),
}

impl<'a> Reader<'a> {
    /// Reads a whole message.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            end: bytes.len(),
        }
    }

    /// Reads the message that lies in `bytes` at `message`.
    pub fn within(bytes: &'a [u8], message: Range<usize>) -> Self {
        Self {
            bytes,
            at: message.start,
            end: message.end,
        }
    }

    #[inline]
    fn field(&mut self) -> Result<Field<'a>, WireError> {
        let start = self.at;
        let (number, wire_type) = self.tag()?;
        let value = match wire_type {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => Value::Len(self.len_delimited()?),
            3 => {
                self.skip_group(start, number)?;
                Value::Group
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => {
                return Err(WireError::Group {
                    at: start,
                    field: number,
                });
            }
        };
        Ok(Field {
            number,
            whole: start..self.at,
            value,
            bytes: self.bytes,
        })
    }

    /// A field's number and wire type; the type is one of 0 to 5.
    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let at = self.at;
        let tag = self.varint()?;
        let wire_type = (tag & 7) as u8;
        match u32::try_from(tag) {
            Ok(short) if short >> 3 != 0 && wire_type <= 5 => Ok((short >> 3, wire_type)),
            _ => Err(WireError::Tag { at, tag }),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        // Most tags and lengths are one byte.
        if let Some(&byte) = self.bytes[..self.end].get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            return Ok(u64::from(byte));
        }
        self.long_varint()
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, WireError> {
        let rest = &self.bytes[self.at..self.end];
        let mut value = 0_u64;
        for (n, &byte) in rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * n);
            if byte < 0x80 {
                if n == 9 && byte > 1 {
                    break;
                }
                self.at += n + 1;
                return Ok(value);
            }
        }
        if rest.len() < 10 {
            return Err(WireError::Truncated { at: self.at });
        }
        Err(WireError::Varint { at: self.at })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let array = self.bytes[self.at..self.end]
            .first_chunk()
            .ok_or(WireError::Truncated { at: self.at })?;
        self.at += N;
        Ok(*array)
    }

    #[inline]
    fn len_delimited(&mut self) -> Result<Range<usize>, WireError> {
        let at = self.at;
        let len = self.varint()?;
        match usize::try_from(len) {
            Ok(len) if len <= self.end - self.at => {
                let start = self.at;
                self.at += len;
                Ok(start..self.at)
            }
            _ => Err(WireError::Truncated { at }),
        }
    }

    /// Skips to behind the end of the group that began at `at`.
    #[cold]
    fn skip_group(&mut self, at: usize, number: u32) -> Result<(), WireError> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            let start = self.at;
            let (number, wire_type) = self.tag()?;
            match wire_type {
                0 => {
                    self.varint()?;
                }
                1 => {
                    self.array::<8>()?;
                }
                2 => {
                    self.len_delimited()?;
                }
                3 if open.len() < GROUP_DEPTH_MAX => open.push(number),
                3 => return Err(WireError::Group { at, field: number }),
                4 if number == innermost => {
                    open.pop();
                }
                4 => {
                    return Err(WireError::Group {
                        at: start,
                        field: number,
                    });
                }
                _ => {
                    self.array::<4>()?;
                }
            }
        }
        Ok(())
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Field<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.end;
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    /// Where the bytes, text or message of a length-delimited field lie.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn range(&self) -> Result<Range<usize>, WireError> {
        match &self.value {
            Value::Len(range) => Ok(range.clone()),
            _ => Err(self.mismatch(2)),
        }
    }

    /// The bytes, text or message of a length-delimited field.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn bytes(&self) -> Result<&'a [u8], WireError> {
        Ok(&self.bytes[self.range()?])
    }

    /// The fields of a message.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn message(&self) -> Result<Reader<'a>, WireError> {
        Ok(Reader::within(self.bytes, self.range()?))
    }

    /// A varint.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn varint(&self) -> Result<u64, WireError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.mismatch(0)),
        }
    }

    /// A varint read as protobuf reads 32-bit numbers and enums: the bits above are dropped.
    ///
    /// # Errors
    /// When the field has another wire type.
    #[expect(clippy::cast_possible_truncation, reason = "protobuf says so")]
    pub fn uint32(&self) -> Result<u32, WireError> {
        self.varint().map(|value| value as u32)
    }

    /// An enum's number.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn enumeration(&self) -> Result<i32, WireError> {
        self.uint32().map(u32::cast_signed)
    }

    /// A fixed 64-bit number.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn fixed64(&self) -> Result<u64, WireError> {
        match self.value {
            Value::Fixed64(value) => Ok(value),
            _ => Err(self.mismatch(1)),
        }
    }

    /// A fixed 32-bit number.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn fixed32(&self) -> Result<u32, WireError> {
        match self.value {
            Value::Fixed32(value) => Ok(value),
            _ => Err(self.mismatch(5)),
        }
    }

    /// Whether tag, length and number take no more bytes than they must, as every encoder in use
    /// writes them: then the field can be written again from its number and value.
    pub fn is_minimal(&self) -> bool {
        let tag = encoded_len_varint(u64::from(self.number) << 3);
        let rest = match &self.value {
            Value::Varint(value) => encoded_len_varint(*value),
            Value::Fixed64(_) => 8,
            Value::Len(range) => encoded_len_varint(range.len() as u64) + range.len(),
            Value::Group => return false,
            Value::Fixed32(_) => 4,
        };
        self.whole.len() == tag + rest
    }

    fn mismatch(&self, expected: u8) -> WireError {
        let found = match self.value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Len(_) => 2,
            Value::Group => 3,
            Value::Fixed32(_) => 5,
        };
        WireError::WireType {
            at: self.whole.start,
            field: self.number,
            found,
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_error(bytes: &[u8]) -> Option<WireError> {
        Reader::new(bytes).find_map(Result::err)
    }

    #[test]
    fn every_wire_type_is_read() {
        let bytes = [
            0x08, 0xac, 0x02, // 1: varint 300
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // 2: fixed64 1
            0x1a, 2, b'h', b'i', // 3: "hi"
            0x23, 0x08, 1, 0x24, // 4: group
            0x2d, 2, 0, 0, 0, // 5: fixed32 2
        ];
        let fields: Vec<_> = Reader::new(&bytes)
            .map(|field| field.expect("a field"))
            .collect();
        assert_eq!(fields[0].varint(), Ok(300));
        assert_eq!(fields[1].fixed64(), Ok(1));
        assert_eq!(fields[2].bytes(), Ok(&b"hi"[..]));
        assert_eq!(fields[3].whole, 16..20);
        assert_eq!(fields[4].fixed32(), Ok(2));
        assert_eq!(
            fields[3].varint(),
            Err(WireError::WireType {
                at: 16,
                field: 4,
                found: 3,
                expected: 0
            })
        );
    }

    #[test]
    fn broken_framing_says_where() {
        let cases: [(&[u8], WireError); 10] = [
            (&[0x0a, 5, 1], WireError::Truncated { at: 1 }),
            (&[0x08, 1, 0x08, 0x80], WireError::Truncated { at: 3 }),
            (&[0x09, 1, 2, 3], WireError::Truncated { at: 1 }),
            (&[0x0b, 0x08], WireError::Truncated { at: 2 }),
            (
                &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
                WireError::Varint { at: 1 },
            ),
            (
                &[0x08, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0],
                WireError::Varint { at: 1 },
            ),
            (&[0x02, 0], WireError::Tag { at: 0, tag: 2 }),
            (&[0x0e], WireError::Tag { at: 0, tag: 14 }),
            (&[0x0c], WireError::Group { at: 0, field: 1 }),
            (&[0x0b, 0x14], WireError::Group { at: 1, field: 2 }),
        ];
        for (bytes, error) in cases {
            assert_eq!(first_error(bytes), Some(error), "{bytes:?}");
        }
    }

    #[test]
    fn a_length_beyond_all_memory_is_cut_off() {
        let bytes = [0x0a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert_eq!(first_error(&bytes), Some(WireError::Truncated { at: 1 }));
    }

    #[test]
    fn groups_are_nested_to_a_limit() {
        let nested = |n| [vec![0x0b_u8; n], vec![0x0c_u8; n]].concat();
        assert_eq!(first_error(&nested(GROUP_DEPTH_MAX)), None);
        assert_eq!(
            first_error(&nested(GROUP_DEPTH_MAX + 1)),
            Some(WireError::Group { at: 0, field: 1 })
        );
        assert!(first_error(&vec![0x0b; 1_000_000]).is_some());
    }
}
