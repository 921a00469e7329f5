use longpole_proto::testing::{START, span_id, trace_id};

use super::*;

fn filled(template: &str, service: &str, span_id: Option<SpanId>) -> Option<String> {
    let template: LinkTemplate = template.parse().expect("a template");
    let templates = LinkTemplates::new(vec![template]).expect("one template");
    let links = templates.fill(&Target {
        trace_id: trace_id(),
        span_id,
        service,
        start: START.plus_nanos(999_999),
        end: START.plus_nanos(2_000_001),
    });
    links.into_iter().next().map(|link| link.href)
}

#[test]
fn every_placeholder_is_filled_in_and_percent_encoded() {
    let all = "Logs=HTTPS://u@logs.test:8443/{traceId}?s={spanId}&q={service}&a={startUnixMilli}&b={endUnixMilli}#{startIso}/{endIso}%7B";
    assert_eq!(
        filled(all, "a&b=c d/é{traceId}'\"", Some(span_id(5))).as_deref(),
        Some(
            "HTTPS://u@logs.test:8443/b7ad6b7169203331a1b2c3d4e5f60709?s=0000000000000005\
             &q=a%26b%3Dc%20d%2F%C3%A9%7BtraceId%7D%27%22&a=1795312074755&b=1795312074758\
             #2026-11-22T01%3A47%3A54.755Z/2026-11-22T01%3A47%3A54.758Z%7B"
        )
    );
}

#[test]
fn what_needs_a_span_is_no_link_of_a_request_and_what_grows_too_long_is_none() {
    assert_eq!(filled("a=http://h/{spanId}", "s", None), None);
    assert!(filled("a=http://h/{traceId}", "s", None).is_some());
    assert_eq!(
        filled("a=http://h/{service}", &"s".repeat(9_000), None),
        None
    );
    let last = UnixNanos(u64::MAX);
    let target = Target {
        trace_id: trace_id(),
        span_id: None,
        service: "",
        start: last,
        end: UnixNanos(0),
    };
    let template: LinkTemplate = "a=http://h/{endIso}".parse().expect("a template");
    assert!(template.fill(&target).is_some(), "the last time there is");
}

#[test]
fn what_is_no_template_is_refused_by_name_and_with_the_limit() {
    let long = format!("Logs=https://h/{}", "a".repeat(2_048));
    let name = format!("{}=https://h/", "n".repeat(41));
    for (text, said) in [
        ("https//x", "expected NAME=URL"),
        ("=https://h/", "expected NAME=URL"),
        ("Logs=", "expected NAME=URL"),
        ("Logs=javascript:alert(1)", "Logs does not begin with http"),
        ("Logs=/traces/{traceId}", "Logs does not begin with http"),
        ("Logs=https:///x", "Logs names no host"),
        ("Logs=https://{service}/x", "Logs names no host"),
        ("Logs=https://{service}.test/x", "Logs names no host"),
        ("Logs=https://h/a b", "Logs holds white space"),
        (
            "Logs=https://h/{traceID}",
            "\"{traceID}\" in the URL of Logs is no placeholder; there are {traceId}, {spanId}",
        ),
        ("Logs=https://h/{", "\"{\" in the URL"),
        ("Logs=https://h/}", "\"}\" in the URL"),
        ("Logs=https://h/{{traceId}}", "\"{{traceId}\" in the URL"),
        (&long, "Logs has 2058 bytes, the limit is 2048"),
        (&name, "has 41 characters, the limit is 40"),
    ] {
        let error = text.parse::<LinkTemplate>().expect_err(text).to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn too_many_links_and_two_of_one_name_are_refused() {
    let template = |n: usize| -> LinkTemplate {
        let text = format!("link {n}=https://h/{n}");
        text.parse().expect("a template")
    };
    let many = (0..9).map(template).collect();
    let error = LinkTemplates::new(many).expect_err("nine");
    assert_eq!(error.to_string(), "there are 9 links, the limit is 8");
    let error = LinkTemplates::new(vec![template(1), template(1)]).expect_err("twice");
    assert_eq!(error.to_string(), "two links are called link 1");
    assert!(LinkTemplates::new((0..8).map(template).collect()).is_ok());
}

#[test]
fn the_documented_examples_are_templates() {
    let document = include_str!("../../../docs/links.md");
    let examples = document
        .lines()
        .filter(|line| line.starts_with("Logs=") || line.starts_with("Profile="));
    let examples: Vec<LinkTemplate> = examples
        .map(|line| line.trim_end_matches('\'').parse().expect(line))
        .collect();
    assert_eq!(examples.len(), 4);
}
