//! What a trace is: ids, time, spans and the forest they form, and the shapes traces travel in.
//!
//! Pure: no I/O, no clock, no async. Bytes from the wire become an [`wire::ExportRequest`]; the
//! stored bytes of one trace become a [`Trace`]; everything else in longpole works on that.

pub mod attribute;
pub mod formats;
pub mod id;
pub mod span;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod trace;
pub mod wire;

pub use attribute::{Attribute, AttributeValue, Attributes, Resource, Scope};
pub use id::{IdError, SpanId, TraceId};
pub use span::{Event, Link, Span, SpanKind, Status, StatusCode};
pub use time::UnixNanos;
pub use trace::{Attachment, Trace};
