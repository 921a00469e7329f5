//! What OTLP's messages look like in JSON, and which protobuf field each name is.

/// A message: its fields by their names in JSON.
pub(super) struct Shape(&'static [(&'static str, u32, Kind)]);

/// What a field holds. In lists the kind is the element's.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// An id: hex digits of any case.
    Hex,
    /// Bytes in base64.
    Base64,
    /// `true` or `false`.
    Bool,
    /// A number from 0 to 2^32 - 1, as a varint.
    Uint32,
    /// The same, as four bytes.
    Fixed32,
    /// A number from 0 to 2^64 - 1, as eight bytes.
    Fixed64,
    /// A 64-bit number with a sign, as a varint.
    Int64,
    /// An enum's number; its name is not allowed.
    Enum,
    /// A floating-point number.
    Double,
    /// A message.
    Message(&'static Shape),
    /// A list of messages.
    List(&'static Shape),
    /// A message that, when it is bad, spoils the message it is in and nothing else.
    Guarded(&'static Shape),
    /// A list of messages of which bad ones are refused one by one.
    Spans(&'static Shape),
}

use Kind::{
    Base64, Bool, Double, Enum, Fixed32, Fixed64, Guarded, Hex, Int64, List, Message, Spans, Text,
    Uint32,
};

impl Shape {
    /// A field's number and kind; `None` when OTLP has no such name.
    pub(super) fn field(&self, name: &str) -> Option<(u32, Kind)> {
        let (_, number, kind) = self.0.iter().find(|(known, ..)| *known == name)?;
        Some((*number, *kind))
    }
}

/// `ExportTraceServiceRequest` and `TracesData`.
pub(super) static REQUEST: Shape = Shape(&[("resourceSpans", 1, List(&RESOURCE_SPANS))]);

static RESOURCE_SPANS: Shape = Shape(&[
    ("resource", 1, Guarded(&RESOURCE)),
    ("scopeSpans", 2, List(&SCOPE_SPANS)),
    ("schemaUrl", 3, Text),
]);

static RESOURCE: Shape = Shape(&[
    ("attributes", 1, List(&KEY_VALUE)),
    ("droppedAttributesCount", 2, Uint32),
]);

static SCOPE_SPANS: Shape = Shape(&[
    ("scope", 1, Guarded(&SCOPE)),
    ("spans", 2, Spans(&SPAN)),
    ("schemaUrl", 3, Text),
]);

static SCOPE: Shape = Shape(&[
    ("name", 1, Text),
    ("version", 2, Text),
    ("attributes", 3, List(&KEY_VALUE)),
    ("droppedAttributesCount", 4, Uint32),
]);

static SPAN: Shape = Shape(&[
    ("traceId", 1, Hex),
    ("spanId", 2, Hex),
    ("traceState", 3, Text),
    ("parentSpanId", 4, Hex),
    ("name", 5, Text),
    ("kind", 6, Enum),
    ("startTimeUnixNano", 7, Fixed64),
    ("endTimeUnixNano", 8, Fixed64),
    ("attributes", 9, List(&KEY_VALUE)),
    ("droppedAttributesCount", 10, Uint32),
    ("events", 11, List(&EVENT)),
    ("droppedEventsCount", 12, Uint32),
    ("links", 13, List(&LINK)),
    ("droppedLinksCount", 14, Uint32),
    ("status", 15, Message(&STATUS)),
    ("flags", 16, Fixed32),
]);

static EVENT: Shape = Shape(&[
    ("timeUnixNano", 1, Fixed64),
    ("name", 2, Text),
    ("attributes", 3, List(&KEY_VALUE)),
    ("droppedAttributesCount", 4, Uint32),
]);

static LINK: Shape = Shape(&[
    ("traceId", 1, Hex),
    ("spanId", 2, Hex),
    ("traceState", 3, Text),
    ("attributes", 4, List(&KEY_VALUE)),
    ("droppedAttributesCount", 5, Uint32),
    ("flags", 6, Fixed32),
]);

static STATUS: Shape = Shape(&[("message", 2, Text), ("code", 3, Enum)]);

static KEY_VALUE: Shape = Shape(&[("key", 1, Text), ("value", 2, Message(&ANY_VALUE))]);

static ANY_VALUE: Shape = Shape(&[
    ("stringValue", 1, Text),
    ("boolValue", 2, Bool),
    ("intValue", 3, Int64),
    ("doubleValue", 4, Double),
    ("arrayValue", 5, Message(&ARRAY_VALUE)),
    ("kvlistValue", 6, Message(&KEY_VALUE_LIST)),
    ("bytesValue", 7, Base64),
]);

static ARRAY_VALUE: Shape = Shape(&[("values", 1, List(&ANY_VALUE))]);

static KEY_VALUE_LIST: Shape = Shape(&[("values", 1, List(&KEY_VALUE))]);
