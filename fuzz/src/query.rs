//! What people ask, and what may be asked next.

use longpole_analysis::query::{Field, Names, Place, Query};

/// A byte that says where the caret is, in sixteenths of what follows it; and the text.
pub fn query(bytes: &[u8]) {
    let Some((&part, text)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    read(text);
    place(text, text.len());
    place(text, text.len() * usize::from(part) / 255);
}

/// A query is what it is written as; an error lies in the text.
fn read(text: &str) {
    match Query::parse(text) {
        Ok(query) => {
            let written = query.to_string();
            match Query::parse(&written) {
                Ok(again) => assert_eq!(again, query, "{text} as {written}"),
                Err(error) => panic!("{text} as {written}: {error}"),
            }
        }
        Err(error) => {
            assert!(error.at.start <= error.at.end && text.get(error.at.clone()).is_some());
            assert!(error.character() <= text.chars().count() + 1);
        }
    }
}

/// What may stand at a caret has a stretch around it, and is read as meant.
fn place(text: &str, caret: usize) {
    let Some(place) = Place::at(text, caret) else {
        return;
    };
    let caret = text.floor_char_boundary(caret);
    assert!(place.at.start <= caret && caret <= place.at.end);
    let stretch = text.get(place.at.clone()).expect("on bounds of characters");
    let name = if stretch.is_empty() { "a" } else { stretch };
    let written = place.names.text(name);
    match &place.names {
        Names::Attributes { scope, .. } => {
            let read = Query::parse(&format!("exists {written}"));
            assert_eq!(
                read,
                Ok(Query::Exists(Field::attribute(*scope, name))),
                "{written}"
            );
        }
        _ => {
            // Patterns are no values, and all values can be compared with an attribute.
            let read = Query::parse(&format!("a = {written}"));
            let is_comparison = matches!(read, Ok(Query::Compare { .. }));
            assert!(is_comparison, "{written}: {read:?}");
        }
    }
}
