use super::*;

#[tokio::test]
async fn spans_that_have_all_words_are_listed() {
    for (words, rows) in [
        ("LOCK", vec!["inventory lock wait"]),
        (
            "inventory",
            vec!["inventory GET /stock", "inventory lock wait"],
        ),
        ("wait%20Invent", vec!["inventory lock wait"]),
        ("inventory%20charge", vec![]),
    ] {
        let all = page(checkout(), &format!("?view=all&q={words}")).await;
        assert_eq!(all.texts(".r .o"), rows, "{words}");
        let table = page(checkout(), &format!("?view=table&q={words}")).await;
        assert_eq!(table.texts("#rows tbody tr").len(), rows.len(), "{words}");
        let n = rows.len();
        let said = if n == 1 {
            "1 of 5 spans matches"
        } else {
            "2 of 5 spans match"
        };
        let said = if n == 0 { "0 of 5 spans match" } else { said };
        for page in [all, table] {
            let note = page.texts(".note").concat();
            assert!(note.starts_with(said), "{note}");
        }
    }
}

#[tokio::test]
async fn the_values_of_attributes_are_looked_at() {
    let lock = SpanBuilder::new(2, "lock wait").parent(1).at(1, 9);
    let lock = lock.attribute("lock.key", "SKU-8812");
    let trace = testing::trace_of([SpanBuilder::new(1, "GET /").at(0, 10), lock]);
    let page = page(trace, "?view=all&q=sku-88").await;
    assert_eq!(page.texts(".r").len(), 1);
}

#[tokio::test]
async fn rows_that_match_are_marked_in_the_other_views() {
    let story = page(checkout(), "?q=inventory").await;
    assert_eq!(story.texts("[role=row]").len(), 5);
    assert_eq!(story.texts(".hit b"), ["inventory", "inventory"]);
    assert_eq!(story.texts(".tag.f"), ["✓ match", "✓ match"]);
    assert_eq!(
        story.texts(".note"),
        ["2 of 5 spans match “inventory” · show all"]
    );
    assert_eq!(story.texts("#all"), ["Only the 2 that match"]);

    // What is folded is counted.
    let items = (0..30).map(|at| {
        let item = SpanBuilder::new(2 + at, "SELECT item").parent(1);
        item.at(at * 10, at * 10 + 9)
            .attribute("row", if at % 3 == 0 { "fizz" } else { "-" })
    });
    let root = SpanBuilder::new(1, "GET /list").at(0, 300);
    let trace = testing::trace_of(std::iter::once(root).chain(items));
    let folded = page(trace, "?q=fizz").await;
    assert_eq!(folded.texts(".group .tag.f"), ["✓ 10 matches"]);
}

#[tokio::test]
async fn the_filters_form_keeps_the_pages_state() {
    let query = "view=all&root=0000000000000002&t0=5&span=0000000000000003";
    let page = page(checkout(), &format!("?{query}&page=1&q=lock")).await;
    assert_eq!(page.attributes("#q", "value"), ["lock"]);
    assert_eq!(
        page.attributes(".bar form", "action"),
        [format!("/trace/{ID}")]
    );
    let names = page.attributes(".bar form [type=hidden]", "name");
    let values = page.attributes(".bar form [type=hidden]", "value");
    let kept: Vec<String> = names
        .iter()
        .zip(values)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(kept.join("&"), query);
    for href in page.attributes(".r a, .bar a", "href") {
        assert!(href.contains("q=lock"), "{href}");
    }
    // The error does not match: the link to it looks for nothing.
    let error = page.attributes(".finds .err a", "href").concat();
    assert!(!error.contains("q="), "{error}");
}

#[tokio::test]
async fn too_many_words_are_refused() {
    let site = site([checkout()]);
    for words in ["a+".repeat(40), "a".repeat(201)] {
        let page = get(&site, &format!("/trace/{ID}?q={words}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{words}");
        assert!(page.texts("main").concat().contains("q="), "{words}");
    }
}
