use proptest::prelude::*;

use super::*;
use crate::query::{Op, Query, SpanField, Value};

/// What a query is expected to go on with where `|` stands: the stretch, and what it may become.
fn at(marked: &str) -> Option<(String, Place)> {
    let caret = marked.find('|').expect("a caret");
    let text = marked.replacen('|', "", 1);
    let place = Place::at(&text, caret)?;
    Some((text[place.at.clone()].to_owned(), place))
}

fn texts(place: &Place) -> Vec<&'static str> {
    place.words.iter().map(|word| word.text).collect()
}

fn attributes_of(scope: Scope, prefix: &str) -> Names {
    Names::Attributes {
        scope,
        prefix: prefix.to_owned(),
    }
}

#[test]
fn a_condition_begins_with_a_field_or_an_attribute() {
    let cases = [
        ("|", "", Scope::Any, ""),
        ("serv|", "serv", Scope::Any, "serv"),
        // What stands behind the caret belongs to the word.
        ("se|rvice = x", "service", Scope::Any, "se"),
        ("|service = x", "service", Scope::Any, ""),
        ("a = 1 and http.|", "http.", Scope::Any, "http."),
        ("a = 1 http.r|", "http.r", Scope::Any, "http.r"),
        ("{not resource.ho|}", "resource.ho", Scope::Resource, "ho"),
        ("a (sp|", "sp", Scope::Any, "sp"),
        (".na|", ".na", Scope::Any, "na"),
        ("{a} >> {span.\"my k|", "span.\"my k", Scope::Span, "my k"),
        ("exists ev|", "ev", Scope::Any, "ev"),
        ("exists (|)", "", Scope::Any, ""),
        ("ünd = ü and ß|", "ß", Scope::Any, "ß"),
    ];
    for (marked, stretch, scope, prefix) in cases {
        let (found, place) = at(marked).unwrap_or_else(|| panic!("{marked}"));
        assert_eq!(found, stretch, "{marked}");
        assert_eq!(place.names, attributes_of(scope, prefix), "{marked}");
        for field in ["service", "trace.duration"] {
            assert!(texts(&place).contains(&field), "{marked}: {field}");
        }
        let may_negate = texts(&place).contains(&"not");
        let is_first = !marked.starts_with("exists") && !marked.starts_with("a = 1 http");
        assert_eq!(may_negate, is_first, "{marked}");
    }
}

#[test]
fn behind_a_field_stands_what_it_compares_with() {
    let cases: [(&str, &[&str]); 10] = [
        (
            "duration |",
            &[">", ">=", "<", "<=", "=", "!=", "and", "or"],
        ),
        ("status |", &["=", "!=", "and", "or"]),
        ("a = 1 and name |", &["=", "!=", "=~", "!~", "and", "or"]),
        (
            "http.route |",
            &["=", "!=", ">", ">=", "<", "<=", "=~", "!~", "and", "or"],
        ),
        ("childCount |", &["and", "or"]),
        ("a = 1 |", &["and", "or"]),
        ("\"a b\" |", &["and", "or"]),
        ("exists user.id |", &["and", "or"]),
        ("{a = 1} |", &["and", "or", ">", ">>", "<", "<<", "~"]),
        ("{a = 1} >> |", &["{"]),
    ];
    for (marked, expected) in cases {
        let (stretch, place) = at(marked).unwrap_or_else(|| panic!("{marked}"));
        assert_eq!(stretch, "", "{marked}");
        assert_eq!(texts(&place), expected, "{marked}");
        assert_eq!(place.names, Names::None, "{marked}");
    }
}

#[test]
fn a_value_is_one_that_the_field_has() {
    let operations = |service: Option<&str>| Names::Operations {
        service: service.map(str::to_owned),
    };
    let of_status = Names::Values {
        keys: ["http.status_code", "http.response.status_code"]
            .map(str::to_owned)
            .to_vec(),
    };
    let cases = [
        ("service = |", "", "", Names::Services),
        ("service=che| and x", "che", "che", Names::Services),
        ("service != \"my sh|", "\"my sh", "my sh", Names::Services),
        (
            "service = \"my |shop\" x",
            "\"my shop\"",
            "my ",
            Names::Services,
        ),
        // The quote is not closed before the next one opens: the rest is left alone.
        (
            "service = \"my |and a = \"b\"",
            "\"my ",
            "my ",
            Names::Services,
        ),
        ("{trace.culpritService = |", "", "", Names::Services),
        ("name = 'GET |", "'GET ", "GET ", operations(None)),
        (
            "service = web and name = |",
            "",
            "",
            operations(Some("web")),
        ),
        ("service = web or name = |", "", "", operations(None)),
        ("service != web and name = |", "", "", operations(None)),
        ("not service = web and name = |", "", "", operations(None)),
        ("{service = web} and {name = |", "", "", operations(None)),
        ("service = web trace.rootName = |", "", "", operations(None)),
        (
            "trace.rootService = web trace.rootName = |",
            "",
            "",
            operations(Some("web")),
        ),
        ("http.status_code = 4|", "4", "4", of_status.clone()),
        ("span.http.status_code != |", "", "", of_status),
        (
            "and = |",
            "",
            "",
            Names::Values {
                keys: vec!["and".to_owned()],
            },
        ),
    ];
    for (marked, stretch, typed, names) in cases {
        let (found, place) = at(marked).unwrap_or_else(|| panic!("{marked}"));
        let of_place = (found.as_str(), place.typed.as_str(), &place.names);
        assert_eq!(of_place, (stretch, typed, &names), "{marked}");
        assert_eq!(place.words, [], "{marked}");
    }
    let (_, kinds) = at("kind = se|").expect("a place");
    assert!(texts(&kinds).contains(&"server"), "{kinds:?}");
    assert!(kinds.words.iter().all(|word| word.kind == WordKind::Value));
}

