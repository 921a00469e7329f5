//! `prettyPrint`: JSON for people.

/// Writes JSON with a line for each value, indented by four spaces as Jaeger does. Takes what is valid JSON
/// without white space.
pub(super) fn indented(json: &str) -> String {
    let mut to = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let (mut in_text, mut is_escaped) = (false, false);
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if in_text {
            to.push(c);
            in_text = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        match c {
            '{' | '[' => {
                to.push(c);
                if let Some(end) = chars.next_if(|&next| matches!(next, '}' | ']')) {
                    to.push(end);
                } else {
                    depth += 1;
                    new_line(&mut to, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut to, depth);
                to.push(c);
            }
            ',' => {
                to.push(c);
                new_line(&mut to, depth);
            }
            ':' => to.push_str(": "),
            _ => {
                in_text = c == '"';
                to.push(c);
            }
        }
    }
    to
}

fn new_line(to: &mut String, depth: usize) {
    to.push('\n');
    to.extend(std::iter::repeat_n("    ", depth));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn values_stand_on_lines_of_their_own() {
        let json = r#"{"a":[1,{"b":"x, \"y\": {\\"}],"c":{},"d":[]}"#;
        assert_eq!(
            indented(json),
            r#"{
    "a": [
        1,
        {
            "b": "x, \"y\": {\\"
        }
    ],
    "c": {},
    "d": []
}"#
        );
    }

    proptest! {
        #[test]
        fn what_is_indented_says_the_same(texts in prop::collection::vec(any::<String>(), 0..8), number in any::<f64>()) {
            let value = json!({ "texts": texts, "nested": [[number], { "key": texts }] });
            let indented = indented(&value.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&indented).expect("JSON"), value);
        }
    }
}
