//! Trace IDs as Jaeger takes them.

use axum::extract::FromRequestParts;
use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::request::Parts;
use longpole_proto::{IdError, TraceId};

use crate::error::UiError;
use crate::extract::path_text;

/// The route's `{trace_id}`: 1 to 32 hex digits, padded on the left, for old Jaeger clients drop leading
/// zeros and send 64 bits; or base64 of 16 or 8 bytes, as protobuf's JSON has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct JaegerIdPath(pub(super) TraceId);

impl<S: Send + Sync> FromRequestParts<S> for JaegerIdPath {
    type Rejection = UiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, UiError> {
        parse(&path_text(parts, state, "trace_id").await).map(Self)
    }
}

/// Reads a trace ID of any of Jaeger's forms.
pub(super) fn parse(text: &str) -> Result<TraceId, UiError> {
    const DIGITS: usize = TraceId::LEN * 2;
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parsed = if is_hex && text.len() <= DIGITS {
        format!("{text:0>DIGITS$}").parse()
    } else {
        text.parse().or_else(|error| from_base64(text).ok_or(error))
    };
    parsed.map_err(|error: IdError| UiError::trace_id(text, error))
}

fn from_base64(text: &str) -> Option<TraceId> {
    // 16 bytes with padding.
    if text.len() > 24 {
        return None;
    }
    let decode = |alphabet: &Alphabet| {
        let any_padding =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        GeneralPurpose::new(alphabet, any_padding).decode(text).ok()
    };
    let bytes = decode(&STANDARD).or_else(|| decode(&URL_SAFE))?;
    let mut id = [0; TraceId::LEN];
    match bytes.len() {
        16 => id.copy_from_slice(&bytes),
        8 => id[8..].copy_from_slice(&bytes),
        _ => return None,
    }
    TraceId::new(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_all_forms_of_jaegers() {
        let long = "b7ad6b7169203331a1b2c3d4e5f60709";
        let cases = [
            (long, long),
            ("B7AD6B7169203331A1B2C3D4E5F60709", long),
            ("t61rcWkgMzGhssPU5fYHCQ==", long),
            ("t61rcWkgMzGhssPU5fYHCQ", long),
            ("00f067aa0ba902b7", "000000000000000000f067aa0ba902b7"),
            ("f067aa0ba902b7", "000000000000000000f067aa0ba902b7"),
            ("1", "00000000000000000000000000000001"),
            ("_____________________w", "ffffffffffffffffffffffffffffffff"),
            ("//////////8=", "0000000000000000ffffffffffffffff"),
        ];
        for (text, id) in cases {
            let parsed = parse(text).map(|id| id.to_string());
            assert_eq!(parsed.ok().as_deref(), Some(id), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "0",
            "xyz",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "b7ad6b7169203331a1b2c3d4e5f607090",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
