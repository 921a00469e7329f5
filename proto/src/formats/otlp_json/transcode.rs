//! JSON to protobuf in one walk along a [`Shape`]: nothing is built but the bytes to be stored.
//!
//! A span, resource or scope is first cut out as text, so that an error in it does not end the
//! walk. `serde_json` bounds the nesting.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::encoding::{WireType, encode_key, encode_varint};
use serde::de::{
    DeserializeSeed, Deserializer as _, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde_json::value::RawValue;

use super::shape::{Kind, Shape};

/// Writes a JSON object as a protobuf message. Also says how many spans were malformed; they are
/// left out.
pub(super) fn to_protobuf(
    json: &[u8],
    shape: &'static Shape,
) -> serde_json::Result<(Vec<u8>, u64)> {
    let mut walk = Walk::default();
    let mut message = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(json);
    json.deserialize_map(Fields {
        shape,
        walk: &mut walk,
        to: &mut message,
    })?;
    json.end()?;
    Ok((message, walk.n_malformed))
}

/// What is known beside the bytes written.
#[derive(Default)]
struct Walk {
    /// The spans met, malformed or not.
    n_spans: u64,
    /// Those left out.
    n_malformed: u64,
    /// Whether the innermost message with a guarded field has a bad one.
    spoilt: bool,
}

impl Walk {
    /// Writes a message that was cut out as text to `to`, without tag and length. When it is bad,
    /// nothing is changed.
    fn cut_out(
        &mut self,
        json: &RawValue,
        shape: &'static Shape,
        to: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let (start, spoilt) = (to.len(), self.spoilt);
        let mut json = serde_json::Deserializer::from_str(json.get());
        let written = json.deserialize_map(Fields {
            shape,
            walk: self,
            to,
        });
        self.spoilt = spoilt;
        if written.is_err() {
            to.truncate(start);
        }
        written
    }
}

/// Reads the fields of an object and writes them to `to`.
struct Fields<'a> {
    shape: &'static Shape,
    walk: &'a mut Walk,
    to: &'a mut Vec<u8>,
}

impl Fields<'_> {
    fn guarded(&mut self, number: u32, shape: &'static Shape, json: &RawValue) {
        let mut message = Vec::new();
        match self.walk.cut_out(json, shape, &mut message) {
            Ok(()) => write_delimited(number, &message, self.to),
            Err(_) => self.walk.spoilt = true,
        }
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (start, n_spans, n_malformed) =
            (self.to.len(), self.walk.n_spans, self.walk.n_malformed);
        let outer_spoilt = std::mem::take(&mut self.walk.spoilt);
        while let Some(Name(name)) = map.next_key()? {
            match self.shape.field(&name) {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some((number, Kind::Guarded(shape))) => {
                    if let Some(json) = map.next_value::<Option<&RawValue>>()? {
                        self.guarded(number, shape, json);
                    }
                }
                Some((number, kind)) => {
                    map.next_value_seed(Field {
                        number,
                        kind,
                        walk: self.walk,
                        to: self.to,
                    })?;
                }
            }
        }
        if self.walk.spoilt {
            self.to.truncate(start);
            self.walk.n_malformed = n_malformed + (self.walk.n_spans - n_spans);
        }
        self.walk.spoilt = outer_spoilt;
        Ok(())
    }
}

/// A field's name, borrowed unless it has escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyName;
        impl<'de> Visitor<'de> for AnyName {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        from.deserialize_str(AnyName)
    }
}

/// Reads one value and writes it as a field, tag included; `null` writes nothing.
struct Field<'a> {
    number: u32,
    kind: Kind,
    walk: &'a mut Walk,
    to: &'a mut Vec<u8>,
}

