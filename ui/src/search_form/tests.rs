use longpole_storage::Order;

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
        ("status", "error"),
        ("hopService", "inventory"),
        ("hopName", "GET /stock"),
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
                Query::compare(RequestField::SlowestHopService, Op::Eq, "inventory"),
                Query::compare(RequestField::SlowestHopName, Op::Eq, "GET /stock"),
                Query::compare(RequestField::Errors, Op::Gt, 0),
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
        ("hop", ""),
        ("status", "any"),
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
        ("status", "broken"),
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

#[test]
fn a_hop_of_the_list_is_its_service_and_name() {
    let names = [
        ("inventory", "GET /stock"),
        ("a/b%2F", "\u{e9}&= %"),
        ("", "/"),
        ("shop", ""),
    ];
    for (service, name) in names {
        let (form, bad) = form(&[("hop", &hop::text(service, name))]);
        assert_eq!(bad, [], "{service} {name}");
        assert_eq!((&*form.hop_service, &*form.hop_name), (service, name));
        let said: Vec<&str> = form.pairs().into_iter().map(|(name, _)| name).collect();
        assert!(!said.contains(&"hop"), "{said:?}");
    }
    for pairs in [
        &[("hop", "inventory")][..],
        &[("hop", "%ff/x")],
        &[("hop", "a/b"), ("hopName", "c")],
    ] {
        let (_, bad) = form(pairs);
        assert_eq!(bad.len(), 1, "{pairs:?}");
    }
}
