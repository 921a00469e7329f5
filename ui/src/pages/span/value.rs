//! An attribute's value on a page: cut when long, linked when it is a web address, escaped always.

use std::fmt::Write as _;

use longpole_proto::AttributeValue;

use crate::format::Count;

/// How many bytes of a value are shown at first.
const SHORT_BYTES: usize = 2 * 1024;
/// How many are shown on demand; beyond that there is the JSON.
const FULL_BYTES: usize = 64 * 1024;
/// How long a web address may be to be linked.
const URL_BYTES_MAX: usize = 2 * 1024;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueView {
    /// All of it, or its beginning.
    pub(crate) short: String,
    /// All of it when `short` is not, cut where even that is too long.
    pub(crate) full: Option<String>,
    /// How many bytes there are, when not even `full` has them all.
    pub(crate) n_bytes: Option<Count>,
    /// Where it leads, when it is an http or https address.
    pub(crate) href: Option<String>,
}

impl ValueView {
    pub(crate) fn of(value: &AttributeValue) -> Self {
        match value {
            AttributeValue::String(text) => Self::text(text),
            value => {
                let mut text = String::new();
                write_value(&mut text, value);
                Self {
                    href: None,
                    ..Self::text(&text)
                }
            }
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        let is_long = text.len() > SHORT_BYTES;
        Self {
            short: if is_long {
                format!("{}…", prefix(text, SHORT_BYTES))
            } else {
                text.to_owned()
            },
            full: is_long.then(|| prefix(text, FULL_BYTES).to_owned()),
            n_bytes: (text.len() > FULL_BYTES).then(|| text.len().into()),
            href: is_web_address(text).then(|| text.to_owned()),
        }
    }
}

/// The longest beginning of at most `n_bytes` that is whole characters.
fn prefix(text: &str, n_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(n_bytes)]
}

fn is_web_address(text: &str) -> bool {
    let has_scheme = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    text.len() <= URL_BYTES_MAX
        && (has_scheme("http://") || has_scheme("https://"))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Writes a value as JSON has it, more or less; stops when there is more than is ever shown.
/// Values lie in one another no deeper than the decoder lets them.
fn write_value(text: &mut String, value: &AttributeValue) {
    if text.len() > FULL_BYTES {
        return;
    }
    let written = match value {
        AttributeValue::Empty => write!(text, "(empty)"),
        AttributeValue::String(string) => write!(text, "{:?}", prefix(string, FULL_BYTES)),
        AttributeValue::Bool(truth) => write!(text, "{truth}"),
        AttributeValue::Int(number) => write!(text, "{number}"),
        AttributeValue::Double(number) => write!(text, "{number}"),
        AttributeValue::Bytes(bytes) => {
            text.push_str("0x");
            bytes
                .iter()
                .take(FULL_BYTES / 2)
                .try_for_each(|byte| write!(text, "{byte:02x}"))
        }
        AttributeValue::Array(values) => {
            write_list(text, ['[', ']'], values, write_value);
            Ok(())
        }
        AttributeValue::Map(attributes) => {
            write_list(text, ['{', '}'], &attributes.0, |text, attribute| {
                text.push_str(prefix(&attribute.key, SHORT_BYTES));
                text.push_str(": ");
                write_value(text, &attribute.value);
            });
            Ok(())
        }
    };
    written.expect("writing to a string cannot fail");
}

fn write_list<T>(
    text: &mut String,
    [open, close]: [char; 2],
    items: &[T],
    write: impl Fn(&mut String, &T),
) {
    text.push(open);
    for (at, item) in items.iter().enumerate() {
        if text.len() > FULL_BYTES {
            break;
        }
        if at > 0 {
            text.push_str(", ");
        }
        write(text, item);
    }
    text.push(close);
}

#[cfg(test)]
mod tests {
    use longpole_proto::{Attribute, Attributes};

    use super::*;

    #[test]
    fn only_web_addresses_are_linked() {
        for text in ["https://example.test/a?b=1", "HTTP://example.test"] {
            assert_eq!(ValueView::of(&text.into()).href.as_deref(), Some(text));
        }
        let long = format!("https://example.test/{}", "a".repeat(4_000));
        for text in [
            "javascript:alert(1)",
            "data:text/html,x",
            "httpx://a",
            "http",
            "https://a b",
            "//a",
            "é",
            &long,
        ] {
            assert_eq!(ValueView::of(&text.into()).href, None, "{text}");
        }
    }

    #[test]
    fn long_values_are_cut_twice() {
        let middling = ValueView::text(&"é".repeat(2_000));
        assert_eq!(middling.short.len(), SHORT_BYTES + "…".len());
        assert_eq!(middling.full.as_ref().map(String::len), Some(4_000));
        assert_eq!(middling.n_bytes, None);
        let huge = ValueView::text(&"a".repeat(1_000_000));
        assert_eq!(huge.full.as_ref().map(String::len), Some(FULL_BYTES));
        assert_eq!(huge.n_bytes, Some(Count(1_000_000)));
        let list = AttributeValue::Array(vec!["x".repeat(1_000).as_str().into(); 1_000]);
        assert!(
            ValueView::of(&list)
                .full
                .is_some_and(|full| full.len() <= FULL_BYTES)
        );
    }

    #[test]
    fn values_that_are_no_text_are_written_out() {
        let map = Attributes(vec![
            Attribute {
                key: "a".to_owned(),
                value: AttributeValue::Int(-1),
            },
            Attribute {
                key: "b".to_owned(),
                value: AttributeValue::Array(vec!["x\"y".into(), true.into()]),
            },
            Attribute {
                key: "c".to_owned(),
                value: AttributeValue::Bytes(vec![0, 255]),
            },
        ]);
        assert_eq!(
            ValueView::of(&AttributeValue::Map(map)).short,
            r#"{a: -1, b: ["x\"y", true], c: 0x00ff}"#
        );
        assert_eq!(
            ValueView::of(&AttributeValue::Double(f64::NAN)).short,
            "NaN"
        );
        assert_eq!(ValueView::of(&AttributeValue::Empty).short, "(empty)");
    }
}