impl Field<'_> {
    fn integer<E: Error>(self, number: i128, unexpected: Unexpected<'_>) -> Result<(), E> {
        let range = match self.kind {
            Kind::Uint32 | Kind::Fixed32 => 0..=i128::from(u32::MAX),
            Kind::Fixed64 => 0..=i128::from(u64::MAX),
            Kind::Int64 => i128::from(i64::MIN)..=i128::from(i64::MAX),
            Kind::Enum => i128::from(i32::MIN)..=i128::from(i32::MAX),
            _ => return Err(E::invalid_type(unexpected, &self)),
        };
        if !range.contains(&number) {
            return Err(E::invalid_value(unexpected, &self));
        }
        let bytes = number.to_le_bytes();
        let low = u64::from_le_bytes(*bytes.first_chunk().expect("16 bytes have 8"));
        match self.kind {
            Kind::Fixed32 => {
                encode_key(self.number, WireType::ThirtyTwoBit, self.to);
                self.to.extend_from_slice(&bytes[..4]);
            }
            Kind::Fixed64 => {
                encode_key(self.number, WireType::SixtyFourBit, self.to);
                self.to.extend_from_slice(&bytes[..8]);
            }
            _ => {
                encode_key(self.number, WireType::Varint, self.to);
                encode_varint(low, self.to);
            }
        }
        Ok(())
    }

    fn double(self, number: f64) {
        encode_key(self.number, WireType::SixtyFourBit, self.to);
        self.to.extend_from_slice(&number.to_le_bytes());
    }
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Text => "text",
            Kind::Hex => "hex digits",
            Kind::Base64 => "base64",
            Kind::Bool => "true or false",
            Kind::Uint32 | Kind::Fixed32 => "a number from 0 to 2^32 - 1",
            Kind::Fixed64 => "a number from 0 to 2^64 - 1",
            Kind::Int64 => "a number from -2^63 to 2^63 - 1",
            Kind::Enum => "the number of an enum's value",
            Kind::Double => "a number",
            Kind::Message(_) | Kind::Guarded(_) => "an object",
            Kind::List(_) | Kind::Spans(_) => "a list",
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        match self.kind {
            Kind::Bool => {
                encode_key(self.number, WireType::Varint, self.to);
                self.to.push(u8::from(truth));
                Ok(())
            }
            _ => Err(E::invalid_type(Unexpected::Bool(truth), &self)),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a double is what the field holds"
    )]
    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        match self.kind {
            Kind::Double => {
                self.double(number as f64);
                Ok(())
            }
            _ => self.integer(number.into(), Unexpected::Unsigned(number)),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a double is what the field holds"
    )]
    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        match self.kind {
            Kind::Double => {
                self.double(number as f64);
                Ok(())
            }
            _ => self.integer(number.into(), Unexpected::Signed(number)),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole, and the cast saturates beyond all ranges"
    )]
    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match self.kind {
            Kind::Double => {
                self.double(number);
                Ok(())
            }
            // A JSON writer may choose 1.5e9 for a whole number.
            _ if number.fract() == 0.0 => self.integer(number as i128, Unexpected::Float(number)),
            _ => Err(E::invalid_type(Unexpected::Float(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let unexpected = Unexpected::Str(text);
        match self.kind {
            Kind::Text => write_delimited(self.number, text.as_bytes(), self.to),
            Kind::Hex => write_delimited(self.number, &id_bytes(text), self.to),
            Kind::Base64 => match from_base64(text) {
                Some(bytes) => write_delimited(self.number, &bytes, self.to),
                None => return Err(E::invalid_value(unexpected, &self)),
            },
            Kind::Uint32 | Kind::Fixed32 | Kind::Fixed64 | Kind::Int64 => match text.parse() {
                Ok(number) => return self.integer(number, unexpected),
                Err(_) => return Err(E::invalid_value(unexpected, &self)),
            },
            // Rust's own names for what JSON cannot write include all of protobuf's.
            Kind::Double => match text.parse() {
                Ok(number) => self.double(number),
                Err(_) => return Err(E::invalid_value(unexpected, &self)),
            },
            _ => return Err(E::invalid_type(unexpected, &self)),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Kind::Message(shape) = self.kind else {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        };
        let mut message = Vec::new();
        Fields {
            shape,
            walk: self.walk,
            to: &mut message,
        }
        .visit_map(map)?;
        write_delimited(self.number, &message, self.to);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        match self.kind {
            Kind::List(shape) => loop {
                let kind = Kind::Message(shape);
                let element = Field {
                    number: self.number,
                    kind,
                    walk: self.walk,
                    to: self.to,
                };
                if list.next_element_seed(element)?.is_none() {
                    return Ok(());
                }
            },
            Kind::Spans(shape) => {
                let mut span = Vec::new();
                while let Some(json) = list.next_element::<Option<&RawValue>>()? {
                    let Some(json) = json else { continue };
                    self.walk.n_spans += 1;
                    span.clear();
                    match self.walk.cut_out(json, shape, &mut span) {
                        Ok(()) => write_delimited(self.number, &span, self.to),
                        Err(_) => self.walk.n_malformed += 1,
                    }
                }
                Ok(())
            }
            _ => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }
}

fn write_delimited(number: u32, content: &[u8], to: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, to);
    encode_varint(content.len() as u64, to);
    to.extend_from_slice(content);
}

/// An id's bytes. Text that is no hex becomes a single byte: no id has one, so that whoever checks
/// the length of ids refuses it for the right reason.
fn id_bytes(text: &str) -> Vec<u8> {
    let digit = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect();
    bytes.filter(|_| rest.is_empty()).unwrap_or_else(|| vec![0])
}

/// Both alphabets are allowed, padded or not, as protobuf's JSON says.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    engine.decode(text).ok()
}
