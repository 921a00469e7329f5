//! Attributes, and the two things that carry them for many spans at once: resource and scope.

/// An attribute's value ([AnyValue]).
///
/// [AnyValue]: https://opentelemetry.io/docs/specs/otel/common/#anyvalue
#[derive(Debug, Clone, PartialEq, Default)]
pub enum AttributeValue {
    /// No value was set.
    #[default]
    Empty,
    /// Text; what was not UTF-8 on the wire holds replacement characters.
    String(String),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number, NaN and infinities included.
    Double(f64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list of values.
    Array(Vec<AttributeValue>),
    /// Named values.
    Map(Attributes),
}

impl AttributeValue {
    /// The text, when the value is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<i64> for AttributeValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for AttributeValue {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attribute {
    /// The name, such as `http.route`.
    pub key: String,
    /// The value.
    pub value: AttributeValue,
}

/// Attributes in the order they were sent; a name that occurs twice keeps both.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes(pub Vec<Attribute>);

impl Attributes {
    /// The first value under `key`.
    pub fn get(&self, key: &str) -> Option<&AttributeValue> {
        self.0
            .iter()
            .find(|attribute| attribute.key == key)
            .map(|attribute| &attribute.value)
    }

    /// The first value under `key`, when it is text that is not empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)
            .and_then(AttributeValue::as_str)
            .filter(|text| !text.is_empty())
    }

    /// The first non-empty text under any of `keys`, which are tried in order (new name, then old).
    pub fn text_of_any(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.text(key))
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes in the order they were sent.
    pub fn iter(&self) -> std::slice::Iter<'_, Attribute> {
        self.0.iter()
    }

    /// Appends an attribute.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<AttributeValue>) {
        self.0.push(Attribute {
            key: key.into(),
            value: value.into(),
        });
    }
}

impl<'a> IntoIterator for &'a Attributes {
    type Item = &'a Attribute;
    type IntoIter = std::slice::Iter<'a, Attribute>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// What sent the spans: a process, a container, a device ([Resource]).
///
/// [Resource]: https://opentelemetry.io/docs/specs/otel/resource/data-model/
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource {
    /// `service.name`, `service.instance.id`, `host.name` and the like.
    pub attributes: Attributes,
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
    /// The schema its attribute names follow; empty when not said.
    pub schema_url: String,
}

/// What a resource without `service.name` is called, as the OpenTelemetry SDKs call it.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

impl Resource {
    /// The service's name; [`UNKNOWN_SERVICE`] when the resource does not say one.
    pub fn service_name(&self) -> &str {
        self.attributes
            .text("service.name")
            .unwrap_or(UNKNOWN_SERVICE)
    }
}

/// The instrumentation library that made the spans ([Instrumentation scope]).
///
/// [Instrumentation scope]: https://opentelemetry.io/docs/specs/otel/common/instrumentation-scope/
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// Its name; empty when not said.
    pub name: String,
    /// Its version; empty when not said.
    pub version: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
    /// The schema its spans' attribute names follow; empty when not said.
    pub schema_url: String,
}
