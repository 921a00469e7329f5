use super::*;

const NOW: UnixNanos = UnixNanos(1_795_312_074_755_000_000);

fn form(pairs: &[(&str, &str)]) -> (SearchForm, Vec<BadParameter>) {
    SearchForm::read(
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

#[test]
fn what_is_filled_in_becomes_a_search() {
    let (form, bad) = form(&[
        ("service", "gateway"),
        ("op", "POST /checkout"),
        ("min", "300ms"),
        ("max", "2 s"),
        ("last", "1h"),
        ("to", "2026-11-22T01:40:00Z"),
        ("sort", "errors"),
        ("limit", "50"),
    ]);
    assert_eq!(bad, []);
    let request = form.request(NOW).expect("a search");
    assert_eq!(
        request,
        SearchRequest {
            query: Query::And(vec![
                Query::compare(SpanField::Service, Op::Eq, "gateway"),
                Query::compare(SpanField::Name, Op::Eq, "POST /checkout"),
                Query::compare(RequestField::Duration, Op::Ge, Duration::from_millis(300)),
                Query::compare(RequestField::Duration, Op::Le, Duration::from_secs(2)),
            ]),
            from: Some(UnixNanos(NOW.0 - 3_600_000_000_000)),
            to: Some(UnixNanos(1_795_311_600_000_000_000)),
            order: Order::Errors,
            limit: 50,
            ..SearchRequest::default()
        }
    );
}

#[test]
fn an_empty_form_asks_for_the_slowest_of_all() {
    let (form, bad) = form(&[
        ("service", ""),
        ("last", "all"),
        ("sort", "slowest"),
        ("limit", "20"),
    ]);
    assert_eq!(bad, []);
    assert!(!form.is_narrow());
    assert_eq!(form.pairs(), []);
    let request = form.request(NOW).expect("a search");
    assert_eq!(
        request,
        SearchRequest {
            limit: 20,
            ..SearchRequest::default()
        }
    );
}

#[test]
fn every_value_that_means_nothing_is_told() {
    let cases = [
        ("q", "service ="),
        ("min", "300"),
        ("max", "soon"),
        ("last", "2h"),
        ("from", "yesterday"),
        ("to", "2026-13-01"),
        ("sort", "fastest"),
        ("limit", "0"),
        ("limit", "201"),
        ("count", "about"),
    ];
    for (name, value) in cases {
        let (form, unknown) = form(&[(name, value)]);
        assert_eq!(unknown, [], "{name}");
        let bad = form.request(NOW).expect_err("refused");
        assert_eq!(
            (bad.len(), bad[0].name.as_str(), bad[0].value.as_str()),
            (1, name, value)
        );
    }
    let (form, _) = form(&[("min", "2s"), ("max", "1s"), ("sort", "x")]);
    let names: Vec<String> = form
        .request(NOW)
        .expect_err("refused")
        .into_iter()
        .map(|bad| bad.name)
        .collect();
    assert_eq!(names, ["sort", "max"]);
}

#[test]
fn parameters_nobody_reads_are_told() {
    let (_, bad) = form(&[("servce", "gateway"), ("sort", "newest"), ("sort", "spans")]);
    let names: Vec<&str> = bad.iter().map(|bad| bad.name.as_str()).collect();
    assert_eq!(names, ["servce", "sort"]);
}