#[test]
fn nothing_is_said_where_nothing_is_known() {
    let long = format!("{}|", "a ".repeat(TEXT_BYTES_MAX));
    let cases = [
        "duration > |",
        "statusMessage = |",
        "name =~ \"|",
        "spanId = |",
        "\"connection ref|",
        "a == |",
        "= |",
        "a and and |",
        "parent.a = |",
        "{a} | count|",
        "name = \"\\d|",
        &long,
    ];
    for marked in cases {
        let caret = marked.rfind('|').expect("a caret");
        assert_eq!(Place::at(&marked[..caret], caret), None, "{marked}");
    }
}

/// Puts what a place may have into the text, and reads it.
fn completed(text: &str, place: &Place, with: &str) -> String {
    [&text[..place.at.start], with, &text[place.at.end..]].concat()
}

proptest! {
    #[test]
    fn names_and_values_are_written_so_that_they_are_read_back(name in "\\PC{1,12}", scope in 0..5_usize) {
        let scope = Scope::ALL[scope];
        let attributes = attributes_of(scope, "");
        let text = format!("exists {}", attributes.text(&name));
        prop_assert_eq!(Query::parse(&text), Ok(Query::Exists(Field::attribute(scope, &name))), "{}", text);

        let text = format!("service = {}", Names::Services.text(&name));
        prop_assert_eq!(Query::parse(&text), Ok(Query::compare(SpanField::Service, Op::Eq, name.as_str())), "{}", text);
    }

    #[test]
    fn a_value_is_written_so_that_it_is_equal(
        value in prop_oneof!["\\PC{0,12}", "-?[0-9]{1,3}(\\.[0-9])?(ms|s|e[0-9])?", "true|false|nil|NaN|inf"],
    ) {
        let text = format!("x = {}", Names::Values { keys: Vec::new() }.text(&value));
        match Query::parse(&text) {
            Ok(Query::Compare { value: read, .. }) => {
                let expected = Value::from(value.as_str()).canonical_text();
                prop_assert_eq!(read.canonical_text(), expected, "{}", text);
            }
            other => prop_assert!(false, "{text}: {other:?}"),
        }
    }

    #[test]
    fn any_place_of_any_text_has_a_stretch_of_it(text in "\\PC{0,40}", caret in 0..60_usize) {
        check(&text, caret)?;
    }

    #[test]
    fn any_place_among_pieces_has_a_stretch_of_them(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "(", ")", "and ", "or ", "not ", "exists ", "some ", "nil", " ", "name", "=", "!=", ">",
                ">>", "!~", "=~", "~", "\"", "'", "`", "\\", "service", "web", ".", "span.", "é", "&&", "||", "!", "true",
            ]),
            0..16,
        ),
        caret in 0..80_usize,
    ) {
        check(&pieces.concat(), caret)?;
    }
}

/// The stretch lies in the text and ends at the caret or behind it; and a text that was a query up to what
/// is typed is one with any of the words for which no more is needed.
fn check(text: &str, caret: usize) -> Result<(), TestCaseError> {
    let Some(place) = Place::at(text, caret) else {
        return Ok(());
    };
    let caret = text.floor_char_boundary(caret);
    let Range { start, end } = place.at;
    prop_assert!(start <= caret && caret <= end && end <= text.len());
    prop_assert!(text.is_char_boundary(start) && text.is_char_boundary(end));
    if end == text.len() && place.names == Names::Services {
        let whole = completed(text, &place, &Names::Services.text("my \"shop\""));
        let is_open = whole.matches(['(', '{']).count() != whole.matches([')', '}']).count();
        // Only what stood before can be wrong.
        if let Err(error) = Query::parse(&whole) {
            prop_assert!(is_open || error.at.start < start, "{}: {}", whole, error);
        }
    }
    Ok(())
}
