//! Where the ID box leads: to the trace, or to a page that says what an ID looks like.

use axum::extract::State;
use axum::response::Redirect;
use longpole_proto::{IdError, TraceId};

use crate::error::UiError;
use crate::extract::Pairs;
use crate::site::Site;

/// Leads from an ID or `traceparent` to its trace's page.
pub(crate) async fn redirect(State(site): State<Site>, pairs: Pairs) -> Result<Redirect, UiError> {
    let pairs = pairs.only(&["id"])?;
    let id = pairs.last().map_or("", |(_, value)| value.trim());
    let trace_id = trace_id(id).map_err(|error| UiError::trace_id(id, error))?;
    Ok(Redirect::to(&site.urls().trace(trace_id)))
}

/// Reads a trace ID, or the one in a W3C `traceparent` (`00-<trace ID>-<span ID>-<flags>`).
fn trace_id(text: &str) -> Result<TraceId, IdError> {
    let mut parts = text.split('-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(version), Some(trace_id), Some(span_id), Some(flags))
            if version.len() == 2
                && trace_id.len() == 32
                && span_id.len() == 16
                && flags.len() == 2 =>
        {
            trace_id.parse()
        }
        _ => text.parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_any_case_and_traceparents_name_a_trace() {
        let long = "b7ad6b7169203331a1b2c3d4e5f60709";
        let cases = [
            (long, long),
            ("B7AD6B7169203331A1B2C3D4E5F60709", long),
            (
                "00-b7ad6b7169203331a1b2c3d4e5f60709-00f067aa0ba902b7-01",
                long,
            ),
            (
                "cc-b7ad6b7169203331a1b2c3d4e5f60709-00f067aa0ba902b7-01-more",
                long,
            ),
            ("00f067aa0ba902b7", "000000000000000000f067aa0ba902b7"),
        ];
        for (text, id) in cases {
            assert_eq!(
                trace_id(text).map(|id| id.to_string()),
                Ok(id.to_owned()),
                "{text}"
            );
        }
        for text in [
            "",
            "checkout",
            "00-xyz-00f067aa0ba902b7-01",
            "00000000000000000000000000000000",
        ] {
            assert!(trace_id(text).is_err(), "{text}");
        }
    }
}
