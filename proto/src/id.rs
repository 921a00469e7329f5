//! Trace and span ids, as [W3C Trace Context] has them: 16 and 8 bytes, never all zero.
//!
//! [W3C Trace Context]: https://www.w3.org/TR/trace-context/#traceparent-header-field-values

use std::fmt;
use std::str::FromStr;

/// Why some bytes or text are not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The id has the wrong number of bytes (or hex digits).
    #[error("id has {found} {unit}, not {expected}")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
        /// What was counted: `bytes` or `hex digits`.
        unit: &'static str,
    },
    /// The text holds something that is no hex digit.
    #[error("id holds a character that is not a hex digit")]
    NotHex,
    /// All bytes are zero, which OpenTelemetry reserves for "no id".
    #[error("id is all zero")]
    Zero,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// How many bytes an id has.
            pub const LEN: usize = $len;

            /// Makes an id of its bytes; `None` when all are zero.
            pub fn new(bytes: [u8; $len]) -> Option<Self> {
                (bytes != [0; $len]).then_some(Self(bytes))
            }

            /// Makes an id of bytes off the wire.
            ///
            /// # Errors
            /// When there are more or fewer bytes than an id has, or all are zero.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                let array = <[u8; $len]>::try_from(bytes).map_err(|_| IdError::Length {
                    found: bytes.len(),
                    expected: $len,
                    unit: "bytes",
                })?;
                Self::new(array).ok_or(IdError::Zero)
            }

            /// The id's bytes, big-endian as in its hex form.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The id's bytes.
            pub const fn to_bytes(self) -> [u8; $len] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0_u8; $len * 2];
                for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
                    pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
                    pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
                }
                f.pad(std::str::from_utf8(&text).expect("hex digits are ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(
    /// A trace's 16-byte id; its hex form has 32 lower-case digits.
    TraceId,
    16
);
id_type!(
    /// A span's 8-byte id; its hex form has 16 lower-case digits.
    SpanId,
    8
);

impl FromStr for TraceId {
    type Err = IdError;

    /// Reads 32 hex digits of any case; 16 are a 64-bit Jaeger or Zipkin id, padded on the left.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 16];
        match text.len() {
            16 => hex_into(text, &mut bytes[8..])?,
            _ => hex_into(text, &mut bytes)?,
        }
        Self::new(bytes).ok_or(IdError::Zero)
    }
}

impl FromStr for SpanId {
    type Err = IdError;

    /// Reads 16 hex digits of any case.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 8];
        hex_into(text, &mut bytes)?;
        Self::new(bytes).ok_or(IdError::Zero)
    }
}

/// Reads exactly as many hex digits as fill `bytes`.
fn hex_into(text: &str, bytes: &mut [u8]) -> Result<(), IdError> {
    let digits = text.as_bytes();
    if digits.len() != bytes.len() * 2 {
        return Err(IdError::Length {
            found: digits.len(),
            expected: bytes.len() * 2,
            unit: "hex digits",
        });
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Ok(())
}

fn hex_digit(digit: u8) -> Result<u8, IdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(IdError::NotHex),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_of_any_case_reads_back_as_lower_case() {
        let id: TraceId = "B7AD6B7169203331a1b2c3d4e5f60709"
            .parse()
            .expect("a trace ID");
        assert_eq!(id.to_string(), "b7ad6b7169203331a1b2c3d4e5f60709");
    }

    #[test]
    fn sixteen_digits_are_a_trace_id_padded_on_the_left() {
        let id: TraceId = "00f067aa0ba902b7".parse().expect("a trace ID");
        assert_eq!(id.to_string(), "000000000000000000f067aa0ba902b7");
    }

    #[test]
    fn what_is_no_id_says_why() {
        let cases: [(&str, IdError); 3] = [
            ("00000000000000000000000000000000", IdError::Zero),
            ("xyad6b7169203331a1b2c3d4e5f60709", IdError::NotHex),
            (
                "b7",
                IdError::Length {
                    found: 2,
                    expected: 32,
                    unit: "hex digits",
                },
            ),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<TraceId>(), Err(error), "{text}");
        }
        assert_eq!(SpanId::from_slice(&[0; 8]), Err(IdError::Zero));
        assert!(matches!(
            SpanId::from_slice(&[1; 7]),
            Err(IdError::Length { found: 7, .. })
        ));
    }
}
